/* scanner_test.c - replies as PostgreSQL sends them and as it does not, cut at every byte. */
#include "server/scanner.c"

#include "scanner_heard.h"
#include "t.h"

/* --- replies, written as text --- */

enum { MESSAGES = 24, LONG = 2000 };

struct reply {
	uint8_t *bytes;
	size_t n, at[MESSAGES + 1];             /* where each message begins */
	unsigned count;
	uint64_t drops;
};

static void put_header(uint8_t *p, char type, uint32_t len)
{
	p[0] = (uint8_t)type;
	for (int i = 1; i < WIRE_HEADER; i++)
		p[i] = (uint8_t)(len >> 8 * (4 - i));
}

/* Bodies are made of what looks like messages: whoever misses a message's end hears them. */
static void fill(uint8_t *p, size_t n)
{
	static const char trap[] = "Z\0\0\0\5I";

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)trap[i % 6];
}

static size_t usual_body(char type)
{
	return type == 'Z' ? 1 : strchr("123nsIc", type) ? 0 : type == 'A' ? 13 : 8;
}

/* Messages by their types, with a space between; D~N has a body of N bytes, -C is to be dropped,
 * D* has a length that is none. */
static struct reply make(const char *text)
{
	struct reply r = { .bytes = heard_alloc(0) };
	unsigned shown = 0;

	for (const char *s = text; *s; s += strspn(s, " ")) {
		bool drop = *s == '-';
		char type = s[drop], *end = (char *)s + drop + 1;
		size_t body = *end == '~' ? strtoul(end + 1, &end, 10) : usual_body(type);
		r.bytes = realloc(r.bytes, r.n + WIRE_HEADER + body);
		if (!r.bytes || r.count == MESSAGES)
			abort();
		put_header(r.bytes + r.n, type, *end == '*' ? 3 : (uint32_t)body + 4);
		fill(r.bytes + r.n + WIRE_HEADER, body);
		if (type == 'Z' && body)
			r.bytes[r.n + WIRE_HEADER] = "ITE"[r.count % 3];
		if (strchr("13CIsESZGHW", type))
			r.drops |= (uint64_t)drop << shown++;
		r.at[r.count++] = r.n;
		r.n += WIRE_HEADER + body;
		s = end + (*end == '*');
	}
	r.at[r.count] = r.n;
	return r;
}

/* --- what they are ---
 *
 * told: messages with the answers up to them, and r when a row or its like has been seen; news
 * in brackets; . is the end of a reply, ! what must not be.
 * fates: of each message. */
static const struct row {
	const char *name, *asked, *text, *told, *fates;
} rows[] = {
	{ "nothing", "A", "", "", "" },
	{ "a select", "A", "T D D C Z", "C2r Z2r .", "ppppp" },
	{ "a select without rows", "A", "T C Z", "C2 Z2 .", "ppp" },
	{ "a command", "A", "C Z", "C1 Z1 .", "pp" },
	{ "several commands", "A", "C T D C I~0 C E Z", "C1 C3r I4r C5r E5r Z5r .", "pppppppp" },
	{ "an empty query", "A", "I Z", "I1 Z1 .", "pp" },
	{ "an error", "A", "E Z", "E0 Z0 .", "pp" },
	{ "an error among rows", "A", "T D E Z", "E1r Z1r .", "pppp" },
	{ "the end of the server", "A", "T D E", "E1r", "ppp" },
	{ "not answered to its end", "A", "T D D", "", "ppp" },

	{ "extended", "A", "1 2 T D C Z", "11 C4r Z4r .", "pppppp" },
	{ "extended without rows", "A", "1 2 n C Z", "11 C4 Z4 .", "ppppp" },
	{ "a description", "A", "1 t T Z", "11 Z2 .", "pppp" },
	{ "a description of nothing", "A", "1 t n Z", "11 Z2 .", "pppp" },
	{ "an execution", "A", "2 D C Z", "C2r Z2r .", "pppp" },
	{ "an execution of nothing", "A", "2 I Z", "I2 Z2 .", "ppp" },
	{ "a part of a portal", "A", "1 2 T D D s Z", "11 s4r Z4r .", "ppppppp" },
	{ "two parts of a portal", "A", "2 D s D s C Z", "s2r s3r C4r Z4r .", "ppppppp" },
	{ "a close", "A", "3 3 Z", "31 32 Z2 .", "ppp" },
	{ "a Sync", "A", "Z", "Z0 .", "p" },
	{ "an extended error", "A", "1 2 E Z", "11 E2 Z2 .", "pppp" },
	{ "an error in the second of two", "A", "1 2 D C 1 E Z", "11 C3r 14r E4r Z4r .", "ppppppp" },

	{ "COPY in", "A", "G C Z", "G0 C1 Z1 .", "ppp" },
	{ "COPY in that failed", "A", "G E Z", "G0 E0 Z0 .", "ppp" },
	{ "COPY out", "A", "H d d~0 c C Z", "H0 C1r Z1r .", "pppppp" },
	{ "COPY out of nothing", "A", "H c C Z", "H0 C1r Z1r .", "pppp" },
	{ "COPY both", "A", "W d d c C C Z", "W0 C1r C2r Z2r .", "ppppppp" },
	{ "COPY both, and an error", "A", "W d E Z", "W0 E0r Z0r .", "pppp" },
	{ "extended COPY out", "A", "1 2 n H d c C Z", "11 H3 C4r Z4r .", "pppppppp" },
	{ "a function", "A", "V Z", "Z0r .", "pp" },
	{ "a function without a result", "A", "V~4 Z", "Z0r .", "pp" },

	{ "SET", "A", "C S Z", "C1 S1 Z1 .", "ppp" },
	{ "SET of several", "A", "S S C S Z", "S0 S0 C1 S1 Z1 .", "ppppp" },
	{ "a notice", "A", "N C Z", "(N0) C1 Z1 .", "ppp" },
	{ "notices anywhere", "A", "N T N D N C N Z N",
		"(N0) (N1) (N1r) C2r (N2r) Z2r . (N0)", "ppppppppn" },
	{ "a notification", "A", "C A Z", "C1 (A1) Z1 .", "ppp" },
	{ "notifications in extended", "A", "A 1 A 2 A A D C A Z",
		"(A0) 11 (A1) (A2) (A2) C3r (A3r) Z3r .", "pppppppppp" },

	{ "a silent select", "S", "T D C Z", "C2r Z2r .", "pppp" },
	{ "a silent notice", "S", "N C Z", "(N0) C1 Z1 .", "npp" },
	{ "silent news among rows", "S", "T D A D N C S Z",
		"(A1r) (N1r) C2r S2r Z2r .", "ppnpnppp" },
	{ "a silent error", "S", "1 E N Z", "11 E1 (N1) Z1 .", "ppnp" },

	{ "news", "", "N", "(N0)", "n" },
	{ "all news", "", "A S N E", "(A0) (S0) (N0) (E0)", "nnnn" },
	{ "news of a reload", "", "S S S", "(S0) (S0) (S0)", "nnn" },
	{ "an error for nobody", "", "E~0", "(E0)", "n" },

	{ "two replies", "AA", "T D C Z C Z", "C2r Z2r . C1 Z1 .", "pppppp" },
	{ "three errors", "AAA", "1 E Z E Z 2 E Z", "11 E1 Z1 . E0 Z0 . E1 Z1 .", "pppppppp" },
	{ "two Syncs and news", "AA", "Z Z A S", "Z0 . Z0 . (A0) (S0)", "ppnn" },
	{ "a silent one and a loud one", "SA", "N C Z N C Z A",
		"(N0) C1 Z1 . (N0) C1 Z1 . (A0)", "npppppn" },
	{ "a loud one and a silent one", "AS", "N C Z N C Z S",
		"(N0) C1 Z1 . (N0) C1 Z1 . (S0)", "pppnppn" },
	{ "many", "ASASA", "D Z D Z C Z C Z V A Z", "Z0r . Z0r . C1 Z1 . C1 Z1 . (A0r) Z0r .",
		"ppppppppppp" },

	{ "dropped at first", "A", "-1 2 D C Z", "11 C3r Z3r .", "xpppp" },
	{ "dropped at last", "A", "1 2 D C -Z C", "11 C3r Z3r . !", "ppppx." },
	{ "dropped in between", "A", "T D -S D C Z", "S1r C2r Z2r .", "ppxppp" },
	{ "dropped in a row", "A", "D -1 -3 -1 n C Z", "11r 32r 13r C5r Z5r .", "pxxxppp" },
	{ "dropped among news", "A", "N -S N -S A Z", "(N0) S0 (N0) S0 (A0) Z0 .", "pxpxpp" },
	{ "all dropped", "AA", "-E -Z -C -S -Z", "E0 Z0 . C1 S1 Z1 .", "xxxxx" },
	{ "dropped silently", "S", "D -C N -Z S", "C1r (N1r) Z1r . (S0)", "pxnxn" },

	{ "a long row", "A", "T D~70000 D C Z", "C2r Z2r .", "ppppp" },
	{ "a long error", "A", "T D E~70000 Z", "E1r Z1r .", "pppp" },
	{ "a long error, dropped", "AS", "2 D -E~66000 -Z T -E~66000 Z",
		"E1r Z1r . E1 Z1 .", "ppxxpxp" },
	{ "one byte less than long", "A", "C~65530 Z", "C1 Z1 .", "pp" },
	{ "one byte less than long, dropped", "A", "D -C~65530 D Z", "C1r Z1r .", "pxpp" },
	{ "as long as is shown whole", "A", "N~65531 -C~65531 Z", "(N0) C1 Z1 .", "pxp" },
	{ "one byte more", "A", "S~65532 Z", "S0 Z0 .", "pp" },
	{ "one byte more, dropped", "A", "-S~65532 D Z", "S0 Z0r .", "xpp" },
	{ "one byte more, not there", "A", "-C~65532 E~65532", "C1 E1", "xp" },
	{ "long news among rows", "A", "D N~66000 D A~66000 Z", "(N0r) (A0r) Z0r .", "ppppp" },
	{ "long silent news", "S", "D N~66000 D A~66000 Z", "(N0r) (A0r) Z0r .", "pnpnp" },
	{ "long news for nobody", "A", "Z N~66000 S~66000 E~66000",
		"Z0 . (N0) (S0) (E0)", "pnnn" },

	{ "no reply has this", "A", "T D R C Z", "!", "pp..." },
	{ "nor this", "S", "C v Z", "C1 !", "p.." },
	{ "a request", "A", "N Q Z", "(N0) !", "p.." },
	{ "a short length", "A", "D D* Z", "!", "p.." },
	{ "a short length of what is shown", "A", "C Z E*", "C1 Z1 . !", "pp." },
	{ "a short length of news", "A", "N D A*", "(N0) !", "pp." },
	{ "a ReadyForQuery of nothing", "A", "C Z~0", "C1 !", "p." },
	{ "a long ReadyForQuery", "A", "1 D Z~2", "11 !", "pp." },
	{ "a row that nobody asked for", "A", "Z D", "Z0 . !", "p." },
	{ "a second end", "A", "C -Z A Z", "C1 Z1 . (A0) !", "pxn." },
};

static void write_told(const struct heard *h, char *out, size_t cap)
{
	size_t n = 0;

	out[0] = 0;
	for (size_t i = 0; i < h->ntold && n + 24 < cap; i++) {
		const struct told *t = &h->told[i];
		bool news = t->what == SCAN_NEWS;
		if (n)
			out[n++] = ' ';
		if (t->what == SCAN_END || t->what == SCAN_BAD)
			n += (size_t)snprintf(out + n, cap - n, t->what == SCAN_END ? "." : "!");
		else
			n += (size_t)snprintf(out + n, cap - n, "%s%c%u%s%s", news ? "(" : "", t->type,
				(unsigned)t->answers, t->rows ? "r" : "", news ? ")" : "");
	}
}

/* All bytes of a message have one fate: one letter for each, or ? */
static void write_fates(const struct heard *h, const struct reply *r, char *out)
{
	for (unsigned i = 0; i < r->count; i++) {
		const char *f = h->fates + r->at[i];
		size_t n = r->at[i + 1] - r->at[i];
		out[i] = n == 1 || !memcmp(f, f + 1, n - 1) ? *f : '?';
	}
	out[r->count] = 0;
}

static struct heard hear(const struct reply *r, const char *asked, size_t first, size_t second)
{
	struct heard h;

	heard_begin(&h, r->bytes, r->n, asked, r->drops);
	if (first)
		heard_feed(&h, first);
	if (second)
		heard_feed(&h, second);
	if (r->n > first + second)
		heard_feed(&h, r->n - first - second);
	return h;
}

static bool same_when_cut(const struct heard *once, const struct reply *r, const char *asked,
                          size_t first, size_t second)
{
	struct heard h = hear(r, asked, first, second);
	bool same = heard_same(once, &h);

	if (!same)
		printf("# cut at %zu and %zu: line %d\n", first, first + second, h.wrong);
	heard_end(&h);
	return same;
}

static bool same_bytewise(const struct heard *once, const struct reply *r, const char *asked)
{
	struct heard h;

	heard_begin(&h, r->bytes, r->n, asked, r->drops);
	for (size_t i = 0; i < r->n; i++)
		heard_feed(&h, 1);
	bool same = heard_same(once, &h);
	heard_end(&h);
	return same;
}

/* Of a long stream: near the ends of its messages and of what is shown. */
static bool worth_cutting(const struct reply *r, size_t cut)
{
	if (r->n < LONG)
		return true;
	for (unsigned i = 0; i <= r->count; i++)
		if (cut + 12 > r->at[i] && cut < r->at[i] + 12)
			return true;
	for (unsigned i = 0; i < r->count; i++)
		if (cut + 3 > r->at[i] + SCANNER_WHOLE && cut < r->at[i] + SCANNER_WHOLE + 3)
			return true;
	return false;
}

/* SCANNER_EVERY_CUT in the environment: long ones at every byte as well, which takes minutes. */
static bool same_in_two(const struct heard *once, const struct reply *r, const char *asked)
{
	bool same = true, all = getenv("SCANNER_EVERY_CUT");

	for (size_t cut = 0; cut <= r->n && same; cut++)
		if (all || cut % 997 == 0 || worth_cutting(r, cut))
			same = same_when_cut(once, r, asked, cut, 0);
	return same;
}

static bool same_in_three(const struct heard *once, const struct reply *r, const char *asked)
{
	bool same = true;

	for (size_t a = 1; a < r->n && same; a++)
		for (size_t b = a + 1; worth_cutting(r, a) && b < r->n && same; b++)
			if (worth_cutting(r, b) && (r->n < LONG || (a + b) % 31 == 0))
				same = same_when_cut(once, r, asked, a, b - a);
	return same;
}

static void test_row(const struct row *row)
{
	struct reply r = make(row->text);
	struct heard once = hear(&r, row->asked, r.n, 0);
	char told[200], fates[MESSAGES + 1];

	write_told(&once, told, sizeof told);
	write_fates(&once, &r, fates);
	say(!once.wrong, "%s: nothing is wrong (line %d)", row->name, once.wrong);
	say(!strcmp(told, row->told), "%s: told \"%s\"", row->name, told);
	say(!strcmp(fates, row->fates), "%s: fates %s", row->name, fates);
	say(same_in_two(&once, &r, row->asked), "%s: cut in two", row->name);
	say(same_in_three(&once, &r, row->asked), "%s: cut in three", row->name);
	if (r.n < LONG)
		say(same_bytewise(&once, &r, row->asked), "%s: byte by byte", row->name);
	heard_end(&once);
	free(r.bytes);
}

/* Each message that is shown is dropped alone: the others are what they are without that. */
static void test_drop(const struct row *row)
{
	struct reply r = make(row->text);
	bool ok = true;

	r.drops = 0;
	struct heard none = hear(&r, row->asked, r.n, 0);
	for (size_t i = 0, shown = 0; i < none.ntold; i++) {
		if (none.told[i].what != SCAN_MESSAGE)
			continue;
		r.drops = (uint64_t)1 << shown++;
		struct heard one = hear(&r, row->asked, r.n, 0);
		size_t at = none.told[i].at, len = (size_t)wire_u32(r.bytes + at + 1) + 1;
		ok &= same_in_two(&one, &r, row->asked);
		ok &= one.ntold == none.ntold && one.bad == none.bad && one.at == none.at;
		for (size_t b = 0; b < r.n && ok; b++)
			ok = one.fates[b] == (b - at < len ? DROPPED : none.fates[b]);
		heard_end(&one);
	}
	say(ok, "%s: each message dropped alone", row->name);
	heard_end(&none);
	free(r.bytes);
}

static void test_rows(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		test_row(&rows[i]);
		test_drop(&rows[i]);
	}
}

/* --- one message --- */

static enum scanned first_of(struct scanner *x, enum asked asked, const uint8_t *p, size_t n,
                             struct scan_event *e)
{
	uint8_t *block = heard_alloc(n);

	memset(e, 0xaa, sizeof *e);
	memcpy(block, p, n);
	scanner_feed(x, block, n);
	enum scanned what = scanner_next(x, asked, e);
	free(block);
	return what;
}

static bool among(int type, const char *types)
{
	return type && strchr(types, type);
}

static enum scanned right_for(int type, enum asked asked)
{
	if (asked == ASKED_NOTHING)
		return among(type, "NASE") ? SCAN_NEWS : SCAN_BAD;
	return among(type, "TtnD2dcV") ? SCAN_MORE : among(type, "NA") ? SCAN_NEWS
		: among(type, "13CIsESZGHW") ? SCAN_MESSAGE : SCAN_BAD;
}

static void test_types(void)
{
	for (int type = 0; type < 256; type++) {
		uint8_t p[6] = { (uint8_t)type, 0, 0, 0, type == 'Z' ? 5 : 4, 'I' };
		bool ok = scanner_streams((char)type) == among(type, "TtnD2dcV");
		for (enum asked asked = ASKED_NOTHING; asked <= ASKED; asked++) {
			struct scanner x = { 0 };
			struct scan_event e;
			enum scanned right = right_for(type, asked);
			bool counts = right == SCAN_MORE || right == SCAN_MESSAGE;
			ok &= first_of(&x, asked, p, type == 'Z' ? 6 : 5, &e) == right;
			ok &= x.answers == (counts && among(type, "1T2n3CIs"));
			ok &= x.rows == (counts && among(type, "DdcV"));
			ok &= right == SCAN_BAD || right == SCAN_MORE || e.type == (char)type;
		}
		say(ok, "type %d: who may be sent it, and what it means", type);
	}
}

static void test_lengths(void)
{
	static const uint32_t lengths[] = { 0, 1, 2, 3, 4, 5, 6, 255, 256, 0x105, 0x01000005, 0x7fffffff,
		0x80000000, 0x80000005, 0xfffffffe, 0xffffffff };

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		uint32_t len = lengths[i];
		bool ok = true;
		for (const char *type = "TtnD2dcVNA13CIsESGHWZ"; *type; type++) {
			uint8_t p[WIRE_HEADER];
			struct scanner x = { 0 };
			struct scan_event e;
			put_header(p, *type, len);
			enum scanned what = first_of(&x, ASKED, p, sizeof p, &e);
			bool bad = len < 4 || len > 0x7fffffff || (*type == 'Z' && len != 5);
			ok &= (what == SCAN_BAD) == bad;
			ok &= bad || x.left == (scanner_streams(*type) ? len - 4 : 0);
		}
		say(ok, "length 0x%x", (unsigned)len);
	}
}

/* What is not there yet is not judged, what is bad is not passed, and what was in front is told. */
static void test_bad(void)
{
	static const uint8_t bytes[] = "2\0\0\0\4R\0\0\0\10\0\0\0\0";
	size_t n = sizeof bytes - 1;

	for (size_t cut = 0; cut <= n; cut++) {
		struct scanner x = { 0 };
		struct scan_event e;
		enum scanned what = first_of(&x, ASKED, bytes, cut, &e);
		say(what == (cut < 10 ? SCAN_MORE : SCAN_BAD) && e.run_len == (cut < 5 ? 0 : 5)
		    && (what == SCAN_BAD ? !e.n : e.n == cut - e.run_len), "bad after %zu bytes", cut);
	}
}

static void test_notice_follows(void)
{
	static const struct {
		const char *bytes;
		size_t n;
		bool follows;
	} cases[] = {
		{ "C\0\0\0\4N", 6, true },
		{ "C\0\0\0\4", 5, false },
		{ "C\0\0\0\4Z", 6, false },
		{ "C\0\0\0\5N", 6, false },
		{ "C\0\0\0\5NN", 7, true },
		{ "C\0\0\0\5NA", 7, false },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct scanner x = { 0 };
		struct scan_event e;
		enum scanned what = first_of(&x, ASKED, (const uint8_t *)cases[i].bytes, cases[i].n, &e);
		say(what == SCAN_MESSAGE && e.notice_follows == cases[i].follows, "a notice behind, %zu", i);
	}
}

/* A row counts when it is whole, an answer that streams as soon as its header is there, what is
 * shown when it is shown. */
static void test_counted(void)
{
	struct reply r = make("T D C Z");
	bool ok = true;

	for (size_t n = 0; n < r.n; n++) {
		struct heard h;
		heard_begin(&h, r.bytes, r.n, "A", 0);
		heard_feed(&h, n);
		ok &= !h.wrong && h.x.rows == (n >= r.at[2]);
		ok &= h.x.answers == (unsigned)(n >= WIRE_HEADER) + (n >= r.at[3]);
		heard_end(&h);
	}
	say(ok, "rows and answers of any beginning");
	free(r.bytes);
}

int main(void)
{
	test_rows();
	test_types();
	test_lengths();
	test_bad();
	test_notice_follows();
	test_counted();
	return done();
}
