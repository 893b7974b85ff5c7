/* loop_test.c - the order of timers and tasks, watches that come and go while they are served,
 * parking, helper threads. */
#include "loop.c"

#include <string.h>
#include <sys/socket.h>

#include "t.h"

/* What ran, one letter each. */
static char ran[4096];
static size_t nran;
static struct loop *loop;

static void note(char c)
{
	ran[nran++] = c;
	ran[nran] = 0;
}

static bool was(const char *want)
{
	bool ok = !strcmp(ran, want);

	if (!ok)
		printf("# \"%s\" instead of \"%s\"\n", ran, want);
	nran = 0;
	ran[0] = 0;
	return ok;
}

/* --- timers --- */

enum { TIMERS = 500 };

struct alarm {
	struct timer timer;
	char letter;
	struct alarm *stops;
	int64_t again;
};

static int64_t last;
static bool in_order;
static unsigned nfired;

static void ring(struct timer *t)
{
	struct alarm *a = OWNER(t, struct alarm, timer);

	note(a->letter);
	if (a->stops)
		timer_stop(loop, &a->stops->timer);
	if (a->again)
		timer_set(loop, t, a->again);
	a->again = 0;
}

static void ring_many(struct timer *t)
{
	in_order &= t->at >= last && t->slot == 0;
	last = t->at;
	nfired++;
}

static void pass(int64_t ms)
{
	loop->now += ms;
	serve_timers(loop);
}

static void test_timers(void)
{
	struct alarm a = { { .fire = ring }, 'a', NULL, 0 }, b = { { .fire = ring }, 'b', NULL, 0 };
	struct alarm c = { { .fire = ring }, 'c', NULL, 0 };

	timer_stop(loop, &a.timer);
	say(wait_time(loop) == -1 && loop->armed == INT64_MAX, "without a deadline it waits for ever");
	timer_set(loop, &b.timer, 20);
	timer_set(loop, &a.timer, 10);
	timer_set(loop, &c.timer, 30);
	say(wait_time(loop) == -1 && loop->armed == loop->now + 10, "else for the first");
	pass(9);
	say(was(""), "too early");
	pass(1);
	say(was("a") && !a.timer.slot, "in time");
	pass(20);
	say(was("bc") && wait_time(loop) == -1, "in their order");
	timer_set(loop, &a.timer, 10);
	timer_set(loop, &a.timer, 50);
	timer_set(loop, &b.timer, 20);
	pass(20);
	say(was("b"), "a moved one");
	timer_set(loop, &b.timer, 10);
	timer_stop(loop, &a.timer);
	timer_stop(loop, &a.timer);
	pass(100);
	say(was("b"), "a stopped one");
	timer_set(loop, &a.timer, 1);
	timer_set(loop, &b.timer, 2);
	a.stops = &b;
	a.again = 5;
	pass(4);
	say(was("a") && a.timer.slot, "a callback stops another and sets itself");
	timer_set(loop, &a.timer, -5);
	say(wait_time(loop) == 0, "one that is late");
	pass(0);
	timer_set(loop, &a.timer, 1 << 30);
	say(was("a") && wait_time(loop) == -1 && loop->armed < a.timer.at,
	    "one that is later than the alarm leaves it");
	timer_stop(loop, &a.timer);
}

static void test_heap(void)
{
	static struct timer timers[TIMERS];
	uint32_t dice = 1;
	unsigned stopped = 0;

	for (int i = 0; i < TIMERS; i++) {
		timers[i].fire = ring_many;
		timer_set(loop, &timers[i], (dice = dice * 1103515245 + 12345) >> 16 & 1023);
	}
	for (int i = 0; i < TIMERS; i += 3, stopped++)
		timer_stop(loop, &timers[i]);
	for (int i = 1; i < TIMERS; i += 6)
		timer_set(loop, &timers[i], (dice = dice * 1103515245 + 12345) >> 16 & 1023);
	bool heap = true;
	for (uint32_t i = 2; i <= loop->ntimers; i++)
		heap &= loop->heap[i / 2]->at <= loop->heap[i]->at && loop->heap[i]->slot == i;
	say(heap && loop->ntimers == TIMERS - stopped, "%u timers in a heap", loop->ntimers);
	last = 0;
	in_order = true;
	for (int i = 0; i < 8; i++)
		pass(128);
	say(in_order && nfired == TIMERS - stopped && !loop->ntimers, "all fire, in order");
}

/* --- tasks --- */

struct chore { struct task task; char letter; struct chore *then; };

static void work_off(struct task *t)
{
	struct chore *c = OWNER(t, struct chore, task);

	note(c->letter);
	if (c->then)
		loop_defer(loop, &c->then->task);
	c->then = NULL;
}

static void test_tasks(void)
{
	struct chore a = { { .run = work_off }, 'a', NULL }, b = { { .run = work_off }, 'b', NULL };

	a.then = &a;
	loop_defer(loop, &a.task);
	loop_defer(loop, &b.task);
	loop_defer(loop, &a.task);
	loop_finish(loop);
	say(was("aba"), "tasks run once each, and those that they defer");
	loop_defer(loop, &b.task);
	loop_finish(loop);
	say(was("b"), "and again when deferred again");
}

/* --- watches --- */

enum { ENDS = 8 };

static struct end { struct watch watch; int peer; struct end *stops; } end[ENDS];
static short told;

static void hear(struct watch *w, short revents)
{
	struct end *e = OWNER(w, struct end, watch);
	char c;

	told = revents;
	if (w->events & POLLIN && recv(w->fd, &c, 1, MSG_DONTWAIT) == 1)
		note(c);
	if (e->stops)
		watch_stop(loop, &e->stops->watch);
	e->stops = NULL;
}

static void open_ends(void)
{
	for (int i = 0; i < ENDS; i++) {
		int fd[2];
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0)
			_exit(1);
		end[i] = (struct end){ .watch.ready = hear, .peer = fd[1] };
		watch_start(loop, &end[i].watch, fd[0], POLLIN);
	}
}

static void close_ends(void)
{
	for (int i = 0; i < ENDS; i++) {
		watch_stop(loop, &end[i].watch);
		close(end[i].watch.fd);
		close(end[i].peer);
	}
}

static void send_to(int first, int n)
{
	for (int i = first; i < first + n; i++)
		say(write(end[i].peer, &"01234567"[i], 1) == 1, "a byte to %d", i);
}

static void never(struct timer *t) { (void)t; }

/* The kernel's timer ends the wait. */
static void test_alarm(void)
{
	struct alarm a = { { .fire = ring }, 'a', NULL, 0 };

	read_clock(loop);
	loop->armed = INT64_MAX;
	for (int i = 0; i < 2; i++) {
		timer_set(loop, &a.timer, 20);
		int64_t at = a.timer.at;
		while (a.timer.slot)
			loop_turn(loop);
		say(was("a") && loop->now >= at && loop->now < at + 2000, "a deadline ends the wait");
	}
}

/* A turn that does not wait, and moves nothing from the array into the set but later. */
static void turn_at(bool later)
{
	struct timer now = { .fire = never };

	loop->swept = loop->now + (later ? -YOUNG : 60000);
	timer_set(loop, &now, 0);
	loop_turn(loop);
	timer_stop(loop, &now);
}

static void turn(void) { turn_at(false); }

static void test_watches(void)
{
	open_ends();
	send_to(2, 3);
	turn();
	say(was("432"), "all that are ready are served");
	turn();
	say(was(""), "and no others");
	send_to(0, ENDS);
	end[5].stops = &end[2];
	end[4].stops = &end[4];
	end[3].stops = &end[7];
	turn();
	say(was("7654310"), "one stops another, itself, one that was served");
	say(!end[2].watch.on && !end[4].watch.on && !end[7].watch.on && loop->n == 1 + ENDS - 3,
	    "gone");
	watch_stop(loop, &end[2].watch);
	watch_want(loop, &end[2].watch, POLLOUT);
	watch_start(loop, &end[2].watch, end[2].watch.fd, POLLIN);
	turn();
	say(was("2"), "started again");

	watch_want(loop, &end[0].watch, POLLIN | POLLOUT);
	turn();
	say(told == POLLOUT, "writable");
	watch_want(loop, &end[0].watch, 0);
	send_to(0, 1);
	told = 0;
	turn();
	say(!told, "nothing is wanted");
	close(end[0].peer);
	turn();
	say(told & POLLHUP, "but the peer's end is told");
	watch_stop(loop, &end[0].watch);
	end[0].peer = dup(0);
	close_ends();
	say(loop->n == 1, "all stopped");
}

static void test_parking(void)
{
	open_ends();
	watch_want(loop, &end[7].watch, POLLOUT);
	watch_want(loop, &end[6].watch, 0);
	told = 0;
	turn();
	say(loop->n == 1 + ENDS && told == POLLOUT, "the young ones are in the array");
	turn_at(true);
	say(loop->n == 1, "later they are in the set");
	told = 0;
	turn();
	say(told == POLLOUT, "where they hear what they want");
	watch_want(loop, &end[7].watch, POLLIN);
	send_to(0, ENDS);
	end[2].stops = &end[4];
	end[3].stops = &end[3];
	turn();
	say(nran == 6 && memchr(ran, '5', 6) && memchr(ran, '7', 6), "all that fired but one");
	was(ran);
	say(!end[3].watch.on && !end[4].watch.on, "one stopped another that fired with it, and itself");
	watch_want(loop, &end[6].watch, POLLIN);
	watch_start(loop, &end[4].watch, end[4].watch.fd, POLLIN);
	send_to(0, 1);
	turn();
	say(was("406") || was("460"), "the array, then the set: started again, changed");
	told = 0;
	close(end[1].peer);
	turn();
	say(told & POLLHUP && told & POLLIN, "the end of a parked one's peer");
	end[1].peer = dup(0);
	close_ends();
	say(loop->n == 1, "all stopped");
}

/* --- helpers --- */

struct errand { struct job job; char letter; pthread_t who; };

static void run_errand(struct job *j)
{
	OWNER(j, struct errand, job)->who = pthread_self();
}

static void errand_done(struct job *j)
{
	struct errand *e = OWNER(j, struct errand, job);

	note(pthread_equal(e->who, pthread_self()) ? '!' : e->letter);
}

static void test_jobs(void)
{
	static struct errand e[6];

	for (int i = 0; i < 6; i++) {
		e[i] = (struct errand){ .job = { NULL, run_errand, errand_done },
		    .letter = (char)('a' + i) };
		say(loop_job(loop, LANE_KEYS, &e[i].job) == 0, "job %d", i);
	}
	while (nran < 6)
		loop_turn(loop);
	say(was("abcdef"), "a lane's jobs are done in order, elsewhere");
}

int main(void)
{
	loop = loop_new();
	say(loop && loop->n == 1, "a loop");
	test_timers();
	test_heap();
	test_tasks();
	test_watches();
	test_parking();
	test_alarm();
	test_jobs();
	return done();
}
