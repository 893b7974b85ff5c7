#include "loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
	YOUNG = 4,                              /* ms between two moves of the poll
	                                         * array into the set */
	PARK_MAX = 256,                         /* moved in one turn */
	FIRED_MAX = 64,                         /* parked descriptors served in one turn */
};

_Static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLERR == EPOLLERR
	&& POLLHUP == EPOLLHUP && POLLRDHUP == EPOLLRDHUP, "events are the same bits for both");

struct helper {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job *head, **tail;
	bool started, stop;
	struct loop *loop;
};

struct loop {
	int64_t now, now_us;
	struct pollfd *fds;                     /* fds[i] belongs to watches[i] */
	struct watch **watches;
	uint32_t n, cap;
	int64_t swept;                          /* when it was last emptied into the set */

	int epoll;
	struct watch set;                       /* the epoll set's own descriptor: watches[0] */
	struct epoll_event fired[FIRED_MAX];
	int nfired;

	struct timer **heap;                    /* heap[1] fires first */
	uint32_t ntimers, timer_cap;
	struct watch alarm;                     /* a timerfd: heap[1] is due, or was to be */
	int64_t armed;                          /* when it goes off */

	struct task *tasks, **tasks_tail;

	struct helper helpers[LANES];
	struct watch wake;                      /* an eventfd: jobs are done */
	pthread_mutex_t done_lock;
	struct job *done_head, **done_tail;
};

/* --- watches ------------------------------------------------------------- */

static int room_for_watch(struct loop *l)
{
	if (l->n < l->cap)
		return 0;
	uint32_t cap = l->cap ? l->cap * 2 : 64;
	struct pollfd *fds = realloc(l->fds, cap * sizeof *fds);
	if (!fds)
		return -1;
	l->fds = fds;
	struct watch **watches = realloc(l->watches, cap * sizeof *watches);
	if (!watches)
		return -1;
	l->watches = watches;
	l->cap = cap;
	return 0;
}

static int enter_array(struct loop *l, struct watch *w)
{
	if (room_for_watch(l) < 0)
		return -1;
	w->slot = l->n++;
	l->fds[w->slot] = (struct pollfd){ .fd = w->fd, .events = w->events };
	l->watches[w->slot] = w;
	return 0;
}

static void leave_array(struct loop *l, struct watch *w)
{
	uint32_t last = --l->n, hole = w->slot;

	l->fds[hole] = l->fds[last];
	l->watches[hole] = l->watches[last];
	l->watches[hole]->slot = hole;
}

static int in_set(struct loop *l, const struct watch *w, int operation)
{
	struct epoll_event e = { .events = (uint32_t)w->events, .data.ptr = (void *)w };

	return epoll_ctl(l->epoll, operation, w->fd, &e);
}

/* Waiting in the epoll set costs nothing, but entering it costs a system call: short-lived
 * descriptors never get there. */
static void sweep(struct loop *l)
{
	int left = PARK_MAX;

	for (uint32_t i = l->n; i-- > 1 && left > 0; left--) {
		struct watch *w = l->watches[i];
		if (in_set(l, w, EPOLL_CTL_ADD) < 0)
			continue;
		leave_array(l, w);
		w->parked = true;
	}
	l->swept = l->now;
}

int watch_start(struct loop *l, struct watch *w, int fd, short events)
{
	w->fd = fd;
	w->events = events;
	w->parked = false;
	if (enter_array(l, w) < 0)
		return -1;
	w->on = true;
	return 0;
}

void watch_want(struct loop *l, struct watch *w, short events)
{
	if (!w->on || w->events == events)
		return;
	w->events = events;
	if (w->parked)
		in_set(l, w, EPOLL_CTL_MOD);
	else
		l->fds[w->slot] = (struct pollfd){ .fd = w->fd, .events = events };
}

void watch_stop(struct loop *l, struct watch *w)
{
	if (!w->on)
		return;
	if (w->parked) {
		epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
		for (int i = 0; i < l->nfired; i++)
			if (l->fired[i].data.ptr == w)
				l->fired[i].data.ptr = NULL;
	} else {
		leave_array(l, w);
	}
	w->on = w->parked = false;
}

/* The members of the set that fired; those without room in l->fired are reported again next
 * turn. */
static void serve_fired(struct loop *l)
{
	for (int i = 0; i < l->nfired; i++) {
		struct watch *w = l->fired[i].data.ptr;
		if (w)
			w->ready(w, (short)l->fired[i].events);
	}
	l->nfired = 0;
}

static void serve_set(struct watch *w, short revents)
{
	struct loop *l = OWNER(w, struct loop, set);

	(void)revents;
	l->nfired = epoll_wait(l->epoll, l->fired, FIRED_MAX, 0);
	serve_fired(l);
}

/* One of the loop's own. */
static int start_own(struct loop *l, struct watch *w, int fd, void (*ready)(struct watch *, short))
{
	*w = (struct watch){ .fd = fd, .events = POLLIN, .on = true, .parked = true,
		.ready = ready };
	return fd < 0 ? -1 : in_set(l, w, EPOLL_CTL_ADD);
}

/* Serving may start and stop any watch.  The array is walked downwards: a stop
 * moves the last entry into the hole, and that entry was served already or is
 * new and has no revents. */
static void serve_array(struct loop *l, int ready)
{
	for (uint32_t i = l->n; i-- > 0 && ready > 0; ) {
		if (i >= l->n)
			continue;
		short revents = l->fds[i].revents;
		if (!revents)
			continue;
		ready--;
		l->fds[i].revents = 0;
		struct watch *w = l->watches[i];
		w->ready(w, revents);
	}
}

/* --- timers: a binary heap ----------------------------------------------- */

static void place(struct loop *l, uint32_t i, struct timer *t)
{
	l->heap[i] = t;
	t->slot = i;
}

static void sift_up(struct loop *l, uint32_t i, struct timer *t)
{
	for (; i > 1 && l->heap[i / 2]->at > t->at; i /= 2)
		place(l, i, l->heap[i / 2]);
	place(l, i, t);
}

static void sift_down(struct loop *l, uint32_t i, struct timer *t)
{
	for (uint32_t child; (child = i * 2) <= l->ntimers; i = child) {
		if (child < l->ntimers && l->heap[child + 1]->at < l->heap[child]->at)
			child++;
		if (l->heap[child]->at >= t->at)
			break;
		place(l, i, l->heap[child]);
	}
	place(l, i, t);
}

int timer_set(struct loop *l, struct timer *t, int64_t ms)
{
	timer_stop(l, t);
	if (l->ntimers + 1 >= l->timer_cap) {
		uint32_t cap = l->timer_cap ? l->timer_cap * 2 : 64;
		struct timer **heap = realloc(l->heap, cap * sizeof *heap);
		if (!heap)
			return -1;
		l->heap = heap;
		l->timer_cap = cap;
	}
	t->at = l->now + ms;
	sift_up(l, ++l->ntimers, t);
	return 0;
}

void timer_stop(struct loop *l, struct timer *t)
{
	if (!t->slot)
		return;
	uint32_t hole = t->slot;
	struct timer *last = l->heap[l->ntimers--];
	t->slot = 0;
	if (last == t)
		return;
	if (hole > 1 && l->heap[hole / 2]->at > last->at)
		sift_up(l, hole, last);
	else
		sift_down(l, hole, last);
}

static void serve_timers(struct loop *l)
{
	while (l->ntimers && l->heap[1]->at <= l->now) {
		struct timer *t = l->heap[1];
		timer_stop(l, t);
		t->fire(t);
	}
}

/* The timeout of the next poll(): a timerfd in the epoll set waits for the first deadline, which
 * costs a system call only when that comes nearer.  A timeout would cost
 * a kernel timer each turn. */
static int wait_time(struct loop *l)
{
	int64_t at = l->ntimers ? l->heap[1]->at : INT64_MAX;

	if (at <= l->now || l->tasks)
		return 0;
	if (at < l->armed) {
		struct itimerspec t = { .it_value = { at / 1000, at % 1000 * 1000000 } };
		timerfd_settime(l->alarm.fd, TFD_TIMER_ABSTIME, &t, NULL);
		l->armed = at;
	}
	return -1;
}

static void serve_alarm(struct watch *w, short revents)
{
	struct loop *l = OWNER(w, struct loop, alarm);
	uint64_t times;

	(void)revents;
	if (read(w->fd, &times, sizeof times) > 0)
		l->armed = INT64_MAX;
}

/* --- tasks --------------------------------------------------------------- */

void loop_defer(struct loop *l, struct task *t)
{
	if (t->queued)
		return;
	t->queued = true;
	t->next = NULL;
	*l->tasks_tail = t;
	l->tasks_tail = &t->next;
}

/* Those that are there now.  One that defers itself again has its next turn in the loop's next one:
 * others are served in between. */
static void serve_tasks(struct loop *l)
{
	struct task *t = l->tasks, *next;

	l->tasks = NULL;
	l->tasks_tail = &l->tasks;
	for (; t; t = next) {
		next = t->next;
		t->queued = false;
		t->run(t);
	}
}

void loop_finish(struct loop *l)
{
	while (l->tasks)
		serve_tasks(l);
}

/* --- helper threads ------------------------------------------------------ */

static void *help(void *arg)
{
	struct helper *h = arg;
	struct loop *l = h->loop;

	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		struct job *j = h->head;
		if (!j) {
			pthread_cond_wait(&h->wake, &h->lock);
			continue;
		}
		h->head = j->next;
		if (!h->head)
			h->tail = &h->head;
		pthread_mutex_unlock(&h->lock);

		j->work(j);
		j->next = NULL;
		pthread_mutex_lock(&l->done_lock);
		*l->done_tail = j;
		l->done_tail = &j->next;
		pthread_mutex_unlock(&l->done_lock);
		eventfd_write(l->wake.fd, 1);

		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

int loop_job(struct loop *l, enum lane lane, struct job *j)
{
	struct helper *h = &l->helpers[lane];

	if (!h->started && pthread_create(&h->thread, NULL, help, h) != 0)
		return -1;
	h->started = true;
	j->next = NULL;
	pthread_mutex_lock(&h->lock);
	*h->tail = j;
	h->tail = &j->next;
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->lock);
	return 0;
}

static void serve_done(struct watch *w, short revents)
{
	struct loop *l = OWNER(w, struct loop, wake);
	eventfd_t count;

	(void)revents;
	eventfd_read(l->wake.fd, &count);
	pthread_mutex_lock(&l->done_lock);
	struct job *j = l->done_head;
	l->done_head = NULL;
	l->done_tail = &l->done_head;
	pthread_mutex_unlock(&l->done_lock);
	while (j) {
		struct job *next = j->next;
		j->done(j);
		j = next;
	}
}

/* --- the loop ------------------------------------------------------------ */

static void read_clock(struct loop *l)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	l->now_us = (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	l->now = l->now_us / 1000;
}

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	l->tasks_tail = &l->tasks;
	l->done_tail = &l->done_head;
	pthread_mutex_init(&l->done_lock, NULL);
	for (int i = 0; i < LANES; i++) {
		l->helpers[i].tail = &l->helpers[i].head;
		l->helpers[i].loop = l;
		pthread_mutex_init(&l->helpers[i].lock, NULL);
		pthread_cond_init(&l->helpers[i].wake, NULL);
	}
	read_clock(l);
	l->set.ready = serve_set;
	l->armed = INT64_MAX;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int alarm = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->epoll < 0 || watch_start(l, &l->set, l->epoll, POLLIN) < 0
	    || start_own(l, &l->wake, wake, serve_done) < 0
	    || start_own(l, &l->alarm, alarm, serve_alarm) < 0) {
		free(l);
		return NULL;
	}
	return l;
}

/* A thread that sits in a name look-up cannot be hurried; the process is about
 * to end and takes it along. */
void loop_free(struct loop *l)
{
	close(l->epoll);
	close(l->alarm.fd);
	free(l->fds);
	free(l->watches);
	free(l->heap);
	for (int i = 0; i < LANES; i++)
		if (l->helpers[i].started)
			return;
	close(l->wake.fd);
	free(l);
}

/* If the array has nothing but the set, waiting for the set itself saves a system call. */
static int await(struct loop *l, int timeout)
{
	if (l->n > 1)
		return poll(l->fds, l->n, timeout);
	l->nfired = epoll_wait(l->epoll, l->fired, FIRED_MAX, timeout);
	return 0;
}

void loop_turn(struct loop *l)
{
	int ready = await(l, wait_time(l));

	read_clock(l);
	if (ready > 0)
		serve_array(l, ready);
	else
		serve_fired(l);
	serve_timers(l);
	serve_tasks(l);
	if (l->n > 1 && l->now - l->swept >= YOUNG)
		sweep(l);
}

int64_t loop_now(const struct loop *l)
{
	return l->now;
}

int64_t loop_now_us(const struct loop *l)
{
	return l->now_us;
}
