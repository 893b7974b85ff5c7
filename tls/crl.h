/* tls/crl.h - certificate revocation lists, as they lie in their DER.
 *
 * A list is read once to the end, when it is loaded.  A list that we cannot honour is refused then:
 * one about other issuers' certificates, a delta, one with an extension that must not be ignored.
 * So a later look-up of a number cannot fail.
 */
#ifndef TLS_CRL_H
#define TLS_CRL_H

#include "tls/x509.h"

struct tls_crl {
	struct bytes whole;
	struct bytes issuer;            /* name with tag and length */
	int64_t begins, ends;           /* seconds since 1970; ends is 0: it does not say */
	struct bytes revoked;           /* the entries, one behind the other */
	struct bytes text, signature;   /* what is signed */
	struct x509_signing signing;
};

/* NULL, or why it cannot be used. */
const char *tls_crl_read(struct tls_crl *c, struct bytes der);

/* Is this number on it? */
bool tls_crl_has(const struct tls_crl *c, struct bytes serial);

#endif
