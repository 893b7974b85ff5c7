#include "tls/der.h"

#include <string.h>

struct der der_read(struct bytes b, bool *bad)
{
	const uint8_t *at = b.n ? b.at : (const uint8_t *)"";   /* an absent one is empty */

	return (struct der){ at, at + b.n, bad };
}

static struct der fail(struct der *d)
{
	*d->bad = true;
	d->at = d->end;
	return *d;
}

int der_tag(const struct der *d)
{
	return *d->bad || d->at == d->end ? -1 : *d->at;
}

/* Lengths are as DER wants them: as short as possible.  Tags beyond 30 do not occur. */
static struct der element(struct der *d)
{
	size_t left = (size_t)(d->end - d->at), head = 2, n;

	if (*d->bad || left < head || (d->at[0] & 0x1f) == 0x1f)
		return fail(d);
	n = d->at[1];
	if (n >= 0x80) {
		size_t digits = n & 0x7f;

		if (!digits || digits > 4 || left < head + digits || !d->at[2])
			return fail(d);
		n = 0;
		while (digits--)
			n = n << 8 | d->at[head++];
		if (n < 0x80)
			return fail(d);
	}
	if (n > left - head)
		return fail(d);
	struct der contents = { d->at + head, d->at + head + n, d->bad };
	d->at = contents.end;
	return contents;
}

struct der der_any(struct der *d)
{
	return element(d);
}

struct der der_get(struct der *d, int tag)
{
	return der_tag(d) == tag ? element(d) : fail(d);
}

bool der_maybe(struct der *d, int tag, struct der *contents)
{
	if (der_tag(d) != tag)
		return false;
	*contents = element(d);
	return true;
}

struct bytes der_whole(struct der *d, int tag)
{
	const uint8_t *start = d->at;
	struct der contents = der_get(d, tag);

	return *d->bad ? (struct bytes){ start, 0 }
		: (struct bytes){ start, (size_t)(contents.end - start) };
}

struct bytes der_rest(struct der *d)
{
	struct bytes b = { d->at, *d->bad ? 0 : (size_t)(d->end - d->at) };

	d->at = d->end;
	return b;
}

void der_end(struct der *d)
{
	if (d->at != d->end)
		fail(d);
}

struct bytes der_positive(struct der *d)
{
	struct der in = der_get(d, DER_INTEGER);
	struct bytes b = der_rest(&in);

	if (!b.n || b.at[0] & 0x80) {
		fail(d);
		return (struct bytes){ b.at, 0 };
	}
	while (b.n > 1 && !*b.at) {
		b.at++;
		b.n--;
	}
	return b;
}

long der_number(struct der *d, long max)
{
	struct bytes b = der_positive(d);
	unsigned long value = 0;

	if (b.n > 4) {
		fail(d);
		return 0;
	}
	for (size_t i = 0; i < b.n; i++)
		value = value << 8 | b.at[i];
	if (value <= (unsigned long)max)
		return (long)value;
	fail(d);
	return 0;
}

struct bytes der_bits(struct der *d)
{
	struct der in = der_get(d, DER_BITS);
	struct bytes b = der_rest(&in);

	if (!b.n || *b.at) {
		fail(d);
		return (struct bytes){ b.at, 0 };
	}
	return (struct bytes){ b.at + 1, b.n - 1 };
}

bool der_boolean(struct der *d)
{
	struct der in = der_get(d, DER_BOOLEAN);
	struct bytes b = der_rest(&in);

	if (b.n == 1)
		return *b.at;
	fail(d);
	return false;
}

/* --- time ---------------------------------------------------------------- */

/* Two digits, or -1. */
static int two(const uint8_t *p)
{
	bool good = p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9';

	return good ? (p[0] - '0') * 10 + p[1] - '0' : -1;
}

/* Days since 1970 of a day of the Gregorian calendar, whose year begins in March here. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month < 3 ? year - 1 : year;
	int64_t in_year = (153 * (month + (month < 3 ? 9 : -3)) + 2) / 5 + day - 1;

	return 365 * y + y / 4 - y / 100 + y / 400 + in_year - 719468;
}

int64_t der_time(struct der *d)
{
	bool is_short = der_tag(d) == DER_UTC_TIME;
	struct der in = der_get(d, is_short ? DER_UTC_TIME : DER_TIME);
	struct bytes b = der_rest(&in);
	int part[6] = { 0 };
	size_t first = is_short ? 2 : 4;        /* digits of the year */

	if (b.n != first + 11 || b.at[b.n - 1] != 'Z') {
		fail(d);
		return 0;
	}
	int century = is_short ? (two(b.at) < 50 ? 20 : 19) : two(b.at);
	part[0] = two(b.at + first - 2);
	for (size_t i = 1; i < 6; i++)
		part[i] = two(b.at + first + 2 * (i - 1));
	bool good = century >= 0 && part[0] >= 0 && part[1] >= 1 && part[1] <= 12 && part[2] >= 1
		&& part[2] <= 31 && part[3] >= 0 && part[3] <= 23 && part[4] >= 0 && part[4] <= 59
		&& part[5] >= 0 && part[5] <= 60;
	if (!good) {
		fail(d);
		return 0;
	}
	return days_of(century * 100 + part[0], part[1], part[2]) * 86400 + part[3] * 3600
		+ part[4] * 60 + part[5];
}

bool bytes_are(struct bytes a, struct bytes b)
{
	return a.n == b.n && (!a.n || !memcmp(a.at, b.at, a.n));
}

unsigned bytes_bits(struct bytes number)
{
	unsigned bits = (unsigned)number.n * 8;

	for (int mask = 0x80; mask && !(number.at[0] & mask); mask >>= 1)
		bits--;
	return bits;
}
