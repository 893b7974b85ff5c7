/* md5.h - the three uses that PostgreSQL's protocol has for MD5.
 *
 *   stored    "md5" + hex(MD5(password || user))       pg_authid, pool_passwd; 35 characters
 *   answer    "md5" + hex(MD5(hex of stored || salt))  what a client sends, salted by the server
 *   plain     hex(MD5(data))                           pcp.conf and the PCP protocol; 32 characters
 *
 * All results are lower-case text with a final NUL, written whole whatever the input is.  Nothing
 * fails, nothing is allocated, nothing is kept; what was on the stack is wiped.  A stored form is
 * as good as the password for an md5 login: treat it as a secret.
 *
 * The hash is RFC 1321; the two password forms are "MD5 Password Authentication" in the chapter
 * "Frontend/Backend Protocol" of PostgreSQL's manual.
 */
#ifndef MD5_H
#define MD5_H

#include <stddef.h>
#include <stdint.h>

/* The MD5 of len bytes at data as 32 hexadecimal digits. */
void md5_hex(char out[static 33], const void *data, size_t len);

/* The stored form of a password of len bytes for this user. */
void md5_password(char out[static 36], const char *password, size_t len, const char *user);

/* What a client whose password has this stored form sends for AuthenticationMD5Password with
 * this salt.  Only the 32 digits behind "md5" are read: the caller has checked the form. */
void md5_answer(char out[static 36], const char stored[static 35], const uint8_t salt[static 4]);

#endif
