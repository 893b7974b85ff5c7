/* loop.h - one thread's wait for descriptors, deadlines and helpers.
 *
 * poll() is called on few descriptors: the youngest, and that of an epoll set.  All that live
 * longer than some milliseconds move into the set for good.  So a short connection costs no
 * registration, and ten thousand idle ones cost nothing.  Nobody outside sees the difference.
 *
 * A struct watch, timer or task is embedded in the object that owns it, which must take it off the
 * loop before it is freed.  The zero value is not on the loop.  Within a turn the order is:
 * descriptors, then timers, then deferred tasks; an object is freed in a deferred task and nowhere
 * else, so no pointer dies under a caller.
 *
 * Time is loop_now(): milliseconds of a monotonic clock, read once per turn.
 */
#ifndef LOOP_H
#define LOOP_H

#include "loop/histogram.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The object around an embedded member.  Callbacks that get a watch, a timer, a task or a job begin
 * with this. */
#define OWNER(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

struct loop;

struct loop *loop_new(void);                    /* NULL: errno says why */
void loop_free(struct loop *l);

/* Runs one turn: waits until something is ready or due, and serves it. */
void loop_turn(struct loop *l);
int64_t loop_now(const struct loop *l);
int64_t loop_now_us(const struct loop *l);      /* the same in microseconds, to measure with */

/* Shared by the rooms of one loop: all of them point to it.  A reload replaces the members that
 * come from files, tells each room (nodes_reload() and the like), and then frees the old ones. */
struct base {
	struct loop *loop;
	struct net *net;
	struct log *log;
	const struct conf *conf;
	const struct passwd *passwd;            /* pool_passwd */
	const struct hba *hba;                  /* NULL: without enable_pool_hba,
	                                         * or the file is bad */
	struct tls_context *tls;                /* NULL: neither clients nor nodes want it */
};

struct watch {
	int fd;
	short events;                           /* POLLIN, POLLOUT, POLLRDHUP as wanted */
	bool on;
	bool parked;                            /* in the epoll set */
	uint32_t slot;                          /* in the poll array */
	void (*ready)(struct watch *w, short revents);
};

/* Starts, changes and ends watching w->fd.  Starting fails only without memory (-1).  With events 0
 * only POLLHUP and POLLERR are reported. */
int watch_start(struct loop *l, struct watch *w, int fd, short events);
void watch_want(struct loop *l, struct watch *w, short events);
void watch_stop(struct loop *l, struct watch *w);

struct timer {
	int64_t at;                             /* loop_now() when it fires */
	uint32_t slot;                          /* in the heap, from 1; 0 = not set */
	void (*fire)(struct timer *t);
};

/* Sets or moves a deadline, `ms` from now; without memory (-1) it stays unset. */
int timer_set(struct loop *l, struct timer *t, int64_t ms);
void timer_stop(struct loop *l, struct timer *t);

struct task {
	struct task *next;
	bool queued;
	void (*run)(struct task *t);
};

/* Runs the task at the end of this turn, once. */
void loop_defer(struct loop *l, struct task *t);

/* Runs deferred tasks outside a turn: at the end of the program. */
void loop_finish(struct loop *l);

/* Work that would block, done by a helper thread.  work() runs there and may
 * touch nothing but the job's own object; done() runs on the loop afterwards.
 * Jobs of one lane run in order, lanes beside each other. */
enum { KEY_LANES = 8 };
enum lane { LANE_NAMES, LANE_PEERS, LANE_CHECKS, LANE_VERIFIERS, LANE_KEYS,
	LANES = LANE_KEYS + KEY_LANES };

struct job {
	struct job *next;
	void (*work)(struct job *j);
	void (*done)(struct job *j);
};

int loop_job(struct loop *l, enum lane lane, struct job *j);    /* -1: no thread could be made */

#endif
