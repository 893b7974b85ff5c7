/* base64.h - RFC 4648's base64, with padding and no other characters.
 *
 * Nothing is allocated or kept.
 */
#ifndef BASE64_H
#define BASE64_H

#include <stddef.h>
#include <stdint.h>

/* How many characters len bytes become. */
size_t base64_len(size_t len);

/* out has base64_len(len) + 1 bytes: it ends with a NUL. */
void base64_encode(char *out, const uint8_t *in, size_t len);

/* Returns the number of bytes, or -1 for bad text or more than size bytes.  out may be the text
 * itself: it is never ahead of it. */
int base64_decode(uint8_t *out, size_t size, const char *in, size_t len);

#endif
