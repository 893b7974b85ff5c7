/* verifier.c: what is made when, who is told, and what a reload keeps.  The loop, the table and the
 * derivation are played by this test. */
#include "auth/verifier.c"
#include "t.h"

enum { USERS = 5 };

struct passwd { size_t n; struct passwd_entry entry[USERS]; };

static struct job *job;                         /* the one under way */
static struct task *task;
static char order[64];                          /* passwords, as they are derived */

int loop_job(struct loop *l, enum lane lane, struct job *j)
{
	(void)l;
	say(lane == LANE_VERIFIERS && !job, "one at a time");
	job = j;
	return 0;
}

void loop_defer(struct loop *l, struct task *t)
{
	(void)l;
	t->queued = true;
	task = t;
}

size_t passwd_count(const struct passwd *p) { return p ? p->n : 0; }

void passwd_each(const struct passwd *p, void (*fn)(void *ctx, const struct passwd_entry *e), void *ctx)
{
	for (size_t i = p->n; i-- > 0; )
		fn(ctx, &p->entry[i]);
}

const struct passwd_entry *passwd_find(const struct passwd *p, const char *user)
{
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->entry[i].user, user))
			return &p->entry[i];
	return NULL;
}

void scram_derive(struct scram_keys *k, const char *password, size_t len, const uint8_t *salt,
	size_t salt_len, uint32_t iterations)
{
	(void)salt, (void)salt_len, (void)iterations;
	strncat(order, password, len);
	k->client_key[0] = (uint8_t)password[0];
}

void scram_verifier_make(struct scram_verifier *v, const struct scram_keys *k, const uint8_t *salt,
	size_t salt_len, uint32_t iterations)
{
	(void)salt, (void)salt_len, (void)iterations;
	*v = (struct scram_verifier){ .stored_key = { k->client_key[0] } };
}

/* Users "0", "1", ... with these passwords of one character; '-' has none in clear text. */
static struct passwd table(const char *passwords)
{
	static const char *const users[USERS] = { "0", "1", "2", "3", "4" };
	struct passwd p = { .n = strlen(passwords) };

	for (size_t i = 0; i < p.n; i++)
		p.entry[i] = (struct passwd_entry){
			.kind = passwords[i] == '-' ? PASSWD_MD5 : PASSWD_CLEAR, .id = (uint32_t)i,
			.user = users[i], .text = passwords + i, .len = 1 };
	return p;
}

static void run_task(void)
{
	struct task *t = task;

	task = NULL;
	t->queued = false;
	t->run(t);
}

static bool run_job(void)
{
	struct job *j = job;

	job = NULL;
	if (j) {
		void (*finish)(struct job *) = j->done;
		j->work(j);
		finish(j);
	}
	return j;
}

struct waiter { struct verifier_wait w; int told; char key; struct waiter *leaves; };

static void told(struct verifier_wait *w, const struct scram_verifier *v)
{
	struct waiter *me = OWNER(w, struct waiter, w);

	me->told++;
	me->key = v ? (char)v->stored_key[0] : '?';
	if (me->leaves)
		verifier_unask(&me->leaves->w);
}

int main(void)
{
	struct verifiers *v = verifiers_new(NULL);
	struct passwd first = table("ab-de"), second = table("xbcd");
	struct waiter w[4] = { 0 };

	for (int i = 0; i < 4; i++)
		w[i].w.made = told;
	say(verifiers_of(v, &first) == 0 && !job, "nothing before the turn's end");
	run_task();
	say(job, "the first is begun");
	say(!verifier_ask(v, &first.entry[4], &w[0].w) && !verifier_ask(v, &first.entry[4], &w[1].w)
	    && !verifier_ask(v, &first.entry[3], &w[2].w), "three wait");
	run_job();
	say(verifier_ask(v, &first.entry[0], &w[3].w)->stored_key[0] == 'a' && !w[3].w.at,
	    "what is made is there at once");
	w[1].leaves = &w[0];
	run_job();
	run_job();
	say(w[2].told == 1 && w[2].key == 'd', "told his own");
	say(w[0].told + w[1].told == 1 || (w[0].told == 1 && w[1].told == 1), "and those of the other");
	say((w[1].key == 'e') && w[0].told <= 1, "but not who left meanwhile");
	while (run_job())
		;
	say(strlen(order) == 4 && order[0] == 'a' && order[3] == 'b' && !strchr(order, '-'),
	    "who is waited for goes first, each once (%s)", order);

	order[0] = '\0';
	memset(w, 0, sizeof w);
	w[0].w.made = w[1].w.made = told;
	say(verifiers_of(v, &second) == 0, "another table");
	say(!verifier_ask(v, &second.entry[2], &w[0].w) && !job, "asked before the turn's end");
	run_task();
	say(w[0].told == 1 && w[0].key == '?', "is told to ask again");
	say(!verifier_ask(v, &second.entry[2], &w[0].w), "again");
	struct passwd third = table("xbcd");
	say(verifiers_of(v, &third) == 0, "a third, while one is being made");
	run_job();
	say(!job, "what was made for the second is not used, and nothing is begun");
	run_task();
	while (run_job())
		;
	say(w[0].told == 2 && w[0].key == '?', "who waited is told to ask again");
	say(!strcmp(order, "xxc"), "what is the same was kept (%s)", order);
	say(verifier_ask(v, &third.entry[1], &w[1].w)->stored_key[0] == 'b', "with its old verifier");
	verifiers_free(v);
	verifiers_free(NULL);
	return done();
}
