#include "md5.h"

#include <bearssl_hash.h>
#include <string.h>

static void finish(char out[static 33], br_md5_context *c)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t sum[br_md5_SIZE];

	br_md5_out(c, sum);
	for (int i = 0; i < br_md5_SIZE; i++) {
		out[2 * i] = digits[sum[i] >> 4];
		out[2 * i + 1] = digits[sum[i] & 15];
	}
	out[32] = '\0';
	explicit_bzero(sum, sizeof sum);
	explicit_bzero(c, sizeof *c);
}

/* The MD5 of two pieces of bytes in sequence. */
static void join(char out[static 33], const void *a, size_t a_len, const void *b, size_t b_len)
{
	br_md5_context c;

	br_md5_init(&c);
	br_md5_update(&c, a, a_len);
	br_md5_update(&c, b, b_len);
	finish(out, &c);
}

void md5_hex(char out[static 33], const void *data, size_t len)
{
	join(out, data, len, "", 0);
}

void md5_password(char out[static 36], const char *password, size_t len, const char *user)
{
	memcpy(out, "md5", 3);
	join(out + 3, password, len, user, strlen(user));
}

void md5_answer(char out[static 36], const char stored[static 35], const uint8_t salt[static 4])
{
	memcpy(out, "md5", 3);
	join(out + 3, stored + 3, 32, salt, 4);
}
