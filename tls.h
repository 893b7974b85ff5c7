/* tls.h - TLS 1.2 over a stream of bytes, in both roles.  No sockets, no
 * clocks: bytes in, bytes out.
 *
 *     TLS_SHAKING --handshake--> TLS_OPEN --close_notify--> TLS_CLOSED        any --> TLS_FAILED
 *
 * A struct tls_context is made from files at start and at every reload and never changes.
 * Connections of both roles come from it, and it lives until the last of them has let it go.
 *
 * A struct tls is one connection.  BearSSL's engine shakes hands, with ten kilobytes that are then
 * given back.  After that only the keys of both directions are kept, and records are made and read
 * here.  So an open connection owns less than a kilobyte, and a record while only part of it has
 * arrived.
 *
 * ECDHE with AES-GCM or ChaCha20-Poly1305 only; no renegotiation, no resumption.
 */
#ifndef TLS_H
#define TLS_H

#include "log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct tls_context;
struct tls;

enum tls_state { TLS_SHAKING, TLS_OPEN, TLS_CLOSED, TLS_FAILED };

/* The sources of a context.  File names are absolute; "" is none. */
struct tls_files {
	const char *cert, *key, *ca, *ca_dir, *crl;
	const char *passphrase_command;
	const char *ciphers, *curve;            /* as OpenSSL writes them */
	bool prefer_server_ciphers;
	const char *host;                       /* of the certificate that is made when there is
						 * none; "": then there is no serving */
	const struct tls_context *old;          /* its self-made certificate is kept; or NULL */
};

/* NULL after saying why (LEVEL_FATAL); deviations from the settings are a LEVEL_WARNING. */
struct tls_context *tls_context_load(const struct tls_files *f,
	void (*tell)(void *ctx, enum level severity, const char *text), void *ctx);
struct tls_context *tls_context_hold(struct tls_context *x);
void tls_context_drop(struct tls_context *x);           /* NULL is fine */

/* How a node's certificate is checked. */
enum tls_check { TLS_CHECK_NOTHING, TLS_CHECK_CA, TLS_CHECK_HOST };

/* Does it have a certificate to show to clients? */
bool tls_serves(const struct tls_context *x);           /* NULL: no */

/* NULL: no memory, no random numbers. */
struct tls *tls_accept(struct tls_context *x);          /* a serving one */
struct tls *tls_connect(struct tls_context *x, enum tls_check check, const char *host);
void tls_free(struct tls *t);                           /* NULL is fine */

enum {
	TLS_HELD = 16384,                       /* plain text that an earlier input may bring */
	TLS_TEXT = 8192,                        /* in one record sent: more stalls libpq */
	TLS_ROOM = TLS_TEXT + 64,
};

/* Takes all n bytes from the peer, and overwrites them.  Plain text goes to out, whose room is n +
 * TLS_HELD; in may lie in the same block, TLS_HELD or more behind out.  Returns its length; -1 if
 * there is none and the peer has closed or failed (tls_error).  Call tls_output() afterwards.
 * Expensive while SHAKING: up to one millisecond, fifteen with an RSA key of 4096 bits. */
long tls_input(struct tls *t, uint8_t *in, size_t n, uint8_t *out);

/* Output of TLS itself: the handshake, an alert.  Returns what it wrote to out; call it until it
 * returns 0. */
size_t tls_output(struct tls *t, uint8_t *out, size_t room);

/* Encrypts these segments from their *at-th byte on, as far as the records find room in out
 * (TLS_ROOM or more), and moves *at.  Returns what it wrote; 0 if nothing is left.  Before the end
 * of the handshake and after tls_bye() it returns 0, and the text is lost. */
size_t tls_seal(struct tls *t, const struct iovec *v, int count, size_t *at, uint8_t *out,
	size_t room);

/* close_notify, once. */
size_t tls_bye(struct tls *t, uint8_t *out, size_t room);

enum tls_state tls_state(const struct tls *t);
const char *tls_error(const struct tls *t);             /* of TLS_FAILED: why; else NULL */

/* Results of the handshake; good as long as t. */
const char *tls_common_name(const struct tls *t);       /* of a verified client; or NULL */
bool tls_alpn(const struct tls *t);                     /* "postgresql" was agreed upon */
const char *tls_suite(const struct tls *t);             /* as OpenSSL calls it */

/* tls-server-end-point (RFC 5929) of the certificate of the server, us or the peer; 0: it has
 * none. */
size_t tls_end_point(const struct tls *t, uint8_t hash[static 64]);

#endif
