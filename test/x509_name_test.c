/* x509_name_test.c - names in all encodings, and how much of them is compared.  What constraints mean is
 * told by the chains of test_chains.py. */
#include "tls/x509_name.h"

#include "t.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 70000 };

/* An element around what stands in out[0..n); returns its length. */
static size_t wrap(uint8_t *out, size_t n, int tag)
{
	size_t head = n < 0x80 ? 2 : n < 0x10000 ? 4 : 0;

	memmove(out + head, out, n);
	out[0] = (uint8_t)tag;
	out[1] = head == 2 ? (uint8_t)n : 0x82;
	if (head == 4) {
		out[2] = (uint8_t)(n >> 8);
		out[3] = (uint8_t)n;
	}
	return head + n;
}

static size_t attribute(uint8_t *out, char type, int tag, struct bytes value)
{
	size_t n = 5;

	memcpy(out, (const uint8_t[]){ 6, 3, 0x55, 4, (uint8_t)type }, n);
	memcpy(out + n, value.at, value.n);
	return wrap(out, n + wrap(out + n, value.n, tag), DER_SEQUENCE);
}

/* A name of one RDN with these many organizational units, in or against their order. */
static struct bytes units(uint8_t *out, size_t count, bool backwards)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		uint8_t c = (uint8_t)('a' + (backwards ? count - 1 - i : i));

		n += attribute(out + n, 11, DER_PRINTABLE, (struct bytes){ &c, 1 });
	}
	return (struct bytes){ out, wrap(out, wrap(out, n, DER_SET), DER_SEQUENCE) };
}

static struct bytes common_name(uint8_t *out, int tag, struct bytes value)
{
	size_t n = attribute(out, 3, tag, value);

	return (struct bytes){ out, wrap(out, wrap(out, n, DER_SET), DER_SEQUENCE) };
}

#define S(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

static const struct {
	int tag;
	struct bytes value;
	int other_tag;
	struct bytes other;
	bool same;
} pairs[] = {
	{ DER_UTF8, S("Example"), DER_PRINTABLE, S("eXAMPLE"), true },
	{ DER_UTF8, S("Example"), DER_PRINTABLE, S("Exampl"), false },
	{ DER_IA5, S(" Big\t \n Example "), DER_VISIBLE, S("big example"), true },
	{ DER_IA5, S("BigExample"), DER_VISIBLE, S("big example"), false },
	{ DER_UTF8, S("a"), DER_BMP, S("\0A"), true },
	{ DER_UTF8, S("a"), DER_UNIVERSAL, S("\0\0\0A"), true },
	{ DER_UTF8, S("\xc3\xa9"), DER_T61, S("\xe9"), true },
	{ DER_UTF8, S("\xe2\x82\xac"), DER_BMP, S("\x20\xac"), true },
	{ DER_UTF8, S("\xf0\x9f\x90\x98"), DER_UNIVERSAL, S("\0\1\xf4\x18"), true },
	{ DER_UTF8, S("\xc3\xa9"), DER_UTF8, S("\xc3\x89"), false },           /* only ASCII has no case */
	{ DER_UTF8, S("  "), DER_UTF8, S(""), true },
	{ DER_UTF8, S("a\0b"), DER_PRINTABLE, S("a"), false },
	{ DER_UTF8, S("\xc3"), DER_T61, S("\xc3"), false },
	{ DER_UTF8, S("\xc0\x80"), DER_UNIVERSAL, S("\0\0\0\0"), false },
	{ DER_UTF8, S("\xe0\x80\x80"), DER_UNIVERSAL, S("\0\0\0\0"), false },
	{ DER_BMP, S("\0a\0"), DER_UTF8, S("a"), false },
	{ DER_UNIVERSAL, S("\xff\xff\xff\xff"), DER_UTF8, S(""), false },
	{ DER_OCTETS, S("a"), DER_UTF8, S("a"), false },
	{ DER_OCTETS, S("a"), DER_OCTETS, S("A"), false },
};

static void test_pairs(void)
{
	uint8_t a[100], b[100];

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct bytes one = common_name(a, pairs[i].tag, pairs[i].value);
		struct bytes other = common_name(b, pairs[i].other_tag, pairs[i].other);

		say(x509_same_name(one, other) == pairs[i].same
			&& x509_same_name(other, one) == pairs[i].same, "pair %zu", i);
	}
}

static void test_sets(void)
{
	static uint8_t a[ROOM], b[ROOM];

	say(x509_same_name(units(a, 8, false), units(b, 8, true)), "eight attributes in another order");
	say(!x509_same_name(units(a, 7, false), units(b, 8, false)), "seven and eight");
	say(!x509_same_name(units(a, 9, false), units(b, 9, true)), "nine are too many");
	say(x509_same_name(units(a, 2000, false), units(b, 2000, false)), "but may be the very same");
	struct bytes cut = units(a, 3, false);
	cut.n--;
	say(!x509_same_name(cut, units(b, 3, true)) && !x509_same_name(units(b, 3, true), cut), "a cut one");
	say(!x509_same_name((struct bytes){ NULL, 0 }, units(b, 1, false)), "none");
}

/* dNSNames, or subtrees of such: "a" each. */
static struct bytes many(uint8_t *out, size_t count, bool are_trees)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		const uint8_t name[] = { 0x82, 1, 'a' };

		memcpy(out + n, name, sizeof name);
		n += are_trees ? wrap(out + n, sizeof name, DER_SEQUENCE) : sizeof name;
	}
	return (struct bytes){ out, n };
}

static void test_amounts(void)
{
	static uint8_t names[ROOM], trees[ROOM], subject[100];
	static const struct { size_t names, trees; enum x509_limit permitted, excluded; } cases[] = {
		{ 0, 0, X509_WITHIN, X509_WITHIN }, { 1, 0, X509_WITHIN, X509_WITHIN },
		{ 1, 1, X509_WITHIN, X509_EXCLUDED }, { 100, 100, X509_WITHIN, X509_EXCLUDED },
		{ 129, 128, X509_UNJUDGED, X509_EXCLUDED }, { 10000, 10000, X509_UNJUDGED, X509_EXCLUDED },
		{ 10000, 2, X509_UNJUDGED, X509_EXCLUDED },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes list = many(trees, cases[i].trees, true);
		struct x509 c = { .alt_names = many(names, cases[i].names, false),
			.subject = { subject, wrap(subject, 0, DER_SEQUENCE) } };
		struct x509 permits = { .permitted = list }, excludes = { .excluded = list };

		say(x509_limit(&permits, &c, true) == cases[i].permitted, "%zu names, %zu permitted",
			cases[i].names, cases[i].trees);
		say(x509_limit(&excludes, &c, true) == cases[i].excluded, "%zu names, %zu excluded",
			cases[i].names, cases[i].trees);
	}
}

int main(void)
{
	test_pairs();
	test_sets();
	test_amounts();
	return done();
}
