/* scanner_heard.h - feeds a scanner as a server does, and writes down what it tells.
 *
 * Each piece lies in a block of exactly its length, which is gone before the next one is fed, so
 * reading or writing outside is found.  The fate of each byte of the stream is written down once,
 * in the order of the stream: a run, a message or a kept rest that is anywhere else is wrong. */
#ifndef SCANNER_HEARD_H
#define SCANNER_HEARD_H

#include "server/scanner.h"

#include <stdlib.h>
#include <string.h>

#include "wire.h"

/* A byte's fate. */
enum { NOT_YET = '.', PASSED = 'p', DROPPED = 'x', FOR_NOBODY = 'n' };

struct told {
	enum scanned what;
	uint8_t type;
	bool rows;
	uint32_t answers;
	size_t at;                              /* of the stream */
};

struct heard {
	struct scanner x;
	const char *asked;                      /* of each reply A, S or N; behind its end N */
	uint64_t drops;                         /* bit i: drop message i of those that are shown, modulo 64 */
	uint8_t *bytes;                         /* the stream, with what is corrected in it */
	size_t n, fed, kept;
	char *fates;
	size_t at;                              /* bytes before it have their fate */
	char rest;                              /* the fate of what comes of a message that does not pass */
	unsigned shown;
	bool bad;
	int wrong;                              /* the line of a check below, or 0 */
	struct told *told;
	size_t ntold, told_cap;
};

#define check(cond) do { if (!(cond) && !h->wrong) h->wrong = __LINE__; } while (0)

static void *heard_alloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		abort();
	return p;
}

static void heard_begin(struct heard *h, const uint8_t *bytes, size_t n, const char *asked,
                        uint64_t drops)
{
	*h = (struct heard){ .asked = asked, .drops = drops, .n = n };
	h->bytes = heard_alloc(n);
	h->fates = heard_alloc(n);
	memcpy(h->bytes, bytes, n);
	memset(h->fates, NOT_YET, n);
}

static void heard_end(struct heard *h)
{
	free(h->bytes);
	free(h->fates);
	free(h->told);
}

static enum asked heard_asked(const struct heard *h)
{
	return *h->asked == 'A' ? ASKED : *h->asked == 'S' ? ASKED_SILENTLY : ASKED_NOTHING;
}

static void heard_fate(struct heard *h, char fate, size_t n)
{
	check(n <= h->fed - h->at);
	if (h->wrong)
		return;
	memset(h->fates + h->at, fate, n);
	h->at += n;
}

static void heard_write(struct heard *h, enum scanned what, uint8_t type, size_t at)
{
	if (h->ntold == h->told_cap) {
		h->told_cap = h->told_cap ? h->told_cap * 2 : 16;
		h->told = realloc(h->told, h->told_cap * sizeof *h->told);
		if (!h->told)
			abort();
	}
	h->told[h->ntold++] = (struct told){ .what = what, .type = type, .rows = h->x.rows,
		.answers = h->x.answers, .at = at };
}

static void heard_run(struct heard *h, const uint8_t *here, const struct scan_event *e)
{
	if (!e->run_len)
		return;
	check(heard_asked(h) != ASKED_NOTHING);
	check(e->run == here && e->run_len <= h->fed - h->at);
	check(h->wrong || !memcmp(e->run, h->bytes + h->at, e->run_len));
	heard_fate(h, PASSED, e->run_len);
}

/* A message is shown whole, or by its beginning if it is long. */
static void heard_message(struct heard *h, const struct scan_event *e, size_t at)
{
	size_t there = at < h->fed ? h->fed - at : 0;

	check(there >= WIRE_HEADER && e->n >= WIRE_HEADER && e->n <= there);
	if (h->wrong)
		return;
	size_t size = (size_t)wire_u32(h->bytes + at + 1) + 1;
	check(e->n == size || (e->n < size && e->n == there && e->n >= SCANNER_WHOLE));
	check((uint8_t)e->type == h->bytes[at] && e->p[0] == h->bytes[at]);
	check(h->x.left == size - e->n);
	check(e->notice_follows == (e->n < there && h->bytes[at + e->n] == 'N'));
}

static void heard_shown(struct heard *h, const uint8_t *here, const struct scan_event *e)
{
	size_t at = h->at;

	check(e->p == here);
	heard_message(h, e, at);
	heard_write(h, SCAN_MESSAGE, (uint8_t)e->type, at);
	if (!(h->drops >> (h->shown++ & 63) & 1))
		return;
	scanner_drop(&h->x);
	heard_fate(h, h->rest = DROPPED, e->n);
}

/* News that pass are in front of the end of their run, which is told later; as a server does with
 * notifications, they are corrected in place. */
static void heard_news(struct heard *h, const uint8_t *here, const struct scan_event *e)
{
	size_t at = h->at + (size_t)(e->p - here);

	check(heard_asked(h) == ASKED ? !e->run_len : e->p == here);
	heard_message(h, e, at);
	heard_write(h, SCAN_NEWS, (uint8_t)e->type, at);
	if (e->n > WIRE_HEADER && !h->wrong)
		e->p[WIRE_HEADER] = h->bytes[at + WIRE_HEADER] ^= 0xff;
	if (heard_asked(h) != ASKED)
		heard_fate(h, h->rest = FOR_NOBODY, e->n);
}

static void heard_reply_ends(struct heard *h, const uint8_t *here, const struct scan_event *e)
{
	const struct told *last = h->ntold ? &h->told[h->ntold - 1] : NULL;

	check(last && last->what == SCAN_MESSAGE && last->type == 'Z' && last->at + 6 == h->at);
	check(e->p == here && (h->wrong || e->p[-1] == h->bytes[h->at - 1]));
	check(!h->x.rows && !h->x.answers);
	heard_write(h, SCAN_END, 0, h->at);
	h->asked += *h->asked != 0;
}

/* Only what must be shown is kept, and only while it could still become whole or long. */
static void heard_all(struct heard *h, const uint8_t *here, const struct scan_event *e)
{
	check(e->p == here && e->n == h->fed - h->at);
	check(!h->x.left || !e->n);
	h->kept = h->fed - h->at;
	if (h->wrong || h->kept < WIRE_HEADER)
		return;
	check(h->kept < SCANNER_WHOLE && h->kept < (size_t)wire_u32(e->p + 1) + 1);
	check(*e->p && strchr("13CIsESZGHWNA", *e->p));
}

static enum scanned heard_next(struct heard *h, const uint8_t *block, size_t begin)
{
	struct scan_event e;

	memset(&e, 0xaa, sizeof e);
	enum scanned what = scanner_next(&h->x, heard_asked(h), &e);
	heard_run(h, block + (h->at - begin), &e);
	const uint8_t *here = block + (h->at - begin);
	if (what == SCAN_MESSAGE)
		heard_shown(h, here, &e);
	else if (what == SCAN_NEWS)
		heard_news(h, here, &e);
	else if (what == SCAN_END)
		heard_reply_ends(h, here, &e);
	else if (what == SCAN_MORE)
		heard_all(h, here, &e);
	else
		heard_write(h, SCAN_BAD, 0, h->at);
	return what;
}

/* n more bytes of the stream, behind those that were kept. */
static void heard_feed(struct heard *h, size_t n)
{
	size_t begin = h->fed - h->kept, len = h->kept + n;
	size_t rest = h->x.left < len ? h->x.left : len;

	if (h->bad || h->wrong)
		return;
	uint8_t *block = heard_alloc(len);
	memcpy(block, h->bytes + begin, len);
	h->fed += n;
	h->kept = 0;
	if (!h->x.passes)
		heard_fate(h, h->rest, rest);
	scanner_feed(&h->x, block, len);

	enum scanned what = SCAN_END;
	for (size_t i = 0; what != SCAN_MORE && what != SCAN_BAD && !h->wrong; i++) {
		check(i <= 2 * len);
		what = heard_next(h, block, begin);
	}
	h->bad = what == SCAN_BAD;
	free(block);
}

/* Did two scanners tell the same of the same stream? */
static bool heard_same(const struct heard *a, const struct heard *b)
{
	bool same = !a->wrong && !b->wrong && a->n == b->n && a->at == b->at && a->bad == b->bad
		&& a->ntold == b->ntold && a->x.answers == b->x.answers && a->x.rows == b->x.rows
		&& a->x.left == b->x.left && a->kept == b->kept && a->shown == b->shown;

	for (size_t i = 0; same && i < a->ntold; i++) {
		const struct told *x = &a->told[i], *y = &b->told[i];
		same = x->what == y->what && x->type == y->type && x->at == y->at && x->rows == y->rows
			&& x->answers == y->answers;
	}
	return same && !memcmp(a->fates, b->fates, a->n) && !memcmp(a->bytes, b->bytes, a->n);
}

#endif
