/* tls.h - TLS 1.2 over a stream of bytes, in both roles.  No sockets, no clocks: bytes in, bytes out.
 *
 * A struct tls_context is made of files at start and at every reload and never changes; both roles
 * take their connections from it, and it lives until the last of them has let it go.
 * A struct tls is one connection: it owns a BearSSL engine, and borrows record buffers from
 * the context's free list only while a record is under way.
 *
 *     SHAKING --handshake done--> OPEN --close_notify--> CLOSED        any -> FAILED
 *
 * TLS 1.2 only; ECDHE with AES-GCM or ChaCha20-Poly1305; no renegotiation, no resumption.
 */
#ifndef TLS_H
#define TLS_H

#include "log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_context;
struct tls;

enum tls_state { TLS_SHAKING, TLS_OPEN, TLS_CLOSED, TLS_FAILED };

/* What a context is made of.  Names of files are absolute; "" is none. */
struct tls_files {
	const char *cert, *key, *ca, *ca_dir, *crl;
	const char *passphrase_command;
	const char *ciphers, *curve;            /* as OpenSSL writes them */
	bool prefer_server_ciphers;
	const char *host;                       /* of the certificate that is made when there is
						 * none; "": then there is no serving */
	const struct tls_context *old;          /* whose self-made certificate is kept; or NULL */
};

/* NULL after saying why (LEVEL_FATAL); what is not done as asked is a LEVEL_WARNING. */
struct tls_context *tls_context_load(const struct tls_files *f,
	void (*tell)(void *ctx, enum level severity, const char *text), void *ctx);
struct tls_context *tls_context_hold(struct tls_context *x);
void tls_context_drop(struct tls_context *x);           /* NULL is fine */

/* How a node's certificate is looked at. */
enum tls_check { TLS_CHECK_NOTHING, TLS_CHECK_CA, TLS_CHECK_HOST };

struct tls *tls_accept(struct tls_context *x);          /* NULL: no memory, no random numbers */
struct tls *tls_connect(struct tls_context *x, enum tls_check check, const char *host);
void tls_free(struct tls *t);                           /* NULL is fine */

/* Takes n bytes from the peer, all of them; plain text goes to out, whose room is at least n.
 * Returns its length; -1: closed or failed (tls_error).  Handshake and alert bytes to be sent may have
 * come up: tls_output().  Expensive while SHAKING: one to fifteen ms. */
long tls_input(struct tls *t, const uint8_t *in, size_t n, uint8_t *out);

/* Encrypts up to n bytes; *taken says how many.  Returns what it wrote to out (room at least
 * TLS_ROOM); 0 when it is not OPEN. */
size_t tls_seal(struct tls *t, const uint8_t *p, size_t n, size_t *taken, uint8_t *out, size_t room);
size_t tls_output(struct tls *t, uint8_t *out, size_t room);
size_t tls_bye(struct tls *t, uint8_t *out, size_t room);       /* close_notify */

enum tls_state tls_state(const struct tls *t);
const char *tls_error(const struct tls *t);             /* a sentence; NULL: an orderly end */

/* What the handshake showed. */
const char *tls_common_name(const struct tls *t);       /* of a verified client certificate, or NULL */
bool tls_alpn(const struct tls *t);                     /* "postgresql" was agreed upon */
size_t tls_end_point(const struct tls *t, uint8_t hash[64]);    /* tls-server-end-point, RFC 5929 */
const char *tls_version(const struct tls *t), *tls_suite(const struct tls *t);

#endif
