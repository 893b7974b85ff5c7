/* scram.h - SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, both roles (RFC 5802, 7677, 5929).
 *
 *        client                                    server
 *   scram_client_first      --client-first-->   scram_server_first
 *   scram_client_challenge  <--server-first--
 *   scram_client_final      --client-final-->   scram_server_final
 *   scram_client_verify     <--server-final--
 *
 * One struct per exchange, embedded by the caller, all zero before its first call; no allocation,
 * no I/O, no randomness of its own (the caller gives 18 random bytes for the nonce).  Calls out of
 * order, or after a failure, fail.  No struct of an exchange holds a key: only struct scram_keys
 * and struct scram_verifier need wiping.
 *
 * Messages are text of at most SCRAM_MESSAGE_MAX bytes, without a final NUL in either direction;
 * longer ones are refused.  An out buffer of SCRAM_OUT_MAX bytes is always enough.  Functions that
 * return int return a length (or 0) on success, else a negative number.  Then *why says what was
 * wrong (never NULL; static text without secrets or anything the peer sent).
 *
 * Secrets are compared in constant time and wiped from the stack.
 *
 * The user name inside SCRAM is ignored and sent empty, as PostgreSQL does: the startup packet
 * has it.  An authorization identity ("a=") is refused, as are mandatory extensions ("m=").
 */
#ifndef SCRAM_H
#define SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SCRAM_KEY = 32,                 /* a SHA-256 */
	SCRAM_SALT_MAX = 64,            /* PostgreSQL makes 16, Cloud SQL 32 */
	SCRAM_SALT_OWN = 16,            /* length for verifiers that we make: as PostgreSQL's */
	SCRAM_NONCE = 18,               /* random bytes; 24 characters on the wire */
	SCRAM_BINDING_MAX = 64,         /* tls-server-end-point data: up to a SHA-512 */
	SCRAM_ITERATIONS = 4096,        /* for verifiers that we make */
	SCRAM_ITERATIONS_MAX = 10000000,        /* of a verifier: the work is its client's */
	SCRAM_ITERATIONS_SERVED = 1000000,      /* that a server may ask us for: half a second */
	SCRAM_MESSAGE_MAX = 1024,
	SCRAM_OUT_MAX = 1280,
	SCRAM_PREP_MAX = 1024,          /* longest non-ASCII password that SASLprep is applied to */
	SCRAM_PREPARED_MAX = 8192       /* and its longest result */
};

/* A server's data for one password. */
struct scram_verifier {
	uint8_t stored_key[SCRAM_KEY], server_key[SCRAM_KEY];
	uint8_t salt[SCRAM_SALT_MAX];
	uint8_t salt_len;
	bool mock;                      /* no password fits, whatever the proof */
	uint32_t iterations;
};

/* A client's data for one (password, salt, iterations).  As good as the password for that salt; may
 * be cached for as long as the salt is the same. */
struct scram_keys {
	uint8_t client_key[SCRAM_KEY], server_key[SCRAM_KEY];
};

enum scram_step { SCRAM_NEW, SCRAM_FIRST, SCRAM_CHALLENGED, SCRAM_FINAL, SCRAM_DONE };

/* AuthMessage as it grows: both firsts, then the final without its proof. */
struct scram_text {
	char at[2 * SCRAM_OUT_MAX + SCRAM_MESSAGE_MAX];
	uint16_t len;
};

/* ---- keys and verifiers ---- */

/* PBKDF2: two milliseconds of processor time per 4096 iterations.  Thread-safe: callers run it in a
 * helper thread.  SASLprep is applied to the password (see scram_saslprep). */
void scram_derive(struct scram_keys *k, const char *password, size_t len,
	const uint8_t *salt, size_t salt_len, uint32_t iterations);

/* How often that has been done. */
uint64_t scram_derived(void);

/* salt_len is at most SCRAM_SALT_MAX. */
void scram_verifier_make(struct scram_verifier *v, const struct scram_keys *k,
	const uint8_t *salt, size_t salt_len, uint32_t iterations);

/* Reads PostgreSQL's text form "SCRAM-SHA-256$iterations:salt$stored:server".  Returns 0, or -1
 * when the text is anything else or beyond the limits above; then *v is all zero. */
int scram_verifier_parse(struct scram_verifier *v, const char *text);

/* A verifier for a user that does not exist: looks to the client like any other that we make,
 * with the same salt each time for the same secret and name, and always ends with -2. */
void scram_verifier_mock(struct scram_verifier *v, const uint8_t secret[static 32],
	const char *user);

/* Are these the keys that this verifier was made from?  (A password check without an exchange,
 * and whether keys from a cache still fit a changed verifier.) */
bool scram_keys_fit(const struct scram_keys *k, const struct scram_verifier *v);

/* ---- server role: the proxy towards a client ---- */

struct scram_server {
	enum scram_step step;
	struct scram_text auth;
	uint16_t nonce_at, nonce_len;   /* the whole nonce lies in auth */
	char binding[(24 + SCRAM_BINDING_MAX + 2) / 3 * 4 + 1];         /* the c= to expect */
};

/* client-first-message in, server-first-message out.  plus: the client chose the mechanism
 * SCRAM-SHA-256-PLUS.  cb: the tls-server-end-point data of this connection; NULL when PLUS was not
 * offered.  A flag of 'y' is refused if PLUS was offered (somebody hid it); 'p' is accepted with
 * PLUS only and must name tls-server-end-point.  Returns the length written to out, -1 for a
 * malformed message or -3 for that flag of 'y'. */
int scram_server_first(struct scram_server *s, char *out, size_t size, const char *in, size_t len,
	const struct scram_verifier *v, const uint8_t nonce[static SCRAM_NONCE],
	const uint8_t *cb, size_t cb_len, bool plus, const char **why);

/* client-final-message in, server-final-message out; the same verifier as before.  Returns the
 * length written, -1 for a malformed message (or wrong nonce), -2 for a wrong proof, -3 for another
 * channel than ours: somebody is in between.  On success client_key is the ClientKey, which
 * together with v->server_key makes the scram_keys for any backend whose verifier has the same salt
 * and iterations (pass-through); otherwise it is all zero. */
int scram_server_final(struct scram_server *s, char *out, size_t size, const char *in, size_t len,
	const struct scram_verifier *v, uint8_t client_key[static SCRAM_KEY], const char **why);

/* ---- client role: the proxy towards a backend ---- */

struct scram_client {
	enum scram_step step;
	uint8_t salt[SCRAM_SALT_MAX];   /* these three from scram_client_challenge on */
	uint8_t salt_len;
	uint32_t iterations;
	struct scram_text auth;
	uint16_t nonce_at, nonce_len;
	char binding[(24 + SCRAM_BINDING_MAX + 2) / 3 * 4 + 1];         /* our c= */
};

/* client-first-message out.  plus: SCRAM-SHA-256-PLUS was chosen, with cb.  Without plus, a cb that
 * is not NULL says that we could, but the server did not offer it (flag 'y'; a server that did
 * offer it refuses that).  NULL says that we cannot (flag 'n').  Returns the length, or -1 if size
 * or cb_len is out of bounds. */
int scram_client_first(struct scram_client *c, char *out, size_t size,
	const uint8_t nonce[static SCRAM_NONCE], const uint8_t *cb, size_t cb_len, bool plus);

/* server-first-message in: fills salt, salt_len and iterations, for which the caller then gets
 * keys, from its cache or from scram_derive.  Refuses a nonce that does not extend ours,
 * iterations beyond 1..SCRAM_ITERATIONS_SERVED and a salt longer than SCRAM_SALT_MAX.
 * Returns 0 or -1. */
int scram_client_challenge(struct scram_client *c, const char *in, size_t len, const char **why);

/* client-final-message out.  Returns the length or -1. */
int scram_client_final(struct scram_client *c, char *out, size_t size, const struct scram_keys *k);

/* server-final-message in: has the server proved that it knows the keys?  0, -1 when malformed
 * or an error ("e=..."), -2 for a wrong signature. */
int scram_client_verify(struct scram_client *c, const char *in, size_t len,
	const struct scram_keys *k, const char **why);

/* ---- for both, and for other secrets ---- */

/* memcmp() == 0 in a time that depends on len only. */
bool scram_equal(const void *a, const void *b, size_t len);

/* SASLprep (RFC 4013).  ASCII is left alone.  -1 is a refusal: prohibited characters, those unknown
 * to Unicode 3.2, mixed writing directions, invalid UTF-8, an empty or a too long result.  Then the
 * password is used unchanged, as PostgreSQL does.  Else the length of out (NUL-terminated). */
int scram_saslprep(char *out, size_t size, const char *in);

#endif
