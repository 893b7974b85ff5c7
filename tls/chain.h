/* tls/chain.h - the verdict on the certificates that the other side shows.
 *
 * One struct tls_peer lives for one handshake.  The engine gets its class (br_ssl_engine_set_x509);
 * the rest is asked for here.  bearssl verifies signatures only: its own class for chains refuses
 * all critical name constraints and extended key usages, and otherwise ignores them.  We look for a
 * path from the leaf to a self-signed certificate of our files, and judge every certificate on it
 * as OpenSSL would.  If a client shows a certificate that does not verify, the handshake must be
 * ended (BR_OPT_TOLERATE_NO_CLIENT_AUTH alone would let it in).
 *
 *      p = tls_peer_client(x);                   a client's certificates, when it shows any
 *      p = tls_peer_node(x, check, host);        a node's
 *      br_ssl_engine_set_x509(&engine, tls_peer_class(p));
 *      after each record of the handshake: tls_peer_alert(p) != 0 ends it
 *      when it is over: the names, then tls_peer_free(p)
 */
#ifndef TLS_CHAIN_H
#define TLS_CHAIN_H

#include "tls/cert.h"

struct tls_peer;

/* The context and the host (an address or a name) must outlive it.  NULL: no memory. */
struct tls_peer *tls_peer_client(const struct tls_context *x);
struct tls_peer *tls_peer_node(const struct tls_context *x, enum tls_check check,
	const char *host);
void tls_peer_free(struct tls_peer *p);                 /* NULL is fine */

const br_x509_class **tls_peer_class(struct tls_peer *p);

/* The alert that the certificates shown so far deserve (44: certificate_revoked, 48: unknown_ca,
 * ...), or 0: there are none, they have not all come, or they are good.  Until our own
 * ChangeCipherSpec it can be sent as the seven clear bytes 15 03 03 00 02 02 alert. */
int tls_peer_alert(const struct tls_peer *p);

/* Why, as a sentence without its end: "certificate verify failed: certificate revoked"; NULL
 * when tls_peer_alert() is 0. */
const char *tls_peer_error(const struct tls_peer *p);

/* Were certificates shown that verify? */
bool tls_peer_verified(const struct tls_peer *p);

/* The first common name of a verified certificate, or NULL: none, or one that has a NUL in it.
 * Good until tls_peer_free(). */
const char *tls_peer_common_name(const struct tls_peer *p);

/* tls-server-end-point of the certificate that was shown (RFC 5929); 0: it has none. */
size_t tls_peer_end_point(const struct tls_peer *p, uint8_t hash[static 64]);

#endif
