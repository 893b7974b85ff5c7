/* position_test.c - positions in the WAL, and which samples a replica has. */
#include "check/position.c"

#include <stdbool.h>
#include "t.h"

enum { BLOCK = 8192 };

static void add(struct points *p, uint32_t sample, uint64_t lsn)
{
	points_add(p, sample, position_reachable(lsn, BLOCK), sample);
}

static uint32_t reached(const struct points *p, uint64_t replayed)
{
	int64_t ms;

	return points_reached(p, replayed, &ms);
}

static void test_words(void)
{
	say(position_timeline("000000020000001600000003") == 2, "a file's timeline");
	say(position_timeline("0000001F") == 31 && position_timeline("") == 0, "in hexadecimal");
}

static void test_reached(void)
{
	struct points p = { .n = 0 };

	say(!reached(&p, UINT64_MAX), "no sample");
	add(&p, 1, 1000);
	add(&p, 2, 2000);
	add(&p, 3, 2000);
	add(&p, 4, 3000);
	say(reached(&p, 999) == 0 && reached(&p, 1000) == 1, "at its position");
	say(reached(&p, 1999) == 1 && reached(&p, 2000) == 3, "the newest of equal ones");
	say(reached(&p, 1 << 30) == 4, "or beyond");
	add(&p, 5, 1500);
	say(reached(&p, 1500) == 5 && reached(&p, 1499) == 1,
		"after a crash it may be in front of others");
}

/* 8192 bytes a page: 24 of them a header, or 40. */
static void test_headers(void)
{
	struct points p = { .n = 0 };

	add(&p, 1, 3 * BLOCK + 24);
	say(reached(&p, 3 * BLOCK) == 1, "behind a page's header");
	add(&p, 2, 4 * BLOCK + 40);
	say(reached(&p, 4 * BLOCK) == 2, "behind the first one of a segment");
	add(&p, 3, 5 * BLOCK + 48);
	say(reached(&p, 5 * BLOCK) == 2, "a record is no header");
}

static void test_many(void)
{
	struct points p = { .n = 0 };
	bool fine = true;

	for (uint32_t i = 1; i <= 100000; i++) {
		add(&p, i, 100000 + i * 100);
		fine &= p.n <= POINTS && reached(&p, UINT64_MAX) == i;
	}
	say(fine, "a bounded number");
	for (unsigned i = 1; i < p.n; i++)
		fine &= p.at[i].lsn > p.at[i - 1].lsn && p.at[i].sample > p.at[i - 1].sample;
	say(fine, "in order");
	say(reached(&p, 100000 + 50000 * 100) > 10000, "far behind there are still some");
	say(reached(&p, 100000 + 99000 * 100) > 90000, "and near the newest more");
}

int main(void)
{
	test_words();
	test_reached();
	test_headers();
	test_many();
	return done();
}
