#include "t.h"
#include "md5.c"

/* RFC 1321, A.5; and lengths around the block of 64. */
static const struct {
	const char *text, *sum;
} sums[] = {
	{ "", "d41d8cd98f00b204e9800998ecf8427e" },
	{ "a", "0cc175b9c0f1b6a831c399e269772661" },
	{ "abc", "900150983cd24fb0d6963f7d28e17f72" },
	{ "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
	{ "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b" },
	{ "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
		"d174ab98d277d9f5a5611c2c9f419d9f" },
	{ "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
		"57edf4a22be3c955ac49da2e2107b67a" },
};

/* rolpassword of PostgreSQL 15 with password_encryption = md5. */
static const struct {
	const char *user, *password, *stored;
} stored[] = {
	{ "m1", "pencil", "md57474753e4b2f9e23953d5977773aabb0" },
	{ "m2", "gr\xc3\xbc\xc3\x9f" "e", "md5500214ca56ac042d30ce6574d439a889" },
};

int main(void)
{
	char out[36], again[36];

	for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
		md5_hex(out, sums[i].text, strlen(sums[i].text));
		say(!strcmp(out, sums[i].sum), "md5 of \"%s\"", sums[i].text);
	}
	for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
		md5_password(out, stored[i].password, strlen(stored[i].password), stored[i].user);
		say(!strcmp(out, stored[i].stored), "stored form for %s", stored[i].user);
	}

	md5_hex(again, "7474753e4b2f9e23953d5977773aabb0\x01\x02\xff\x00", 36);
	md5_answer(out, stored[0].stored, (const uint8_t[4]){ 1, 2, 255, 0 });
	say(!strncmp(out, "md5", 3) && !strcmp(out + 3, again), "answer to a salt");

	memcpy(again, stored[0].stored, 36);
	md5_answer(again, again, (const uint8_t[4]){ 1, 2, 255, 0 });
	say(!strcmp(out, again), "answer in place");
	return done();
}
