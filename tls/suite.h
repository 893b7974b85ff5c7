/* tls/suite.h - ssl_ciphers and ssl_ecdh_curve, as OpenSSL writes them, for the suites and curves
 * here: ECDHE with AES-GCM or ChaCha20-Poly1305, X25519 and P-256.
 *
 * A cipher string is read as OpenSSL reads it: words select suites, A+B those of both; a word
 * adds at the end, -word takes out, !word takes out for good, +word moves to the end, @STRENGTH
 * sorts.  Suites that come in one go stand in the order that suits the processor.
 */
#ifndef TLS_SUITE_H
#define TLS_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_SUITES = 6 };

/* Reports a word that is unknown or selects nothing. */
typedef void (*tls_suite_warn)(void *ctx, const char *text);

/* Returns how many there are, the first one preferred; 0: none is left. */
size_t tls_suites(const char *text, uint16_t out[static TLS_SUITES], tls_suite_warn warn,
	void *ctx);

/* Bits 1 << BR_EC_..., or 0. */
uint32_t tls_curves(const char *text, tls_suite_warn warn, void *ctx);

#endif
