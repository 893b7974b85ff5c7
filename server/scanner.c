#include "server/scanner.h"

#include "wire.h"

/* The meaning of a type byte: the way that the message goes, and whether it is PostgreSQL's answer
 * to one Parse, Bind, Describe, Execute or Close. */
enum {
	ALIEN = 0,                              /* never comes after a login */
	STREAM = 1,                             /* passes by its header */
	SHOWN = 2,
	NEWS = 3,
	WAY = 3,                                /* the bits of these four */
	ROW = 4,                                /* STREAM: the statement got somewhere */
	ANSWER = 8,
	DESCRIPTION = 16,                       /* STREAM: shown if that is wanted */
};

static const uint8_t sorts[256] = {
	['T'] = STREAM | ANSWER | DESCRIPTION, ['n'] = STREAM | ANSWER | DESCRIPTION,
	['t'] = STREAM | DESCRIPTION, ['2'] = STREAM | ANSWER,
	['D'] = STREAM | ROW, ['d'] = STREAM | ROW, ['c'] = STREAM | ROW, ['V'] = STREAM | ROW,
	['1'] = SHOWN | ANSWER, ['3'] = SHOWN | ANSWER, ['C'] = SHOWN | ANSWER,
	['I'] = SHOWN | ANSWER, ['s'] = SHOWN | ANSWER,
	['E'] = SHOWN, ['S'] = SHOWN, ['Z'] = SHOWN, ['G'] = SHOWN, ['H'] = SHOWN, ['W'] = SHOWN,
	['N'] = NEWS, ['A'] = NEWS,
};

bool scanner_streams(char type)
{
	return (sorts[(uint8_t)type] & WAY) == STREAM;
}

void scanner_feed(struct scanner *x, uint8_t *p, size_t n)
{
	size_t take = x->left < n ? x->left : n;

	x->left -= (uint32_t)take;
	x->rows |= x->row && !x->left;
	x->row &= !x->rows;
	x->at = p + take;
	x->from = x->passes ? p : x->at;
	x->end = p + n;
}

void scanner_drop(struct scanner *x)
{
	x->from = x->at;
	x->passes = false;
}

/* Takes a message, or as much of it as is there. */
static size_t take(struct scanner *x, size_t size)
{
	size_t there = (size_t)(x->end - x->at);

	if (there > size)
		there = size;
	x->left = (uint32_t)(size - there);
	x->passes = true;
	x->at += there;
	return there;
}

static void see_row(struct scanner *x, size_t size)
{
	x->rows |= !x->left || size > SCANNER_WHOLE;
	x->row = !x->rows;
}

static void tell_run(struct scanner *x, struct scan_event *e, uint8_t *to)
{
	e->run = x->from;
	e->run_len = (size_t)(to - x->from);
	x->from = to;
}

static enum scanned show(struct scanner *x, enum asked asked, struct scan_event *e, size_t size)
{
	uint8_t *p = x->at;
	bool news = asked == ASKED_NOTHING || (sorts[*p] & WAY) == NEWS;

	e->p = p;
	e->type = (char)*p;
	e->n = take(x, size);
	e->notice_follows = x->at < x->end && *x->at == 'N';
	if (!news) {
		tell_run(x, e, p);
		x->answers += (sorts[*p] & ANSWER) != 0;
		x->ends = *p == 'Z';
		return SCAN_MESSAGE;
	}
	e->run_len = 0;
	if (asked == ASKED)
		return SCAN_NEWS;
	tell_run(x, e, p);
	scanner_drop(x);
	return SCAN_NEWS;
}

/* Something that is no message, behind the run up to here. */
static enum scanned tell(struct scanner *x, struct scan_event *e, enum scanned what, size_t n)
{
	tell_run(x, e, x->at);
	e->p = x->at;
	e->n = n;
	return what;
}

static enum scanned end_reply(struct scanner *x, struct scan_event *e)
{
	x->ends = x->row = x->rows = false;
	x->answers = 0;
	return tell(x, e, SCAN_END, 0);
}

enum scanned scanner_next(struct scanner *x, enum asked asked, struct scan_event *e)
{
	if (x->ends)
		return end_reply(x, e);
	while (x->end - x->at >= WIRE_HEADER) {
		uint32_t len = wire_u32(x->at + 1);
		uint8_t type = *x->at, sort = sorts[type];
		size_t size = (size_t)len + 1;
		bool unasked = (sort & WAY) == NEWS || type == 'S' || type == 'E';
		if (len < 4 || len > INT32_MAX || sort == ALIEN || (type == 'Z' && len != 5)
		    || (asked == ASKED_NOTHING && !unasked))
			return tell(x, e, SCAN_BAD, 0);
		if ((sort & WAY) == STREAM && !(x->describes && (sort & DESCRIPTION))) {
			x->answers += (sort & ANSWER) != 0;
			take(x, size);
			if (sort & ROW)
				see_row(x, size);
			continue;
		}
		if ((size_t)(x->end - x->at) < size && x->end - x->at < SCANNER_WHOLE)
			break;
		return show(x, asked, e, size);
	}
	return tell(x, e, SCAN_MORE, (size_t)(x->end - x->at));
}
