#include "t.h"
#include "wire/base64.c"
#include "scram.c"
#include "scram/saslprep.c"

#include <stdlib.h>
#include <time.h>

static const uint8_t nonce_a[SCRAM_NONCE] = "client's nonce 18";
static const uint8_t nonce_b[SCRAM_NONCE] = "server's nonce 18";
static const uint8_t salt[16] = "sixteen of salt";
static const uint8_t cert[32] = "the hash of a server certificate";

/* One whole exchange, with places to spoil it. */
struct exchange {
	struct scram_client c;
	struct scram_server s;
	struct scram_verifier v;
	struct scram_keys k;
	char first[SCRAM_OUT_MAX], challenge[SCRAM_OUT_MAX], final[SCRAM_OUT_MAX], end[SCRAM_OUT_MAX];
	int first_len, challenge_len, final_len, end_len;
	uint8_t client_key[SCRAM_KEY];
	const char *why;
};

static struct scram_keys right, wrong;

/* Brings a new exchange to the point where client-final-message has been made. */
static void begin(struct exchange *x, const uint8_t *client_cb, const uint8_t *server_cb, bool plus)
{
	memset(x, 0, sizeof *x);
	x->k = right;
	scram_verifier_make(&x->v, &right, salt, sizeof salt, 4096);
	x->first_len = scram_client_first(&x->c, x->first, SCRAM_OUT_MAX, nonce_a, client_cb,
		client_cb ? sizeof cert : 0, plus);
	x->challenge_len = scram_server_first(&x->s, x->challenge, SCRAM_OUT_MAX, x->first,
		(size_t)x->first_len, &x->v, nonce_b, server_cb, server_cb ? sizeof cert : 0, plus,
		&x->why);
	if (x->challenge_len < 0)
		return;
	scram_client_challenge(&x->c, x->challenge, (size_t)x->challenge_len, &x->why);
	x->final_len = scram_client_final(&x->c, x->final, SCRAM_OUT_MAX, &x->k);
}

static int finish(struct exchange *x)
{
	return x->end_len = scram_server_final(&x->s, x->end, SCRAM_OUT_MAX, x->final,
		(size_t)x->final_len, &x->v, x->client_key, &x->why);
}

static int verify(struct exchange *x)
{
	return scram_client_verify(&x->c, x->end, (size_t)x->end_len, &x->k, &x->why);
}

static bool hex_is(const uint8_t *bytes, const char *hex)
{
	char text[2 * SCRAM_KEY + 1];

	for (int i = 0; i < SCRAM_KEY; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return !strcmp(text, hex);
}

static void test_pbkdf2(void)
{
	static const struct {
		const char *password, *salt;
		uint32_t iterations;
		const char *sum;
	} vectors[] = {
		{ "password", "salt", 1, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b" },
		{ "password", "salt", 2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43" },
		{ "password", "salt", 4096, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a" },
		{ "passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt", 4096,
			"348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd53e1" },
		/* RFC 7914, section 11: the first 32 bytes */
		{ "passwd", "salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc" },
		{ "Password", "NaCl", 80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56" },
	};
	uint8_t out[SCRAM_KEY];

	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		salt_password(out, vectors[i].password, strlen(vectors[i].password),
			(const uint8_t *)vectors[i].salt, strlen(vectors[i].salt), vectors[i].iterations);
		say(hex_is(out, vectors[i].sum), "PBKDF2 %s %u", vectors[i].password,
			(unsigned)vectors[i].iterations);
	}
}

static void test_base64(void)
{
	static const char *const good[][2] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" }, { "\xfb\xff\xbf", "+/+/" },
	};
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "====", "Z===", "Zg==Zg==", "Zm 9", "Zm9v\n", "Zm9_", "=Zm9", "Zm=v", "Zh==", "Zm9=",
	};
	char text[16];
	uint8_t back[8];

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		size_t n = strlen(good[i][0]);
		struct slice in = { good[i][1], strlen(good[i][1]) };

		base64_encode(text, (const uint8_t *)good[i][0], n);
		say(!strcmp(text, good[i][1]), "base64 of \"%s\"", good[i][0]);
		say(decode(back, n, in) == (int)n && !memcmp(back, good[i][0], n), "and back");
		if (n)
			say(decode(back, n - 1, in) == -1, "not into %zu bytes", n - 1);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		say(decode(back, sizeof back, (struct slice){ bad[i], strlen(bad[i]) }) < 0,
			"\"%s\" is not base64", bad[i]);
}

/* RFC 7677, section 3. */
static void test_rfc7677(void)
{
	static const char first[] = "n=user,r=rOprNGfwEbeRWgbNEkqO";
	static const char challenge[] = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
	static const char final[] = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
	static const char end[] = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
	struct scram_client c = { .step = SCRAM_FIRST, .nonce_at = 9, .nonce_len = 20, .binding = "biws" };
	struct scram_server s = { .step = SCRAM_FIRST, .binding = "biws" };
	struct scram_keys k;
	struct scram_verifier v;
	uint8_t client_key[SCRAM_KEY];
	const char *why;
	char out[SCRAM_OUT_MAX];

	text_add(&c.auth, first, sizeof first - 1);
	say(!scram_client_challenge(&c, challenge, sizeof challenge - 1, &why) && c.salt_len == 16 &&
		c.iterations == 4096, "RFC 7677: challenge");
	scram_derive(&k, "pencil", 6, c.salt, c.salt_len, c.iterations);
	int n = scram_client_final(&c, out, sizeof out, &k);
	say(n == (int)sizeof final - 1 && !memcmp(out, final, (size_t)n), "RFC 7677: client final");
	say(!scram_client_verify(&c, end, sizeof end - 1, &k, &why), "RFC 7677: server signature");

	scram_verifier_make(&v, &k, c.salt, c.salt_len, c.iterations);
	text_add(&s.auth, first, sizeof first - 1);
	text_add(&s.auth, ",", 1);
	s.nonce_at = (uint16_t)(s.auth.len + 2);
	s.nonce_len = (uint16_t)(strchr(challenge, ',') - challenge - 2);
	text_add(&s.auth, challenge, sizeof challenge - 1);
	n = scram_server_final(&s, out, sizeof out, final, sizeof final - 1, &v, client_key, &why);
	say(n == (int)sizeof end - 1 && !memcmp(out, end, (size_t)n), "RFC 7677: server final");
	say(!memcmp(client_key, k.client_key, SCRAM_KEY), "RFC 7677: ClientKey recovered");
}

/* Made by PostgreSQL 15 (CREATE ROLE ... PASSWORD, then rolpassword).  The last one holds what
 * only NFKC maps. */
static const struct {
	const char *password, *verifier;
} made[] = {
	{ "pencil", "SCRAM-SHA-256$4096:VmIldpEokWP51TGbf/LrXw==$d7nE6a+N2xf34jj8gAlCz9Mgc4lCaivYQ6rc6YGkq34=:Hmy0uHhvZdzCleTyJuxCRbed4rYkPlcLfunJYKAGgdY=" },
	{ "a:b\\c $x", "SCRAM-SHA-256$4096:+Vg8Fh8YvT4zrEBq7iYCcA==$n6edzSazmRaVR8RVGv4ODFVwqCTXtV8B+M6VZB31ICM=:hl/xvwMiA+e8845qXbEisF1KGkp+Cp74m160MmwlQFk=" },
	{ "gr\xc3\xbc\xc3\x9f" "e", "SCRAM-SHA-256$4096:lpAiloZ4Re7ipMsb9bhlFA==$qhVsPCrS/V+kVzBaTzHigC8KJcp+McsqPROUlrahz9s=:IBEIIXNcg/Oc3Fu44bb6SC2E7HwDK2by65kb9u6uCNk=" },
	{ "a\xc2\xa0" "b", "SCRAM-SHA-256$4096:iERKfMDOMwb9FC1ru+p89w==$qqwAcMbGxT28goWafCNJRN/JpJDu/e6IYkjRSZ0WoP0=:TpD8X6ysTycv/2FdIJjWqb1kfca76tCN8b1EICZ6MeQ=" },
	{ "soft\xc2\xadhyphen\xe2\x80\x8bx", "SCRAM-SHA-256$4096:aotPHt5q/DLkLB7qJnGT/Q==$zaDGy3uQ6Z3Ua1OEo3XLrs/tIt7AogAx4gg4ByLfqvY=:Sju2moqF2YkKqpNAcpEKM/MZOJTedVHURHwm/GmSKYk=" },
	{ "heart\xe2\x9d\xa4\xef\xb8\x8f", "SCRAM-SHA-256$4096:Vm9njkbPUC2fF1VOABFMHg==$+EOdowPrwmZXzcdnvlPxJfs9xH/Wf3yxcP937klSR2s=:EbjIcvq3XC2W/t6g08pmYeps+ascFDD/HYzTqIyIt/s=" },
	{ "smile\xf0\x9f\x99\x82\xef\xb8\x8f", "SCRAM-SHA-256$4096:EZpPJswjndwcfa43k9CbkQ==$IDPkUjMVJaoqGCf8ke1d+fuDpPgSjtL3vN5ouU0l2Ns=:h71EFXODXJT1oCLZyJhqNh58jSHMGlkS3f88WzqEVog=" },
	{ "bell\a\xc3\xa9\xc2\xad", "SCRAM-SHA-256$4096:cZphLR9ZhGbpiiHJ4WFWNw==$dTMU4VuUZ8tKxoNk0p+OKlwhnIzwAGebPVgNoOK1pUA=:vVvNtcQLstsDVUveYJReaWVBlC4WkdsB9NMeR4kMKjc=" },
	{ "\xc2\xad", "SCRAM-SHA-256$4096:MVGG8p/okhDjuchnua4K9Q==$Fh34+HTWS9cuLWiuGIi3YVizS2w62cew6ZovrfLQPuw=:LUrh5rnh/v3eX1XR4KFN/CM4CtRxB9Zl7fKq4/c6il4=" },
	{ "\xe6\x97\xa5\xe6\x9c\xac\xe3\x80\x80\xe8\xaa\x9e", "SCRAM-SHA-256$4096:CIduQWiwksPsTLauPrZxmQ==$iQbPnW2bMjpumyMoxISKrWi7+Y2O2+fcE87VBD2LrEs=:c/+tuQeurPsOqMqGS5xstdF7wdyC0yPoVWD6NQu7aTY=" },
	{ "passwordpasswordpasswordpasswordpasswordpasswordpasswordpasswordpassword0123456789", "SCRAM-SHA-256$4096:9n0h0O3JqHcwlq3PG5GcFg==$SzfJb9KqzW1ZQHMvo/+RQRdvu+g3lVetwmrvr/7XcEk=:vF8VcrTmb9dlNvMLXlyPh3sBUliLlSRXWsbMua9KrGY=" },
	{ "\xe2\x84\xa6\xe2\x84\xab", "SCRAM-SHA-256$4096:Ymd59XLBzpe0Jnqvx4BVMw==$/fG/Ha17HZWDtGLS+9RXGRAE3nstL87ySL0VVT/MNR8=:ByfdADk8pdQ9ATVAND3mAiAMfct4eFia3fYWSa/xWxU=" },
};

static void test_postgresql(void)
{
	for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
		struct scram_verifier v;
		struct scram_keys k;

		say(!scram_verifier_parse(&v, made[i].verifier), "verifier %zu of PostgreSQL", i);
		scram_derive(&k, made[i].password, strlen(made[i].password), v.salt, v.salt_len,
			v.iterations);
		say(scram_keys_fit(&k, &v), "and the keys of its password");
		scram_derive(&k, "Pencil", 6, v.salt, v.salt_len, v.iterations);
		say(!scram_keys_fit(&k, &v), "and not those of another");
	}
}

static void test_bad_verifiers(void)
{
	static const char *const bad[] = {
		"", "SCRAM-SHA-256", "md57474753e4b2f9e23953d5977773aabb0",
		"SCRAM-SHA-1$4096:MVGG8p/okhDjuchnua4K9Q==$Fh34+HTWS9cuLWiuGIi3YVizS2w62cew6ZovrfLQPuw=:LUrh5rnh/v3eX1XR4KFN/CM4CtRxB9Zl7fKq4/c6il4=",
		"SCRAM-SHA-256$0:MVGG8p/okhDjuchnua4K9Q==$Fh34+HTWS9cuLWiuGIi3YVizS2w62cew6ZovrfLQPuw=:LUrh5rnh/v3eX1XR4KFN/CM4CtRxB9Zl7fKq4/c6il4=",
		"SCRAM-SHA-256$10000001:MVGG8p/okhDjuchnua4K9Q==$Fh34+HTWS9cuLWiuGIi3YVizS2w62cew6ZovrfLQPuw=:LUrh5rnh/v3eX1XR4KFN/CM4CtRxB9Zl7fKq4/c6il4=",
		"SCRAM-SHA-256$-1:MVGG8p/okhDjuchnua4K9Q==$Fh34+HTWS9cuLWiuGIi3YVizS2w62cew6ZovrfLQPuw=:LUrh5rnh/v3eX1XR4KFN/CM4CtRxB9Zl7fKq4/c6il4=",
		"SCRAM-SHA-256$4096:$Fh34+HTWS9cuLWiuGIi3YVizS2w62cew6ZovrfLQPuw=:LUrh5rnh/v3eX1XR4KFN/CM4CtRxB9Zl7fKq4/c6il4=",
		"SCRAM-SHA-256$4096:MVGG8p/okhDjuchnua4K9Q=$Fh34+HTWS9cuLWiuGIi3YVizS2w62cew6ZovrfLQPuw=:LUrh5rnh/v3eX1XR4KFN/CM4CtRxB9Zl7fKq4/c6il4=",
		"SCRAM-SHA-256$4096:MVGG8p/okhDjuchnua4K9Q==$Fh34+HTWS9cuLWiuGIi3YVizS2w62cew6ZovrfLQ:LUrh5rnh/v3eX1XR4KFN/CM4CtRxB9Zl7fKq4/c6il4=",
	};
	struct scram_verifier v;
	char text[512];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		say(scram_verifier_parse(&v, bad[i]) < 0, "bad verifier %zu", i);

	size_t len = strlen(made[0].verifier), taken = 0;
	for (size_t n = 0; n < len; n++) {
		char *copy = strndup(made[0].verifier, n);
		taken += !scram_verifier_parse(&v, copy);
		free(copy);
	}
	say(!taken, "a verifier cut anywhere");
	snprintf(text, sizeof text, "%s=", made[0].verifier);
	say(scram_verifier_parse(&v, text) < 0 && !v.salt_len && !v.iterations, "something behind it");

	char long_salt[100];
	base64_encode(long_salt, (const uint8_t[66]){ 0 }, 64);
	snprintf(text, sizeof text, "SCRAM-SHA-256$1:%s$%s", long_salt, strchr(made[0].verifier + 14, '$') + 1);
	say(!scram_verifier_parse(&v, text) && v.salt_len == 64, "64 bytes of salt");
	base64_encode(long_salt, (const uint8_t[66]){ 0 }, 65);
	snprintf(text, sizeof text, "SCRAM-SHA-256$1:%s$%s", long_salt, strchr(made[0].verifier + 14, '$') + 1);
	say(scram_verifier_parse(&v, text) < 0, "65 are too many");
}

static void test_exchange(void)
{
	static const struct {
		const uint8_t *client, *server;
		bool plus, begins;
		const char *what;
	} kinds[] = {
		{ NULL, NULL, false, true, "no TLS" },
		{ NULL, cert, false, true, "client without channel binding" },
		{ cert, NULL, false, true, "client could, server not" },
		{ cert, cert, false, false, "PLUS was hidden from the client" },
		{ cert, cert, true, true, "PLUS" },
		{ cert, (const uint8_t *)"another certificate, in between.", true, true, "PLUS, man in the middle" },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct exchange x;

		begin(&x, kinds[i].client, kinds[i].server, kinds[i].plus);
		say(kinds[i].begins ? x.challenge_len > 0 : x.challenge_len == -3, "%s: begins",
			kinds[i].what);
		if (!kinds[i].begins)
			continue;
		bool meant = i != 5;
		say(meant ? finish(&x) > 0 : finish(&x) == -3, "%s: ends", kinds[i].what);
		if (meant) {
			say(!verify(&x), "%s: server proved", kinds[i].what);
			say(!memcmp(x.client_key, right.client_key, SCRAM_KEY), "%s: ClientKey", kinds[i].what);
		}
	}
}

static void test_wrong_password(void)
{
	struct exchange x;
	static const uint8_t zero[SCRAM_KEY];

	begin(&x, NULL, NULL, false);
	x.c.step = SCRAM_CHALLENGED;
	x.c.auth.len = (uint16_t)(strlen("n=,r=") + 24 + 1 + (size_t)x.challenge_len);
	x.final_len = scram_client_final(&x.c, x.final, SCRAM_OUT_MAX, &wrong);
	say(finish(&x) == -2 && x.why, "wrong password");
	say(!memcmp(x.client_key, zero, SCRAM_KEY), "gives no ClientKey");
	say(finish(&x) == -1, "and there is no second try");

	begin(&x, NULL, NULL, false);
	finish(&x);
	x.k = wrong;
	say(verify(&x) == -2, "wrong server");
	say(verify(&x) == -1, "and no second look");

	begin(&x, NULL, NULL, false);
	x.v.mock = true;
	say(finish(&x) == -2, "a mock fails even with the right proof");
}

static void test_mock(void)
{
	struct scram_verifier a, b, c, d;
	static const uint8_t secret[32] = "one", other[32] = "two";

	scram_verifier_mock(&a, secret, "nobody");
	scram_verifier_mock(&b, secret, "nobody");
	scram_verifier_mock(&c, secret, "nemo");
	scram_verifier_mock(&d, other, "nobody");
	say(a.mock && a.salt_len == 16 && a.iterations == 4096, "mock looks like ours");
	say(!memcmp(a.salt, b.salt, 16), "same user, same salt");
	say(memcmp(a.salt, c.salt, 16) && memcmp(a.salt, d.salt, 16), "else another");
}

static int server_first(const char *in, size_t len, const uint8_t *cb, bool plus, const char **why)
{
	struct scram_server s = { 0 };
	struct scram_verifier v;
	char out[SCRAM_OUT_MAX], *copy = malloc(len ? len : 1);

	memcpy(copy, in, len);
	scram_verifier_make(&v, &right, salt, sizeof salt, 4096);
	int n = scram_server_first(&s, out, sizeof out, copy, len, &v, nonce_b, cb, cb ? 32 : 0, plus,
		why);
	free(copy);
	return n;
}

static void test_server_first(void)
{
	static const struct {
		const char *in;
		bool plus, tls;
		int good;                       /* 1, or what it returns */
	} table[] = {
		{ "n,,n=,r=abc", false, false, 1 },
		{ "n,,n=alice,r=abc", false, true, 1 },
		{ "n,,n=al=2Cice,r=abc,x=ext", false, false, 1 },
		{ "y,,n=,r=abc", false, false, 1 },
		{ "p=tls-server-end-point,,n=,r=abc", true, true, 1 },
		{ "y,,n=,r=abc", false, true, -3 },
		{ "y,,n=,r=abc", true, true, -1 },
		{ "n,,n=,r=abc", true, true, -1 },
		{ "p=tls-server-end-point,,n=,r=abc", false, true, -1 },
		{ "p=tls-server-end-point,,n=,r=abc", true, false, -1 },
		{ "p=tls-unique,,n=,r=abc", true, true, -1 },
		{ "p=tls-server-end-points,,n=,r=abc", true, true, -1 },
		{ "p=,,n=,r=abc", true, true, -1 },
		{ "p", true, true, -1 },
		{ "n,a=bob,n=,r=abc", false, false, -1 },
		{ "n,a", false, false, -1 },
		{ "n,x,n=,r=abc", false, false, -1 },
		{ "N,,n=,r=abc", false, false, -1 },
		{ "n,n=,r=abc", false, false, -1 },
		{ "nn=,r=abc", false, false, -1 },
		{ "n,,m=ext,n=,r=abc", false, false, -1 },
		{ "n,,m", false, false, -1 },
		{ "n,,r=abc,n=", false, false, -1 },
		{ "n,,n=", false, false, -1 },
		{ "n,,n=,", false, false, -1 },
		{ "n,,n=,r=", false, false, -1 },
		{ "n,,n=,r=a b", false, false, -1 },
		{ "n,,n=,r=a\x7f" "b", false, false, -1 },
		{ "n,,n=,r=a\xc3\xa9", false, false, -1 },
		{ "n,,n=,r=abc,", false, false, -1 },
		{ "n,,n=,r=abc,x", false, false, -1 },
		{ "n,,n=,r=abc,xy=1", false, false, -1 },
		{ "", false, false, -1 },
	};
	const char *why;

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		why = "unset";
		int n = server_first(table[i].in, strlen(table[i].in), table[i].tls ? cert : NULL,
			table[i].plus, &why);
		say(table[i].good > 0 ? n > 0 : n == table[i].good && why && strcmp(why, "unset"),
			"client-first \"%s\"%s: %s", table[i].in, table[i].plus ? " PLUS" : "",
			n < 0 ? why : "taken");
	}
	say(server_first("n,,n=,r=a\0b", 11, NULL, false, &why) == -1, "a NUL in client-first");

	char big[SCRAM_MESSAGE_MAX + 1];
	memset(big, 'x', sizeof big);
	memcpy(big, "n,,n=,r=", 8);
	say(server_first(big, sizeof big - 1, NULL, false, &why) > 0, "1024 bytes of client-first");
	say(server_first(big, sizeof big, NULL, false, &why) == -1, "1025 are too many");
}

/* Every cut and every changed byte of a message must be refused, without reading past its end. */
static void test_mangled(void)
{
	struct exchange good, x;
	int taken = 0, n;
	const char *why;

	begin(&good, cert, cert, true);
	for (n = 0; n < good.first_len; n++)
		taken += server_first(good.first, (size_t)n, cert, true, &why) > 0 &&
			n < good.first_len - 23;
	say(!taken, "client-first cut before its nonce");

	for (n = taken = 0; n < good.final_len; n++) {
		x = good;
		char *copy = malloc(n ? (size_t)n : 1);
		memcpy(copy, good.final, (size_t)n);
		int r = scram_server_final(&x.s, x.end, SCRAM_OUT_MAX, copy, (size_t)n, &x.v,
			x.client_key, &why);
		taken += r != -1 && r != -3;
		free(copy);
	}
	say(!taken, "client-final cut anywhere");

	for (n = taken = 0; n < good.final_len; n++) {
		x = good;
		x.final[n] ^= 1;
		taken += finish(&x) > 0;
	}
	say(taken == 0, "client-final with a wrong bit anywhere (%d taken)", taken);

	x = good;
	finish(&x);
	good = x;
	for (n = taken = 0; n < good.end_len; n++) {
		x = good;
		x.end_len = n;
		taken += verify(&x) != -1;
		x = good;
		x.end[n] ^= 1;
		taken += verify(&x) == 0;
	}
	say(!taken, "server-final cut or with a wrong bit anywhere");
}

static void test_server_final(void)
{
	struct exchange x;
	const char *comma;

	begin(&x, NULL, NULL, false);
	comma = memrchr(x.final, ',', (size_t)x.final_len);
	say(!strncmp(x.final, "c=biws,r=", 9) && comma[1] == 'p', "client-final without binding");

	static const char *const bad[] = {
		"c=biws", "c=biws,r=", "c=eSws,r=x,p=", "r=x,c=biws", "c=,r=", "p=abcd", "c=biws,,r=x", "c",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct exchange y = x;

		y.final_len = snprintf(y.final, SCRAM_OUT_MAX, "%s", bad[i]);
		say(finish(&y) == -1 && y.why, "client-final \"%s\": %s", bad[i], y.why);
	}

	struct exchange y = x;
	y.final_len = snprintf(y.final, SCRAM_OUT_MAX, "%.*s,p=", (int)(comma - x.final), x.final);
	say(finish(&y) == -1, "no proof");
	y = x;
	y.final_len += snprintf(y.final + y.final_len, 8, ",x=1");
	say(finish(&y) == -1, "something behind the proof");
	y = x;
	y.final_len = snprintf(y.final, SCRAM_OUT_MAX, "%.*s,x=1%.*s", (int)(comma - x.final), x.final,
		(int)(x.final + x.final_len - comma), comma);
	say(finish(&y) == -2, "an extension that the proof does not cover");
	y = x;
	say(scram_server_final(&y.s, y.end, 46, y.final, (size_t)y.final_len, &y.v, y.client_key,
		&y.why) == -1, "no room for server-final");
}

static int challenge(const char *text)
{
	struct scram_client c = { 0 };
	char out[SCRAM_OUT_MAX];
	const char *why = NULL;

	scram_client_first(&c, out, sizeof out, nonce_a, NULL, 0, false);
	int r = scram_client_challenge(&c, text, strlen(text), &why);
	say(r == 0 || (r == -1 && why), "server-first \"%.60s\": %s", text, r ? why : "taken");
	return r;
}

static void test_client(void)
{
	char ours[25], text[2048], big[1500] = "";
	static const struct {
		const char *format;
		int result;
	} table[] = {
		{ "r=%sabc,s=c2FsdA==,i=4096", 0 }, { "r=%sabc,s=c2FsdA==,i=1", 0 },
		{ "r=%sabc,s=c2FsdA==,i=1000000", 0 }, { "r=%sabc,s=c2FsdA==,i=4096,x=1", 0 },
		{ "r=%s,s=c2FsdA==,i=4096", -1 }, { "r=x%sabc,s=c2FsdA==,i=4096", -1 },
		{ "r=%sa b,s=c2FsdA==,i=4096", -1 }, { "r=%sabc,s=,i=4096", -1 },
		{ "r=%sabc,s=c2FsdA=,i=4096", -1 }, { "r=%sabc,s=c2FsdA==,i=0", -1 },
		{ "r=%sabc,s=c2FsdA==,i=", -1 }, { "r=%sabc,s=c2FsdA==,i=1000001", -1 },
		{ "r=%sabc,s=c2FsdA==,i=4294971392", -1 }, { "r=%sabc,s=c2FsdA==,i=-1", -1 },
		{ "r=%sabc,s=c2FsdA==,i=4096x", -1 }, { "r=%sabc,s=c2FsdA==", -1 },
		{ "r=%sabc,i=4096,s=c2FsdA==", -1 }, { "m=x,r=%sabc,s=c2FsdA==,i=4096", -1 },
		{ "r=%sabc,s=c2FsdA==,i=4096,", -1 }, { "%s", -1 }, { "e=other-error", -1 },
	};

	base64_encode(ours, nonce_a, SCRAM_NONCE);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		snprintf(text, sizeof text, table[i].format, ours);
		say(challenge(text) == table[i].result, "as meant");
	}
	memset(big, 'A', 88);
	snprintf(text, sizeof text, "r=%sabc,s=%s,i=1", ours, big);
	say(challenge(text) < 0, "salt of 66 bytes");
	memset(big, 'A', 1400);
	snprintf(text, sizeof text, "r=%s%s,s=c2FsdA==,i=1", ours, big);
	say(challenge(text) < 0, "too long");

	struct scram_client c = { 0 };
	const char *why;
	say(scram_client_final(&c, text, sizeof text, &right) == -1, "final before first");
	say(scram_client_first(&c, text, sizeof text, nonce_a, NULL, 0, false) == -1, "stays failed");
	c = (struct scram_client){ 0 };
	say(scram_client_challenge(&c, "r=a", 3, &why) == -1, "challenge before first");
	c = (struct scram_client){ 0 };
	say(scram_client_first(&c, text, 20, nonce_a, NULL, 0, false) == -1, "no room for client-first");
	c = (struct scram_client){ 0 };
	say(scram_client_first(&c, text, sizeof text, nonce_a, cert, 65, true) == -1, "binding too long");
	c = (struct scram_client){ 0 };
	say(scram_client_first(&c, text, sizeof text, nonce_a, NULL, 0, true) == -1, "PLUS without binding");

	struct exchange x;
	begin(&x, NULL, NULL, false);
	say(scram_client_verify(&x.c, "e=invalid-proof", 15, &right, &x.why) == -1, "e=: %s", x.why);
}

/* Made by Python's hashlib and hmac: the hash of a certificate signed with SHA-256, and with
 * SHA-512. */
static void test_plus(void)
{
	static const struct {
		const char *certificate, *c, *p, *v;
		size_t len;
	} vectors[] = {
		{ "81acd762140fa692a142822d2fbe4dc6f54bcaa501f68ab37e5aeed0bafe4d99",
		  "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsgazXYhQPppKhQoItL75NxvVLyqUB9oqzflru0Lr+TZk=",
		  "z+9B/UP5kdWOq4/xYiou4On0dHGoOz4nGzFJglOS/tw=",
		  "v=yxBkgsQPfLb3dA7ZhAqGAKlvNyVewwKTECzPTO388z8=", 32 },
		{ "db819b5cbf393ade5b8d3dd23fb202a49a6acbd5a3102e79ee70c5b24d87ebcd"
		  "a146b1bbdc7f1380ba7b3b2c6616a98f91e2452035c9f75fb7748c9227d0189c",
		  "cD10bHMtc2VydmVyLWVuZC1wb2ludCws24GbXL85Ot5bjT3SP7ICpJpqy9WjEC557nDFsk2H682h"
		  "RrG73H8TgLp7OyxmFqmPkeJFIDXJ91+3dIySJ9AYnA==",
		  "W/nlPgrgZxcLPT0SMh2sS8awsurmZGtNy0QAHnVrNnA=",
		  "v=Mvff31X8mH8S8jSB6kyydZ/mJhT637TN9AFuS1mRadE=", 64 },
	};
	static const char first[] = "p=tls-server-end-point,,n=,r=Y2xpZW50J3Mgbm9uY2UgMTgA";
	static const char nonce[] = "Y2xpZW50J3Mgbm9uY2UgMTgAc2VydmVyJ3Mgbm9uY2UgMTgA";
	char final[SCRAM_OUT_MAX];
	uint8_t cb[64];

	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		struct exchange x = { .k = right };

		for (size_t k = 0; k < vectors[i].len; k++) {
			unsigned byte;
			sscanf(vectors[i].certificate + 2 * k, "%2x", &byte);
			cb[k] = (uint8_t)byte;
		}
		scram_verifier_make(&x.v, &right, salt, sizeof salt, 4096);
		x.first_len = scram_client_first(&x.c, x.first, SCRAM_OUT_MAX, nonce_a, cb,
			vectors[i].len, true);
		say(x.first_len == sizeof first - 1 && !memcmp(x.first, first, sizeof first - 1),
			"PLUS, %zu bytes: client-first", vectors[i].len);
		x.challenge_len = scram_server_first(&x.s, x.challenge, SCRAM_OUT_MAX, x.first,
			(size_t)x.first_len, &x.v, nonce_b, cb, vectors[i].len, true, &x.why);
		scram_client_challenge(&x.c, x.challenge, (size_t)x.challenge_len, &x.why);
		x.final_len = scram_client_final(&x.c, x.final, SCRAM_OUT_MAX, &x.k);
		int n = snprintf(final, sizeof final, "c=%s,r=%s,p=%s", vectors[i].c, nonce,
			vectors[i].p);
		say(x.final_len == n && !memcmp(x.final, final, (size_t)n), "client-final");
		say(finish(&x) == (int)strlen(vectors[i].v)
			&& !memcmp(x.end, vectors[i].v, (size_t)x.end_len), "server-final");
		say(!verify(&x), "and the server has proved itself");
	}
}

/* The ClientKey of a client's login is good for a backend with the same salt and iterations,
 * whatever channels the two exchanges are bound to. */
static void test_pass_through(void)
{
	struct exchange x, y;

	begin(&x, cert, cert, true);
	finish(&x);
	memset(&y, 0, sizeof y);
	y.v = x.v;
	memcpy(y.k.client_key, x.client_key, SCRAM_KEY);
	memcpy(y.k.server_key, x.v.server_key, SCRAM_KEY);
	say(scram_keys_fit(&y.k, &y.v), "recovered keys fit the verifier");
	y.first_len = scram_client_first(&y.c, y.first, SCRAM_OUT_MAX, nonce_b, NULL, 0, false);
	y.challenge_len = scram_server_first(&y.s, y.challenge, SCRAM_OUT_MAX, y.first,
		(size_t)y.first_len, &y.v, nonce_a, NULL, 0, false, &y.why);
	scram_client_challenge(&y.c, y.challenge, (size_t)y.challenge_len, &y.why);
	y.final_len = scram_client_final(&y.c, y.final, SCRAM_OUT_MAX, &y.k);
	say(finish(&y) > 0 && !verify(&y), "pass-through");
}

static void test_saslprep(void)
{
	static const struct {
		const char *in, *out;           /* out NULL: refused */
	} table[] = {
		{ "", "" }, { "plain \x01 ascii", "plain \x01 ascii" },
		{ "I\xc2\xadX", "IX" }, { "a\xe3\x80\x80" "b", "a b" }, { "\xc3\xa9", "\xc3\xa9" },
		{ "\xc2\xad", NULL }, { "\xc2", NULL }, { "\xc0\x80", NULL }, { "\xe0\x80\x80", NULL },
		{ "\xed\xa0\x80", NULL }, { "\xf4\x90\x80\x80", NULL }, { "\xf8\x88\x80\x80\x80", NULL },
		{ "\x80", NULL }, { "\xe2\x82", NULL }, { "\xc3\xa9\x07", NULL }, { "\xc3\xa9\x7f", NULL },
		{ "\xee\x80\x80", NULL }, { "\xef\xbf\xbd", NULL }, { "\xf0\x9f\x99\x82", NULL },
		{ "\xf0\xa0\x80\x80", "\xf0\xa0\x80\x80" },
		/* Accents that stand alone, in any order; ligatures; full width; a Roman number. */
		{ "cafe\xcc\x81", "caf\xc3\xa9" }, { "\xef\xac\x81n", "fin" },
		{ "\xef\xbc\xa1" "bc", "Abc" }, { "x\xe2\x85\xa8", "xIX" }, { "a\xc2\xaa", "aa" },
		{ "o\xcc\xa3\xcc\x82", "\xe1\xbb\x99" }, { "o\xcc\x82\xcc\xa3", "\xe1\xbb\x99" },
		/* Hangul from its letters; Ohm and Angstrom. */
		{ "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c" },
		{ "\xe2\x84\xa6\xe2\x84\xab", "\xce\xa9\xc3\x85" },
		/* From right to left: alone, beside a digit, with Latin, with a digit at the end. */
		{ "\xd7\x90\xd7\x91", "\xd7\x90\xd7\x91" }, { "\xd7\x90" "1\xd7\x91", "\xd7\x90" "1\xd7\x91" },
		{ "\xd7\x90" "a\xd7\x91", NULL }, { "\xd7\x90" "1", NULL },
	};
	char out[64];

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		int n = scram_saslprep(out, sizeof out, table[i].in);
		say(table[i].out ? n == (int)strlen(table[i].out) && !strcmp(out, table[i].out) : n == -1,
			"SASLprep %zu", i);
	}
	say(scram_saslprep(out, 4, "abcd") == -1 && scram_saslprep(out, 5, "abcd") == 4, "room");
}

static void test_long_password(void)
{
	char password[3000];
	struct scram_keys a, b;

	memset(password, 'p', sizeof password);
	scram_derive(&a, password, sizeof password, salt, sizeof salt, 2);
	password[2999] = 'q';
	scram_derive(&b, password, sizeof password, salt, sizeof salt, 2);
	say(memcmp(&a, &b, sizeof a), "every byte of a long password counts");
	scram_derive(&a, "\xc3\xa9\0x", 4, salt, sizeof salt, 2);
	scram_derive(&b, "\xc3\xa9", 2, salt, sizeof salt, 2);
	say(memcmp(&a, &b, sizeof a), "and those behind a NUL");
}

static void report_speed(void)
{
	struct timespec from, to;
	struct scram_keys k;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (int i = 0; i < 20; i++)
		scram_derive(&k, "pencil", 6, salt, sizeof salt, 4096);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	printf("# scram_derive, 4096 iterations: %.2f ms\n", ((double)(to.tv_sec - from.tv_sec) * 1e3 +
		(double)(to.tv_nsec - from.tv_nsec) / 1e6) / 20);
}

int main(void)
{
	scram_derive(&right, "pencil", 6, salt, sizeof salt, 4096);
	scram_derive(&wrong, "pencils", 7, salt, sizeof salt, 4096);

	test_pbkdf2();
	test_base64();
	test_rfc7677();
	test_postgresql();
	test_bad_verifiers();
	test_exchange();
	test_wrong_password();
	test_mock();
	test_server_first();
	test_mangled();
	test_server_final();
	test_client();
	test_plus();
	test_pass_through();
	test_saslprep();
	test_long_password();
	report_speed();
	return done();
}
