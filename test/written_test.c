/* written_test.c - how long a write of any session keeps the reads of its table on the primary. */
#include "route/written.c"

#include "t.h"

static struct written w;

static uint64_t key(const char *table)
{
	return written_key(written_key(WRITTEN_KEY, "db"), table);
}

static void add(uint64_t which, int64_t ms, const struct written_limits *l)
{
	written_add(&w, which, 0, (struct written_now){ .ms = ms }, l);
}

static bool lately(uint64_t which, int64_t ms)
{
	return written_lately(&w, which, (struct written_now){ .ms = ms });
}

static void test_time(void)
{
	struct written_limits l = { .ttl = 100, .marks = 10 };

	say(!lately(key("t"), 1000), "nothing yet");
	add(key("t"), 1000, &l);
	say(lately(key("t"), 1000) && lately(key("t"), 1099), "written");
	say(lately(key("T"), 1050), "in any case");
	say(!lately(key("u"), 1050), "no other table");
	say(!lately(written_key(written_key(WRITTEN_KEY, "other"), "t"), 1050),
		"in no other database");
	say(!lately(key("t"), 1100), "for its time");
	add(key("t"), 1090, &l);
	say(lately(key("t"), 1189) && !lately(key("t"), 1190), "renewed");
	say(written_key(key("f"), "()") == key("f()"), "a key in parts");
	written_free(&w);
}

static void test_longest(void)
{
	struct written_limits l = { .ttl = 100, .longest = 250, .marks = 10 };

	for (int64_t now = 1000; now < 1240; now += 20)
		add(key("t"), now, &l);
	say(lately(key("t"), 1249), "a run of writes");
	say(!lately(key("t"), 1250), "is not protected for longer");
	add(key("t"), 1260, &l);
	say(lately(key("t"), 1359), "and a new run begins");
	written_free(&w);
}

static void test_shorter_time(void)
{
	struct written_limits l = { .ttl = 1000, .marks = 10 };

	add(key("t"), 1000, &l);
	l.ttl = 100;
	add(key("t"), 1001, &l);
	say(lately(key("t"), 1999), "a later write does not shorten it");
	written_free(&w);
}

static void test_overflow(void)
{
	struct written_limits l = { .ttl = 100, .marks = 300 };
	char name[16];
	bool all = true, others = false;

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "t%d", i);
		add(key(name), 1000 + i / 10, &l);
	}
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "t%d", i);
		all &= lately(key(name), 1099);
		snprintf(name, sizeof name, "u%d", i);
		others |= lately(key(name), 1099);
	}
	say(all, "300 tables");
	say(!others, "and no others");
	add(key("one more"), 1050, &l);
	say(lately(key("one more"), 1149), "one too many is protected");
	say(lately(key("u"), 1149), "with all others");
	say(!lately(key("u"), 1150), "for its time");
	add(key("late"), 1200, &l);
	say(lately(key("late"), 1250) && !lately(key("u"), 1250),
		"then there is room again");
	say(w.used == 1 && w.cap == MARKS_FIRST, "and the table is small again");
	written_free(&w);
}

/* Old marks make place for new ones, however many there have been. */
static void test_turnover(void)
{
	struct written_limits l = { .ttl = 10, .marks = 2048 };
	char name[16];
	bool ok = true;

	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof name, "t%d", i);
		add(key(name), 1000 + i, &l);
		ok &= lately(key(name), 1009 + i) && !lately(key("u"), 1000 + i);
	}
	say(ok && w.cap == MARKS_FIRST, "10000 tables, a few at a time");
	written_free(&w);
}

/* With samples, time does not count. */
static void test_samples(void)
{
	struct written_limits l = { .ttl = 10, .marks = 3 };
	struct written_now now = { .ms = 1000, .sampling = true, .reached = 4 };

	written_add(&w, key("t"), 5, now, &l);
	written_add(&w, key("u"), 7, now, &l);
	now.ms = 100000;
	say(written_lately(&w, key("t"), now) && written_any(&w, now), "until the sample is reached");
	now.reached = 5;
	say(!written_lately(&w, key("t"), now) && written_lately(&w, key("u"), now), "each its own");
	written_add(&w, key("v"), 9, now, &l);
	written_add(&w, key("x"), 9, now, &l);
	written_add(&w, key("y"), 10, now, &l);
	say(written_lately(&w, key("y"), now) && written_lately(&w, key("z"), now),
		"without room for a mark all are written");
	now.reached = 9;
	say(written_lately(&w, key("z"), now), "for as long as that one");
	now.reached = 10;
	say(!written_lately(&w, key("z"), now), "and no longer");
	written_add(&w, key("t"), 11, now, &l);
	now.sampling = false;
	say(written_lately(&w, key("t"), now), "without samples time counts");
	now.ms += 10;
	say(!written_lately(&w, key("t"), now), "again");
	*written_floor(&w, 3) = 12;
	written_free(&w);
	say(*written_floor(&w, 3 + WRITTEN_DATABASES) == 12, "floors stay");
}

int main(void)
{
	test_time();
	test_longest();
	test_shorter_time();
	test_overflow();
	test_turnover();
	test_samples();
	return done();
}
