/* written_test.c - how long a write of any session keeps the reads of its table on the primary. */
#include "route/written.c"

#include "t.h"

static struct written w;

static uint64_t key(const char *table)
{
	return written_key(written_key(WRITTEN_KEY, "db"), table);
}

static void test_time(void)
{
	struct written_limits l = { .ttl = 100, .marks = 10 };

	say(!written_lately(&w, key("t"), 1000), "nothing yet");
	written_add(&w, key("t"), 1000, &l);
	say(written_lately(&w, key("t"), 1000) && written_lately(&w, key("t"), 1099), "written");
	say(written_lately(&w, key("T"), 1050), "in any case");
	say(!written_lately(&w, key("u"), 1050), "no other table");
	say(!written_lately(&w, written_key(written_key(WRITTEN_KEY, "other"), "t"), 1050),
		"in no other database");
	say(!written_lately(&w, key("t"), 1100), "for its time");
	written_add(&w, key("t"), 1090, &l);
	say(written_lately(&w, key("t"), 1189) && !written_lately(&w, key("t"), 1190), "renewed");
	say(written_key(key("f"), "()") == key("f()"), "a key in parts");
	written_free(&w);
}

static void test_longest(void)
{
	struct written_limits l = { .ttl = 100, .longest = 250, .marks = 10 };

	for (int64_t now = 1000; now < 1240; now += 20)
		written_add(&w, key("t"), now, &l);
	say(written_lately(&w, key("t"), 1249), "a run of writes");
	say(!written_lately(&w, key("t"), 1250), "is not protected for longer");
	written_add(&w, key("t"), 1260, &l);
	say(written_lately(&w, key("t"), 1359), "and a new run begins");
	written_free(&w);
}

static void test_shorter_time(void)
{
	struct written_limits l = { .ttl = 1000, .marks = 10 };

	written_add(&w, key("t"), 1000, &l);
	l.ttl = 100;
	written_add(&w, key("t"), 1001, &l);
	say(written_lately(&w, key("t"), 1999), "a later write does not shorten it");
	written_free(&w);
}

static void test_overflow(void)
{
	struct written_limits l = { .ttl = 100, .marks = 300 };
	char name[16];
	bool all = true, others = false;

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "t%d", i);
		written_add(&w, key(name), 1000 + i / 10, &l);
	}
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "t%d", i);
		all &= written_lately(&w, key(name), 1099);
		snprintf(name, sizeof name, "u%d", i);
		others |= written_lately(&w, key(name), 1099);
	}
	say(all, "300 tables");
	say(!others, "and no others");
	written_add(&w, key("one more"), 1050, &l);
	say(written_lately(&w, key("one more"), 1149), "one too many is protected");
	say(written_lately(&w, key("u"), 1149), "with all others");
	say(!written_lately(&w, key("u"), 1150), "for its time");
	written_add(&w, key("late"), 1200, &l);
	say(written_lately(&w, key("late"), 1250) && !written_lately(&w, key("u"), 1250),
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
		written_add(&w, key(name), 1000 + i, &l);
		ok &= written_lately(&w, key(name), 1009 + i) && !written_lately(&w, key("u"), 1000 + i);
	}
	say(ok && w.cap == MARKS_FIRST, "10000 tables, a few at a time");
	written_free(&w);
}

int main(void)
{
	test_time();
	test_longest();
	test_shorter_time();
	test_overflow();
	test_turnover();
	return done();
}
