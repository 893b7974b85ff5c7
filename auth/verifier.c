#include "auth/verifier.h"

#include "auth.h"
#include "scram.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BEFOREHAND = 1000 };                     /* entries made before anybody asks */

/* The one being made.  It works on copies: the table may be exchanged meanwhile. */
struct making {
	struct job job;
	struct verifiers *all;
	uint64_t generation;                    /* of the table */
	uint32_t id;
	uint8_t salt[SCRAM_SALT_OWN];
	struct scram_keys keys;
	size_t len;
	char password[];
};

/* The state of one entry. */
struct known {
	const struct passwd_entry *entry;
	struct scram_verifier *verifier;        /* NULL: not made yet */
};

struct verifiers {
	struct loop *loop;
	uint64_t generation;                    /* counts tables */
	struct known *of;                       /* by the entries' ids */
	size_t n, beforehand;                   /* all below it are made, or need not be */
	struct making *making;
	struct verifier_wait *waiting;
	struct task changed;                    /* tells waiters that the table changed */
};

static void make_next(struct verifiers *v);

static void wipe(struct verifiers *v)
{
	for (size_t i = 0; i < v->n; i++)
		memory_wipe(v->of[i].verifier, sizeof *v->of[i].verifier);
	free(v->of);
}

static void end_making(struct making *m)
{
	memory_wipe(m, sizeof *m + m->len);
}

/* Tells waiters for this entry; all waiters if there is no verifier. */
static void tell(struct verifiers *v, uint32_t id, const struct scram_verifier *made)
{
	struct verifier_wait *told = NULL;

	for (struct verifier_wait **at = &v->waiting; *at; ) {
		struct verifier_wait *w = *at;
		if (made && w->id != id) {
			at = &w->next;
			continue;
		}
		verifier_unask(w);
		w->next = told;         /* being told may end others: their list is separate */
		w->at = &told;
		if (told)
			told->at = &w->next;
		told = w;
	}
	while (told) {
		struct verifier_wait *w = told;
		verifier_unask(w);
		w->made(w, made);
	}
}

static void derive(struct job *j)
{
	struct making *m = OWNER(j, struct making, job);

	scram_derive(&m->keys, m->password, m->len, m->salt, sizeof m->salt, SCRAM_ITERATIONS);
}

static void derived(struct job *j)
{
	struct making *m = OWNER(j, struct making, job);
	struct verifiers *v = m->all;
	struct scram_verifier *made = NULL;

	v->making = NULL;
	if (m->generation == v->generation && (made = malloc(sizeof *made))) {
		scram_verifier_make(made, &m->keys, m->salt, sizeof m->salt, SCRAM_ITERATIONS);
		v->of[m->id].verifier = made;
		tell(v, m->id, made);
	}
	end_making(m);
	make_next(v);
}

static void make(struct verifiers *v, const struct passwd_entry *e)
{
	struct making *m = calloc(1, sizeof *m + e->len + 1);

	if (!m || getrandom(m->salt, sizeof m->salt, 0) != sizeof m->salt) {
		free(m);
		return;
	}
	m->all = v;
	m->generation = v->generation;
	m->id = e->id;
	m->len = e->len;
	memcpy(m->password, e->text, e->len);
	m->job.work = derive;
	m->job.done = derived;
	v->making = m;
	if (loop_job(v->loop, LANE_VERIFIERS, &m->job) < 0) {
		derive(&m->job);          /* there is no thread: late is better than never */
		derived(&m->job);
	}
}

static void make_next(struct verifiers *v)
{
	if (v->making || v->changed.queued)
		return;
	if (v->waiting) {
		make(v, v->of[v->waiting->id].entry);
		return;
	}
	for (; v->beforehand < v->n && v->beforehand < BEFOREHAND; v->beforehand++) {
		const struct known *k = &v->of[v->beforehand];
		if (k->entry->kind == PASSWD_CLEAR && !k->verifier) {
			make(v, k->entry);
			return;
		}
	}
}

const struct scram_verifier *verifier_ask(struct verifiers *v, const struct passwd_entry *e,
                                          struct verifier_wait *w)
{
	if (v->of[e->id].verifier)
		return v->of[e->id].verifier;
	w->id = e->id;
	w->next = v->waiting;
	w->at = &v->waiting;
	if (w->next)
		w->next->at = &w->next;
	v->waiting = w;
	make_next(v);
	return NULL;
}

void verifier_unask(struct verifier_wait *w)
{
	if (!w->at)
		return;
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	w->at = NULL;
}

static void enter(void *ctx, const struct passwd_entry *e)
{
	((struct known *)ctx)[e->id].entry = e;
}

/* Takes over what is still valid. */
static void keep(struct verifiers *v, struct known *of, const struct passwd *fresh)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct passwd_entry *was = v->of[i].entry;
		const struct passwd_entry *is = passwd_find(fresh, was->user);
		if (!is || is->kind != was->kind || is->len != was->len
		    || memcmp(is->text, was->text, is->len))
			continue;
		of[is->id].verifier = v->of[i].verifier;
		v->of[i].verifier = NULL;
	}
}

static void start_anew(struct task *t)
{
	struct verifiers *v = OWNER(t, struct verifiers, changed);

	tell(v, 0, NULL);
	make_next(v);
}

int verifiers_of(struct verifiers *v, const struct passwd *fresh)
{
	size_t n = passwd_count(fresh);
	struct known *of = calloc(n + 1, sizeof *of);

	if (!of)
		return -1;
	passwd_each(fresh, enter, of);
	keep(v, of, fresh);
	wipe(v);
	v->of = of;
	v->n = n;
	v->generation++;
	v->beforehand = 0;
	loop_defer(v->loop, &v->changed);
	return 0;
}

struct verifiers *verifiers_new(struct loop *l)
{
	struct verifiers *v = calloc(1, sizeof *v);

	if (!v)
		return NULL;
	v->loop = l;
	v->changed.run = start_anew;
	return v;
}

/* A verifier in progress ends with the thread that makes it. */
void verifiers_free(struct verifiers *v)
{
	if (!v)
		return;
	wipe(v);
	free(v);
}
