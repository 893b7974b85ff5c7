/* tls/key.h - a private key: PKCS #1, SEC 1 or PKCS #8, as PEM or DER, encrypted or not.
 *
 * RSA of 2048 to 4096 bits, P-256, P-384 and P-521: what bearssl can sign with.
 */
#ifndef TLS_KEY_H
#define TLS_KEY_H

#include "tls/x509.h"

enum { TLS_KEY_WHY = 400 };

struct tls_key {
	int type;                       /* BR_KEYTYPE_ */
	union {
		br_rsa_private_key rsa;
		br_ec_private_key ec;
	} key;
	unsigned bits;
	uint8_t *bytes;                 /* what key points into; to be wiped */
	size_t n;
	bool exposed;                   /* more may read or change the file than should */
};

/* False with the whole message in why.  If a passphrase is needed, /bin/sh runs the command ("" for
 * none); %p in it is replaced by a prompt. */
bool tls_key_load(struct tls_key *k, const char *file, const char *command,
	char why[static TLS_KEY_WHY]);

/* The same from memory.  LOCKED: it is encrypted and passphrase is NULL. */
enum tls_key_result { TLS_KEY_BAD, TLS_KEY_GOOD, TLS_KEY_LOCKED };
enum tls_key_result tls_key_read(struct tls_key *k, struct bytes der, const char *passphrase,
	char why[static TLS_KEY_WHY]);

/* Does it belong to this certificate?  Signs something to find out. */
bool tls_key_fits(const struct tls_key *k, const struct x509 *certificate);

void tls_key_free(struct tls_key *k);

#endif
