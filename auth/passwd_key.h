/* auth/passwd_key.h - the key of pool_passwd's AES entries, and their decryption.
 *
 * An entry is "AES" and the base64 of the password, in AES-256-CBC with PKCS #7 padding.  Key and
 * initial vector come from a passphrase K by OpenSSL's EVP_BytesToKey with SHA-1 and neither salt
 * nor iterations: D1 = SHA-1(K), Dn+1 = SHA-1(Dn || K), and 48 bytes of those.  So the same
 * password gives the same entry, and only the file's permissions protect it; that is Pgpool-II's
 * format.
 *
 * K is the first line of a key file without its newline, at most 255 bytes.
 */
#ifndef AUTH_PASSWD_KEY_H
#define AUTH_PASSWD_KEY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PASSWD_KEY_MAX = 255 };          /* of K; the rest is ignored */

/* All zero is no key.  Wipe it when it is no longer needed. */
struct passwd_key {
	char file[PATH_MAX];            /* where it came from, "": nowhere */
	int error;                      /* why that gave no key: errno, or ENODATA if empty */
	bool exposed;                   /* not only its owner may read the file */
	bool usable;
	uint8_t key[32], iv[16];
};

/* Finds the file: that of option -k (NULL: not given), else PGPOOLKEYFILE, else .pgpoolkey in HOME.
 * "" if there is none of these. */
void passwd_key_file(char out[static PATH_MAX], const char *option, char *const *environment);

/* Fills all of *k.  A missing file is not an error: k says so, and only entries that need it will
 * fail. */
void passwd_key_load(struct passwd_key *k, const char *file);

/* From K itself. */
void passwd_key_derive(struct passwd_key *k, const char *text, size_t len);

/* How long the base64 of a password of len bytes is. */
size_t passwd_encrypted_len(size_t len);

/* out has passwd_encrypted_len() + 1 bytes; it gets the base64, without "AES", and a NUL. */
void passwd_encrypt(char *out, const struct passwd_key *k, const char *password, size_t len);

/* Base64 of len characters becomes the password, in place, with a NUL.  Returns its length, or -1
 * if the text was not made with this key; then it is undefined. */
int passwd_decrypt(char *text, size_t len, const struct passwd_key *k);

#endif
