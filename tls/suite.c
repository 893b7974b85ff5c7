#include "tls/suite.h"

#include <bearssl_ssl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { WORD_MAX = 80 };

/* One bit each, in the order of a processor that has instructions for AES. */
enum {
	EC_128 = 1, RSA_128 = 2, EC_256 = 4, RSA_256 = 8, EC_CHACHA = 16, RSA_CHACHA = 32,
	NONE = 0,
	ALL = 63,
	AES128 = EC_128 | RSA_128, AES256 = EC_256 | RSA_256, AES = AES128 | AES256,
	CHACHA = EC_CHACHA | RSA_CHACHA,
	BY_EC = EC_128 | EC_256 | EC_CHACHA, BY_RSA = RSA_128 | RSA_256 | RSA_CHACHA
};

static const uint16_t numbers[TLS_SUITES] = {
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
};

/* OpenSSL's words, with blanks between them.  Words that are NONE here are known, and taking them
 * out loses nothing. */
static const struct {
	uint8_t set;
	const char *words;
} vocabulary[] = {
	{ ALL, "ALL DEFAULT HIGH TLSv1.2 ECDHE kECDHE EECDH kEECDH ECDH" },
	{ AES, "AES AESGCM FIPS" }, { AES128, "AES128" }, { AES256, "AES256" },
	{ CHACHA, "CHACHA20" }, { BY_RSA, "aRSA" }, { BY_EC, "aECDSA ECDSA" },
	{ EC_128, "ECDHE-ECDSA-AES128-GCM-SHA256" }, { RSA_128, "ECDHE-RSA-AES128-GCM-SHA256" },
	{ EC_256, "ECDHE-ECDSA-AES256-GCM-SHA384" }, { RSA_256, "ECDHE-RSA-AES256-GCM-SHA384" },
	{ EC_CHACHA, "ECDHE-ECDSA-CHACHA20-POLY1305" },
	{ RSA_CHACHA, "ECDHE-RSA-CHACHA20-POLY1305" },
	{ NONE, "MEDIUM LOW EXP EXPORT aNULL eNULL NULL ADH AECDH 3DES DES RC2 RC4 IDEA SEED "
		"CAMELLIA CAMELLIA128 CAMELLIA256 ARIA ARIA128 ARIA256 ARIAGCM AESCCM AESCCM8 "
		"MD5 SHA SHA1 SHA256 SHA384 PSK kPSK aPSK SRP kSRP aSRP DSS aDSS DH DHE EDH kDHE "
		"kEDH kDH aDH aECDH kECDH RSA kRSA TLSv1 TLSv1.0 SSLv2 SSLv3 COMPLEMENTOFALL "
		"COMPLEMENTOFDEFAULT" },
};

/* Is it one of these words? */
static bool is_one_of(const char *words, const char *text, size_t len)
{
	for (size_t n; n = strcspn(words, " "), n; words += n + (words[n] == ' '))
		if (n == len && !memcmp(words, text, n))
			return true;
	return false;
}

/* The list so far, as bits in order. */
struct list {
	uint8_t suite[TLS_SUITES];
	size_t n;
	unsigned killed;
};

static bool is_in(const struct list *l, unsigned bit)
{
	return memchr(l->suite, (int)bit, l->n) != NULL;
}

static void add(struct list *l, unsigned bit)
{
	if (!is_in(l, bit) && !(l->killed & bit))
		l->suite[l->n++] = (uint8_t)bit;
}

static void take_out(struct list *l, unsigned set)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++)
		if (!(l->suite[i] & set))
			l->suite[kept++] = l->suite[i];
	l->n = kept;
}

static void move_to_end(struct list *l, unsigned set)
{
	struct list before = *l;

	take_out(l, set);
	for (size_t i = 0; i < before.n; i++)
		if (before.suite[i] & set)
			add(l, before.suite[i]);
}

/* AES first where there are instructions for it; elsewhere ChaCha20 is several times faster. */
static void add_set(struct list *l, unsigned set)
{
	static const uint8_t with[] = { AES, CHACHA }, without[] = { CHACHA, AES };
	bool has_aes = br_aes_x86ni_ctr_get_vtable() || br_aes_pwr8_ctr_get_vtable();
	const uint8_t *order = has_aes ? with : without;

	for (size_t part = 0; part < COUNT(with); part++)
		for (unsigned bit = 1; bit <= ALL; bit <<= 1)
			if (set & bit & order[part])
				add(l, bit);
}

/* @STRENGTH: by the length of keys, as ChaCha20 has 256 bits, too. */
static void sort(struct list *l)
{
	move_to_end(l, AES128);
}

/* The suites that a word selects; -1 if it is unknown. */
static int find(const char *text, size_t len)
{
	for (size_t i = 0; i < COUNT(vocabulary); i++)
		if (is_one_of(vocabulary[i].words, text, len))
			return vocabulary[i].set;
	return -1;
}

/* The suites of "A+B+C"; -1 if one of its words is unknown. */
static int select_set(const char *text, size_t len)
{
	const char *plus = memchr(text, '+', len);
	int set = find(text, plus ? (size_t)(plus - text) : len);

	if (!plus || set < 0)
		return set;
	int others = select_set(plus + 1, len - (size_t)(plus + 1 - text));
	return others < 0 ? others : set & others;
}

/* Suites that do not exist here need not be taken out.  If they are asked for they are missed,
 * except MEDIUM: it is in Pgpool-II's default and has had no members for years. */
static bool is_missed(const char *text, size_t len, int set)
{
	if (*text == '!' || *text == '-')
		return set < 0 && !memchr(text + 1, '-', len - 1);
	return set < 0 || (!set && *text != '+' && (len != 6 || memcmp(text, "MEDIUM", 6)));
}

static void tell_missed(const char *what, const char *text, size_t len, const char *instead,
	tls_suite_warn warn, void *ctx)
{
	char line[WORD_MAX + 200];

	snprintf(line, sizeof line, "%s: \"%.*s\" selects nothing here: choose from %s", what,
		(int)(len < WORD_MAX ? len : WORD_MAX), text, instead);
	warn(ctx, line);
}

static void apply(struct list *l, const char *text, size_t len, tls_suite_warn warn, void *ctx)
{
	bool has_sign = strchr("!-+", *text) != NULL;

	if (len == 9 && !memcmp(text, "@STRENGTH", len)) {
		sort(l);
		return;
	}
	int set = select_set(text + has_sign, len - has_sign);
	if (is_missed(text, len, set))
		tell_missed("ssl_ciphers", text, len, "ECDHE with AESGCM or CHACHA20, for aRSA and "
			"aECDSA", warn, ctx);
	if (set <= 0)
		return;
	if (*text == '+') {
		move_to_end(l, (unsigned)set);
		return;
	}
	if (!has_sign) {
		add_set(l, (unsigned)set);
		return;
	}
	take_out(l, (unsigned)set);
	if (*text == '!')
		l->killed |= (unsigned)set;
}

size_t tls_suites(const char *text, uint16_t out[static TLS_SUITES], tls_suite_warn warn, void *ctx)
{
	static const char separators[] = ":, ;";
	struct list l = { .n = 0 };

	for (size_t n; text += strspn(text, separators), n = strcspn(text, separators); text += n)
		apply(&l, text, n, warn, ctx);
	for (size_t i = 0; i < l.n; i++)
		for (size_t k = 0; k < TLS_SUITES; k++)
			if (l.suite[i] == 1u << k)
				out[i] = numbers[k];
	return l.n;
}

uint32_t tls_curves(const char *text, tls_suite_warn warn, void *ctx)
{
	static const struct { const char *name; int curve; } known[] = {
		{ "prime256v1", BR_EC_secp256r1 }, { "secp256r1", BR_EC_secp256r1 },
		{ "P-256", BR_EC_secp256r1 }, { "X25519", BR_EC_curve25519 },
	};
	static const char separators[] = ":, ";
	uint32_t curves = 0;

	for (size_t n; text += strspn(text, separators), n = strcspn(text, separators); text += n) {
		size_t i = 0;

		while (i < COUNT(known) && (strlen(known[i].name) != n
		       || strncasecmp(known[i].name, text, n)))
			i++;
		if (i < COUNT(known))
			curves |= 1u << known[i].curve;
		else
			tell_missed("ssl_ecdh_curve", text, n, "prime256v1 and X25519", warn, ctx);
	}
	return curves;
}
