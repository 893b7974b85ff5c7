/* wire_test.c - every reader and writer, cut at every byte, written into every length of block. */
#include "wire.c"

#include <stdlib.h>

#include "t.h"

#define BYTES(s) (const uint8_t *)(s), sizeof (s) - 1
#define HAS(o, s) ((o)->len == sizeof (s) - 1 && !memcmp((o)->base, s, sizeof (s) - 1))

/* The same bytes where reading one more is a crash under ASan. */
static uint8_t *exact(const void *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		abort();
	memcpy(copy, p, n);
	return copy;
}

/* --- finding a message --- */

static void test_next(void)
{
	static const struct {
		const char *bytes;
		size_t n, max;
		long want;
	} cases[] = {
		{ "S\0\0\0\4", 5, 100, 5 },                     /* Sync: the shortest there is */
		{ "S\0\0\0\4X", 6, 100, 5 },
		{ "Q\0\0\0\7a;", 7, 100, WIRE_MORE },
		{ "Q\0\0\0\6a;", 7, 100, 7 },
		{ "Q\0\0\0\6a;", 7, 7, 7 },
		{ "Q\0\0\0\6a;", 7, 6, WIRE_BAD },
		{ "Q\0\0\0\3a;", 7, 100, WIRE_BAD },
		{ "Q\0\0\0\0a;", 7, 100, WIRE_BAD },
		{ "Q\377\377\377\377", 5, 1 << 30, WIRE_BAD },
		{ "Q\200\0\0\0", 5, 1 << 30, WIRE_BAD },
		{ "Q\0\0\x10\0", 5, 4096, WIRE_BAD },
		{ "Q\0\0\x0f\377", 5, 4096, WIRE_MORE },
	};
	struct msg m;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t *p = exact(cases[i].bytes, cases[i].n);
		say(wire_next(&m, p, cases[i].n, cases[i].max) == cases[i].want, "next %zu", i);
		free(p);
	}
	wire_next(&m, BYTES("D\0\0\0\6abX"), 100);
	say(m.type == 'D' && m.end - m.at == 2 && !memcmp(m.at, "ab", 2) && !m.broken, "its body");
	wire_next(&m, BYTES("\377\0\0\0\4"), 100);
	say((uint8_t)m.type == 0xff && m.at == m.end, "any byte is a type");
	say(wire_u32((const uint8_t *)"\xfe\xdc\xba\x98") == 0xfedcba98, "u32 has all its bits");
}

static void test_next_cut(void)
{
	static const char whole[] = "P\0\0\0\x0estmt\0a;\0\0\0";
	size_t n = sizeof whole - 1;
	bool ok = true;

	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *p = exact(whole, cut);
		struct msg m = { .type = '?' };
		ok &= wire_next(&m, p, cut, 1000) == WIRE_MORE && m.type == '?';
		free(p);
	}
	say(ok, "a message cut anywhere is awaited, and m is left alone");
}

/* --- reading --- */

static void test_get(void)
{
	static const char body[] = "\1\2\3\4\xfe\xffname\0\0\x80\0\0\1";
	size_t n = sizeof body - 1;

	for (size_t cut = 0; cut <= n; cut++) {
		uint8_t *p = exact(body, cut);
		struct msg m = { .at = p, .end = p + cut };
		bool ok = msg_u32(&m) == (cut >= 4 ? 0x01020304 : 0);
		ok &= msg_u16(&m) == (cut >= 6 ? 0xfeff : 0);
		ok &= !strcmp(msg_text(&m), cut >= 11 ? "name" : "");
		ok &= !strcmp(msg_text(&m), "");
		ok &= m.broken == (cut < 12);
		ok &= msg_u32(&m) == (cut >= 16 ? 0x80000001 : 0);
		ok &= m.broken == (cut < 16) && m.at == m.end;
		say(ok, "fields of %zu bytes", cut);
		free(p);
	}
}

/* After one field was missing nothing else is read, even if it would fit. */
static void test_broken(void)
{
	const uint8_t *p = (const uint8_t *)"\0\1\0";
	struct msg m = { .at = p, .end = p + 3 };

	say(msg_u32(&m) == 0 && m.broken, "a number that is not there");
	say(msg_u16(&m) == 0 && m.broken && m.at == m.end, "then no smaller one either");
	say(*msg_text(&m) == 0 && m.broken, "and no text");
	m = (struct msg){ .at = p, .end = p + 3, .broken = true };
	say(msg_u16(&m) == 0 && *msg_text(&m) == 0 && m.broken, "broken stays broken");
	m = (struct msg){ .at = p + 3, .end = p + 3 };
	say(*msg_text(&m) == 0 && m.broken, "no text in nothing");
}

static void test_field(void)
{
	static const char body[] = "SERROR\0VERROR\0C42P01\0Mno such table\0D\0";
	size_t n = sizeof body;
	const uint8_t *p = (const uint8_t *)body;
	const char *f;
	bool ok = true;

	say((f = wire_field(p, n, 'C')) && !strcmp(f, "42P01"), "SQLSTATE");
	say((f = wire_field(p, n, 'M')) && !strcmp(f, "no such table"), "message");
	say((f = wire_field(p, n, 'D')) && !*f, "an empty field is there");
	say(!wire_field(p, n, 'H') && !wire_field(p, n, 'R'), "others are not");
	say(!wire_field(p, n, 0) && !wire_field(p, n, 'E'),
	    "neither the end nor the inside of one");
	say(!wire_field((const uint8_t *)"", 0, 'C'), "nothing in nothing");
	say(!wire_field(BYTES("\0Cx\0"), 'C'), "nothing behind the end");
	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *copy = exact(body, cut);
		ok &= !wire_field(copy, cut, 'C') == (cut < 21) && !wire_field(copy, cut, 'H');
		free(copy);
	}
	say(ok, "cut anywhere");
}

/* --- writing --- */

static const struct report report = { "FATAL", "57P03", "not now", "why", "wait" };

static void put_all(struct put *o)
{
	put_byte(o, 0xff);
	put_u16(o, 0x8001);
	put_u32(o, 0x80000002);
	put_bytes(o, "ab", 2);
	put_bytes(o, NULL, 0);
	put_text(o, "c");
	put_text(o, "");
	put_begin(o, 0);
	put_u32(o, WIRE_V3_0);
	put_end(o);
	put_message(o, 'd', "xyz", 3);
	put_message(o, 'S', NULL, 0);
	put_query(o, "BEGIN");
	put_ready(o, 'I');
	put_report(o, 'E', &report);
	put_report(o, 'N', &(struct report){ .severity = "NOTICE", .message = "" });
}

static const char all[] =
	"\xff\x80\1\x80\0\0\2" "abc\0\0"
	"\0\0\0\x8\0\3\0\0" "d\0\0\0\7xyz" "S\0\0\0\4" "Q\0\0\0\x0a" "BEGIN\0" "Z\0\0\0\5I"
	"E\0\0\0\x2e" "SFATAL\0VFATAL\0C57P03\0Mnot now\0Dwhy\0Hwait\0\0"
	"N\0\0\0\x17SNOTICE\0VNOTICE\0M\0";     /* and the list's end */

static void test_put(void)
{
	uint8_t block[256];
	struct put o = { .base = block, .cap = sizeof block };

	put_all(&o);
	say(!o.full && o.len == sizeof all && !memcmp(block, all, sizeof all), "every writer");

	struct msg m;
	long n = wire_next(&m, block + 50, o.len - 50, 1000);
	say(n == 47 && m.type == 'E', "what was written is found: %ld", n);
	say(!strcmp(wire_field(m.at, (size_t)(m.end - m.at), 'H'), "wait"), "and read");
}

/* Blocks of every length: nothing behind the end is touched (ASan), and what is there
 * before the first thing that did not fit is right. */
static void test_full(void)
{
	bool ok = true;

	for (size_t cap = 0; cap <= sizeof all; cap++) {
		uint8_t *block = malloc(cap ? cap : 1);
		struct put o = { .base = block, .cap = cap };

		put_all(&o);
		ok &= o.full == (cap < sizeof all) && o.len <= cap;
		if (o.len >= 12)
			ok &= !memcmp(block, all, 12);
		size_t len = o.len;
		if (o.full) {
			put_byte(&o, 'x');
			put_bytes(&o, NULL, 0);
			ok &= o.full && o.len == len;
		}
		free(block);
	}
	say(ok, "too small a block is full, and stays so");

	uint8_t small[8];
	struct put o = { .base = small, .cap = sizeof small };
	put_byte(&o, 0);
	put_bytes(&o, small, SIZE_MAX);
	say(o.full && o.len == 1, "a length beyond all measure");
	o = (struct put){ .base = small, .cap = sizeof small };
	put_bytes(&o, "12345678", 8);
	say(!o.full && HAS(&o, "12345678"), "to the last byte");
	put_byte(&o, 0);
	say(o.full && HAS(&o, "12345678"), "and no further");
}

int main(void)
{
	test_next();
	test_next_cut();
	test_get();
	test_broken();
	test_field();
	test_put();
	test_full();
	return done();
}
