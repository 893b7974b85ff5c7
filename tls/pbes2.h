/* tls/pbes2.h - private keys that a passphrase opens (PKCS #8 with PBES2, RFC 8018).
 *
 * PBKDF2 with HMAC-SHA-1 or -SHA-256, AES-128 or -256 in CBC mode: what "openssl genpkey -aes256"
 * and "openssl pkcs8 -topk8" write.
 */
#ifndef TLS_PBES2_H
#define TLS_PBES2_H

#include "tls/der.h"

/* Is it an EncryptedPrivateKeyInfo? */
bool pbes2_is(struct bytes der);

/* Decrypts it where it lies; *plain is the part that is the key then.  NULL, or why not. */
const char *pbes2_open(uint8_t *der, size_t n, const char *passphrase, struct bytes *plain);

#endif
