/* tls/engine.h - BearSSL's engine, set up by hand for one handshake.
 *
 * A full initialisation takes 67 us, most of them for asking the processor what it can; so a
 * context has one template of each role, which is copied, given random numbers of its own and
 * started.  Only the parts named here are linked: no CBC, no DES, no RSA key exchange, no SHA-1.
 *
 * The buffers are small: clear records are read by pieces, and of encrypted ones a
 * handshake has only Finished.
 */
#ifndef TLS_ENGINE_H
#define TLS_ENGINE_H

#include "tls/cert.h"

enum { TLS_IN = 2048 + 325, TLS_OUT = 2048 + 85 };  /* records of 2048 bytes */

struct tls_shake {
	union {
		br_ssl_engine_context engine;   /* the first member of both */
		br_ssl_server_context server;
		br_ssl_client_context client;
	};
	struct tls_peer *peer;                  /* the verdict on the other side's certificate */
	uint8_t *answer;                        /* to be sent: [taken, made) of room bytes */
	size_t taken, made, room;
	char host[256], why[128];
	uint8_t in[TLS_IN], out[TLS_OUT];
};

/* Begins a handshake, as the server or the client; the latter has its ClientHello to send.  NULL:
 * no memory, no random numbers. */
struct tls_shake *tls_shake_server(const struct tls_context *x);
struct tls_shake *tls_shake_client(const struct tls_context *x, enum tls_check check,
	const char *host);
void tls_shake_free(struct tls_shake *s);               /* wipes it; NULL is fine */

/* The meaning of an error of the engine, as a sentence without its end. */
const char *tls_shake_error(struct tls_shake *s);

/* "unknown CA" and the like; NULL for numbers that nobody uses. */
const char *tls_alert_name(unsigned alert);

#endif
