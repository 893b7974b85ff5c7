/* tls_test.c - two engines in memory: handshakes and records cut everywhere, damage, alerts, peers
 * that offer too little, no memory. */
#include <stdlib.h>

static long allocations = -1;                   /* so many more succeed; -1: all */

static void *may_fail(void *p)
{
	if (allocations > 0)
		allocations--;
	return p;
}

#define malloc(n) (allocations == 0 ? NULL : may_fail(malloc(n)))
#define calloc(n, m) (allocations == 0 ? NULL : may_fail(calloc(n, m)))
#define realloc(p, n) (allocations == 0 ? NULL : may_fail(realloc(p, n)))

#include "tls/engine.c"
#include "tls.c"

#include "t.h"

enum { BIG = 1 << 20, BLOCK = 1 << 17 };

static struct tls_context *context;
static struct tls *client, *server;
static uint8_t block[TLS_HELD + BLOCK + TLS_HELD];      /* where input is decrypted */

static void tell(void *ctx, enum level severity, const char *text)
{
	(void)ctx;
	if (severity >= LEVEL_ERROR)
		printf("# %s\n", text);
}

static struct tls_context *load(void)
{
	static const struct tls_files files = { "", "", "", "", "", "", "DEFAULT", "prime256v1:X25519",
		false, "localhost", NULL };

	return tls_context_load(&files, tell, NULL);
}

/* --- moving bytes --- */

/* What t is given; its text stays in block. */
static long feed(struct tls *t, const uint8_t *p, size_t n)
{
	memcpy(block + TLS_HELD, p, n);
	return tls_input(t, block + TLS_HELD, n, block);
}

static size_t output(struct tls *t, uint8_t *to, size_t room)
{
	size_t n = 0;

	for (size_t k; (k = tls_output(t, to + n, room - n)); )
		n += k;
	return n;
}

static size_t seal(struct tls *t, const void *p, size_t n, uint8_t *to, size_t room)
{
	struct iovec v = { (void *)(uintptr_t)p, n };
	size_t at = 0;

	return tls_seal(t, &v, 1, &at, to, room);
}

/* Carries what `from` has to say to `to`, in pieces; false when there was nothing. */
static bool carry(struct tls *from, struct tls *to, size_t piece)
{
	uint8_t bytes[16384];
	size_t n = output(from, bytes, sizeof bytes);

	for (size_t i = 0; i < n; i += piece)
		feed(to, bytes + i, piece < n - i ? piece : n - i);
	return n;
}

static bool shake_hands(size_t piece)
{
	client = tls_connect(context, TLS_CHECK_NOTHING, "localhost");
	server = client ? tls_accept(context) : NULL;
	if (!server)
		return false;
	while ((int)carry(client, server, piece) | (int)carry(server, client, piece))
		;
	return tls_state(client) == TLS_OPEN && tls_state(server) == TLS_OPEN;
}

static void part(void)
{
	tls_free(client);
	tls_free(server);
	client = server = NULL;
}

/* --- handshakes --- */

static void test_handshake(void)
{
	uint8_t a[64], b[64];

	say(shake_hands(1), "byte by byte");
	say(!client->shake && !server->shake, "then its memory is given back");
	say(tls_alpn(client) && tls_alpn(server), "it is about postgresql");
	say(tls_suite(client)[0] && tls_suite(client) == tls_suite(server), "%s", tls_suite(client));
	size_t n = tls_end_point(client, a);
	say(n == 32 && tls_end_point(server, b) == n && !memcmp(a, b, n), "both mean the same certificate");
	say(!tls_common_name(server) && !tls_common_name(client), "nobody has named himself");
	say(!tls_error(client) && !tls_error(server), "without an error");
	part();
	for (size_t piece = 2; piece < 3000; piece = piece * 3 / 2 + 1) {
		say(shake_hands(piece), "%zu bytes at a time", piece);
		part();
	}
	say(sizeof(struct tls) <= 668, "an open connection needs %zu bytes", sizeof(struct tls));
	say(sizeof(struct tls_shake) <= 10240, "a handshake %zu more", sizeof(struct tls_shake));
}

static void test_random(void)
{
	uint8_t first[1024], second[1024];

	client = tls_connect(context, TLS_CHECK_NOTHING, "localhost");
	server = tls_connect(context, TLS_CHECK_NOTHING, "localhost");
	size_t n = output(client, first, sizeof first);
	say(n == output(server, second, sizeof second) && memcmp(first + 11, second + 11, 32),
	    "copies of a template have random numbers of their own");
	bool named = false, fragments = false;
	for (size_t i = 43; i + 9 < n; i++) {
		named |= !memcmp(first + i, "localhost", 9);
		fragments |= !memcmp(first + i, "\0\1\0\1", 4) && first[i + 4] <= 4;
	}
	say(named, "the server is told its name");
	say(!fragments, "and is not asked for small records");
	part();
	client = tls_connect(context, TLS_CHECK_NOTHING, "127.0.0.1");
	n = output(client, first, sizeof first);
	named = false;
	for (size_t i = 43; i + 9 < n; i++)
		named |= !memcmp(first + i, "127.0.0.1", 9);
	say(n && !named, "but not an address");
	part();
}

/* A ClientHello of this version with these suites, in one record. */
static size_t hello(uint8_t *to, unsigned version, const uint16_t *suites, size_t count)
{
	uint8_t body[512] = { (uint8_t)(version >> 8), (uint8_t)version }, *p = body + 34;
	static const uint8_t extensions[] = { 0, 18, 0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 6, 0, 4, 4, 3, 4, 1 };

	*p++ = 0;
	*p++ = (uint8_t)(count >> 7);
	*p++ = (uint8_t)(count << 1);
	for (size_t i = 0; i < count; i++) {
		*p++ = (uint8_t)(suites[i] >> 8);
		*p++ = (uint8_t)suites[i];
	}
	*p++ = 1;
	*p++ = 0;
	memcpy(p, extensions, sizeof extensions);
	size_t n = (size_t)(p - body) + sizeof extensions;
	const uint8_t head[] = { 22, 3, 1, (uint8_t)((n + 4) >> 8), (uint8_t)(n + 4), 1, 0,
		(uint8_t)(n >> 8), (uint8_t)n };
	memcpy(to, head, sizeof head);
	memcpy(to + sizeof head, body, n);
	return sizeof head + n;
}

/* Is it refused with this alert? */
static bool refused(unsigned version, const uint16_t *suites, size_t count, uint8_t alert)
{
	uint8_t bytes[1024], answer[1024];

	server = tls_accept(context);
	long got = feed(server, bytes, hello(bytes, version, suites, count));
	size_t n = output(server, answer, sizeof answer);
	bool ok = got == -1 && tls_state(server) == TLS_FAILED && n == 7 && answer[0] == 21
	          && answer[5] == 2 && answer[6] == alert;
	printf("# %s\n", tls_error(server) ? tls_error(server) : "no error");
	return ok;
}

static void test_hello(void)
{
	static const uint16_t old[] = { 0xC008, 0xC012, 0x000A, 0xC009, 0xC013, 0xC023, 0xC027, 0x002F },
		tls13[] = { 0x1301, 0x1302, 0x1303 }, good[] = { 0xC02B, 0xC02C, 0xCCA9 },
		rsa[] = { 0xC02F, 0x009C };
	uint8_t bytes[1024], answer[4096];

	say(refused(0x0303, old, 8, 40), "CBC and 3DES are not spoken");
	say(strstr(tls_error(server), "no cipher suite in common: TLS 1.2"), "which the log says");
	part();
	say(refused(0x0303, tls13, 3, 40), "nor TLS 1.3");
	part();
	say(refused(0x0303, rsa, 2, 40), "nor what the key is not for");
	part();
	say(refused(0x0302, good, 3, 70), "TLS 1.1 is too old");
	say(strstr(tls_error(server), "TLS 1.2 is needed"), "which the log says, too");
	part();
	server = tls_accept(context);
	say(feed(server, bytes, hello(bytes, 0x0303, good, 3)) == 0
	    && tls_state(server) == TLS_SHAKING && output(server, answer, sizeof answer) > 300,
	    "a plain one is answered");
	say(feed(server, (const uint8_t *)"\x15\3\3\0\2\2\x30", 7) == -1
	    && strstr(tls_error(server), "unknown ca"), "the peer does not know who signed that");
	part();
	server = tls_accept(context);
	say(feed(server, (const uint8_t *)"\0\0\0\x08\x04\xd2\x16\x2f", 8) == -1
	    && strstr(tls_error(server), "not TLS"), "what is not TLS at all");
	say(feed(server, (const uint8_t *)"more", 4) == -1, "and nothing more is taken");
	part();
	server = tls_accept(context);
	feed(server, bytes, hello(bytes, 0x0303, good, 3));
	say(output(server, answer, sizeof answer) && feed(server, (const uint8_t *)"\x15\3\3\0\2\1\0", 7) == -1
	    && tls_state(server) == TLS_FAILED, "a peer that leaves in the middle");
	part();
}

/* --- records --- */

static void test_splits(void)
{
	uint8_t record[TLS_ROOM];
	size_t n = 1;
	bool whole = true;

	shake_hands(16384);
	for (size_t i = 0; whole && i <= n; i++) {
		n = seal(client, "some text", 9, record, sizeof record);
		whole = feed(server, record, i) == (i == n ? 9 : 0);
		if (i < n)
			whole = whole && feed(server, record + i, n - i) == 9;
		whole = whole && !memcmp(block, "some text", 9) && !server->have;
	}
	say(whole, "a record that is cut in two anywhere");
	n = seal(client, "some text", 9, record, sizeof record);
	long got = 0;
	for (size_t i = 0; i < n; i++)
		got += feed(server, record + i, 1) * (long)(i + 1);
	say(got == 9 * (long)n, "or comes byte by byte");
	part();
}

static bool in_small_records(const uint8_t *p, size_t n)
{
	for (size_t len; n; p += len, n -= len) {
		len = 5 + (size_t)(p[3] << 8 | p[4]);
		if (p[0] != 23 || len > n || len > 5 + TLS_TEXT + 24)
			return false;
	}
	return true;
}

/* From a to b, the text in segments and the records cut at will. */
static bool goes(struct tls *a, struct tls *b, unsigned seed)
{
	static uint8_t sent[BIG], got[BIG + TLS_HELD], wire[8 * TLS_ROOM];
	struct iovec v[3] = { { sent, 1 + seed }, { sent + 1 + seed, 100000 },
		{ sent + 100001 + seed, BIG - 100001 - seed } };
	size_t at = 0, n = 0, len;
	bool small = true;

	for (size_t i = 0; i < BIG; i++)
		sent[i] = (uint8_t)(i * 7 + i / 251 + seed);
	while ((len = tls_seal(a, v, 3, &at, wire, sizeof wire))) {
		small = small && in_small_records(wire, len);
		for (size_t i = 0, piece; i < len; i += piece) {
			piece = 1 + (seed = seed * 1103515245 + 12345) / 65536 % 40000;
			piece = piece < len - i ? piece : len - i;
			long k = feed(b, wire + i, piece);
			if (k < 0 || n + (size_t)k > BIG)
				return false;
			memcpy(got + n, block, (size_t)k);
			n += (size_t)k;
		}
	}
	return small && at == BIG && n == BIG && !memcmp(sent, got, BIG);
}

static void test_bulk(void)
{
	shake_hands(16384);
	for (unsigned seed = 1; seed < 6; seed++)
		say(goes(client, server, seed) && goes(server, client, seed),
		    "a lot in both directions, in records of 8 KB");
	say(!client->have && !server->have, "nothing is held at the end");
	part();
}

/* Records as a peer with larger ones makes them, all in one input. */
static void test_large_records(void)
{
	static uint8_t wire[BLOCK], text[16384];
	size_t n = 0;

	shake_hands(16384);
	client->limit = 16384;
	memset(text, 'x', sizeof text);
	for (int i = 0; i < 5; i++)
		n += seal(client, text, sizeof text, wire + n, 16384 + 64);
	say(n == 5 * (16384 + 29), "five records of 16 KB");
	say(feed(server, wire, 16000) == 0 && feed(server, wire + 16000, n - 16000 - 7) == 4 * 16384,
	    "four of them, the first one of an earlier input");
	say(block[0] == 'x' && block[4 * 16384 - 1] == 'x', "as they were");
	say(feed(server, wire + n - 7, 7) == 16384, "and the last");
	part();
}

/* --- ends --- */

static void test_close(void)
{
	uint8_t wire[TLS_ROOM * 2];

	shake_hands(16384);
	size_t n = seal(client, "last words", 10, wire, TLS_ROOM);
	n += tls_bye(client, wire + n, sizeof wire - n);
	say(tls_bye(client, wire + n, TLS_ROOM) == 0 && seal(client, "x", 1, wire + n, TLS_ROOM) == 0,
	    "nothing is sent after the end");
	say(feed(server, wire, n) == 10 && tls_state(server) == TLS_CLOSED, "the last text comes first");
	say(feed(server, wire, 0) == -1 && !tls_error(server), "then the end, which is no error");
	say(feed(server, (const uint8_t *)"xyz", 3) == -1, "and nothing behind it");
	n = seal(server, "answer", 6, wire, TLS_ROOM);
	say(feed(client, wire, n) == 6, "the other direction lives on");
	n = tls_bye(server, wire, sizeof wire);
	say(n && feed(client, wire, n) == -1 && tls_state(client) == TLS_CLOSED, "until it ends, too");
	part();
}

static void test_damage(void)
{
	uint8_t wire[TLS_ROOM], alert[TLS_ROOM];

	shake_hands(16384);
	size_t n = seal(client, "text", 4, wire, sizeof wire);
	wire[n - 3] ^= 1;
	say(feed(server, wire, n) == -1 && strstr(tls_error(server), "damaged"), "a flipped bit");
	n = output(server, alert, sizeof alert);
	say(n && output(server, alert, sizeof alert) == 0 && seal(server, "x", 1, wire, TLS_ROOM) == 0,
	    "is answered with an alert, once, and nothing else is said");
	say(feed(client, alert, n) == -1 && !strcmp(tls_error(client), "bad record mac"),
	    "which the peer understands");
	say(output(client, alert, sizeof alert) == 0, "and does not answer");
	part();
	shake_hands(16384);
	n = seal(client, "text", 4, wire, sizeof wire);
	feed(server, wire, n);
	say(feed(server, wire, n) == -1 && tls_state(server) == TLS_FAILED, "a record that is sent again");
	part();
}

/* A record of this type from the client; what the server makes of it. */
static const char *gets(int type, const char *text, size_t n)
{
	uint8_t wire[TLS_ROOM];
	size_t room = sizeof wire;

	shake_hands(16384);
	uint8_t *p = text_of(client, wire, &room);
	memcpy(p, text, n);
	feed(server, wire, make_record(client, type, p, n));
	return tls_state(server) == TLS_OPEN ? "" : tls_error(server) ? tls_error(server) : "closed";
}

static void test_records(void)
{
	static const struct { int type; const char *text; size_t n; const char *want, *what; } cases[] = {
		{ 22, "\0\0\0\0", 4, "the peer asked for a renegotiation", "HelloRequest" },
		{ 22, "\1\0\0\1x", 5, "the peer asked for a renegotiation", "another ClientHello" },
		{ 20, "\1", 1, "the peer sent an unexpected record", "ChangeCipherSpec" },
		{ 21, "\1\x5a", 2, "", "a warning" },
		{ 21, "\1\x5a\1\0", 4, "closed", "a warning and close_notify" },
		{ 21, "\2\x50", 2, "internal error", "a fatal alert" },
		{ 21, "\2\xc8", 2, "the peer sent a fatal alert", "one that nobody knows" },
		{ 21, "\1", 1, "the peer sent a malformed alert", "half an alert" },
		{ 21, "", 0, "the peer sent a malformed alert", "no alert" },
		{ 23, "", 0, "", "an empty record" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		say(!strcmp(gets(cases[i].type, cases[i].text, cases[i].n), cases[i].want), "%s: %s",
		    cases[i].what, *cases[i].want ? cases[i].want : "nothing happens");
		part();
	}
}

static void test_headers(void)
{
	static const struct { const char *head, *want; } cases[] = {
		{ "\x17\3\3\x41\0", "impossible length" }, { "\x17\3\3\0\1", "impossible length" },
		{ "\x17\3\2\0\x40", "not TLS" }, { "Q\0\0\0\x20", "not TLS" },
		{ "\x18\3\3\0\x40", "not TLS" }, { "\x17\2\3\0\x40", "not TLS" },
	};

	for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
		shake_hands(16384);
		const uint8_t *head = (const uint8_t *)cases[i / 2].head;
		long got = i % 2 ? feed(server, head, 5) : feed(server, head, 2) + feed(server, head + 2, 3);
		say(got == -1 && strstr(tls_error(server), cases[i / 2].want) && !server->have,
		    "%s", cases[i / 2].want);
		part();
	}
}

/* Whatever allocation fails: an error, nothing lost. */
static void test_no_memory(void)
{
	bool ok = false, told = true;

	for (long i = 0; !ok && i < 500; i++) {
		allocations = i;
		ok = shake_hands(100);
		allocations = -1;
		if (!ok && client && server)
			told = told && (tls_state(client) == TLS_FAILED || tls_state(server) == TLS_FAILED);
		part();
	}
	say(ok && told, "without memory it fails, and says so");
	shake_hands(16384);
	uint8_t wire[TLS_ROOM];
	size_t n = seal(client, "text", 4, wire, sizeof wire);
	allocations = 0;
	say(feed(server, wire, n - 1) == -1 && !strcmp(tls_error(server), "out of memory"),
	    "also for a part of a record");
	allocations = -1;
	part();
}

/* A context lives as long as its connections. */
static void test_context(void)
{
	struct tls_context *old = context;

	context = load();
	shake_hands(16384);
	tls_context_drop(context);
	say(goes(client, server, 1), "connections outlive their context's place");
	part();
	context = load();
	client = tls_connect(context, TLS_CHECK_NOTHING, "localhost");
	server = tls_accept(context);
	tls_context_drop(context);
	while ((int)carry(client, server, 1000) | (int)carry(server, client, 1000))
		;
	say(tls_state(server) == TLS_OPEN, "and so do handshakes");
	part();
	context = old;
	say(tls_serves(context) && !tls_serves(NULL), "it serves");
}

int main(void)
{
	context = load();
	if (!context)
		return 1;
	test_handshake();
	test_random();
	test_hello();
	test_splits();
	test_bulk();
	test_large_records();
	test_close();
	test_damage();
	test_records();
	test_headers();
	test_no_memory();
	test_context();
	tls_context_drop(context);
	return done();
}
