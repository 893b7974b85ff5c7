/* sample_test.c - who is asked for his position, when, and what the answers say. */
#define digits conf_digits
#define rows conf_rows
#define tell conf_tell
#define number conf_number
#include "conf/scan.c"
#include "conf/value.c"
#include "conf.c"
#undef digits
#undef rows
#undef tell
#undef number

#include "check/position.c"
#include "check/sample.c"
#include "node.c"

#include "t.h"

/* The rooms below: questions are kept, the clock stands until it is told to go on. */
static int64_t clock_ms = 1000;
static char logged[512], asked_as[64];
static unsigned heard;
static const char *asked[3];

int64_t loop_now(const struct loop *l) { (void)l; return clock_ms; }
int64_t loop_now_us(const struct loop *l) { (void)l; return clock_ms * 1000; }
int timer_set(struct loop *l, struct timer *t, int64_t ms) { (void)l; t->at = clock_ms + ms; return 0; }
void timer_stop(struct loop *l, struct timer *t) { (void)l; t->at = 0; }
int loop_job(struct loop *l, enum lane lane, struct job *j) { (void)l, (void)lane, (void)j; return -1; }
void net_flush(struct net *n) { (void)n; }
bool servers_renew_database(const struct servers *all, const char *database)
{
	(void)all;
	return !strcmp(database, "gone soon");
}
void ask_stop(struct ask *a) { a->waits = false; }
void ask_plain(struct ask *a, struct node *n, const struct identity *as, const char *sql, int64_t ms)
{
	(void)ms;
	a->waits = true;
	asked[n->id] = sql;
	snprintf(asked_as, sizeof asked_as, "%s/%s", as->user, as->database);
}

void log_record(struct log *l, struct log_who *who, enum level v, const char *place,
	const char *detail, const char *hint, const char *fmt, ...)
{
	va_list ap;

	(void)l, (void)who, (void)v, (void)place, (void)detail, (void)hint;
	va_start(ap, fmt);
	vsnprintf(logged, sizeof logged, fmt, ap);
	va_end(ap);
}

/* The row that answer_row() gives: fields apart by blanks, "-" is null. */
static char row[256];

int answer_row(struct answer *r, const char *field[], int max)
{
	int n = 0;

	(void)r;
	for (int i = 0; i < max; i++)
		field[i] = NULL;
	for (char *at = strtok(row, " "); at && n < max; at = strtok(NULL, " "), n++)
		field[n] = strcmp(at, "-") ? at : NULL;
	return n;
}

static void hears(void *ctx) { (void)ctx; heard++; }
static void changed(void *ctx, struct node *n) { (void)ctx, (void)n; }

static struct conf conf;
static struct base base = { .conf = &conf };
static struct servers servers;
static struct nodes *nodes;
static struct samples *samples;

static void begin(void)
{
	conf = (struct conf){ .nnodes = 3, .sr_check_user = "u", .sr_check_database = "d",
		.load_balance_mode = true, .load_balance_consistency = CONSISTENCY_SESSION };
	for (int i = 0; i < 3; i++)
		conf.node[i] = (struct conf_node){ .used = true, .weight = 1, .hostname = "h",
			.health_check_user = "", .flag = i ? 0 : NODE_ALWAYS_PRIMARY };
	nodes = nodes_new(&base);
	nodes->changed = changed;
	nodes->sampled_more = hears;
	servers = (struct servers){ .base = &base, .nodes = nodes };
	samples = samples_new(&servers);
	samples_start(samples);
	memset(asked, 0, sizeof asked);
	logged[0] = '\0';
}

static void end(void)
{
	samples_free(samples);
	nodes_free(nodes);
}

/* Time goes on by so many ms, and the timer fires if it is due. */
static void passes(int64_t ms)
{
	clock_ms += ms;
	if (samples->timer.at && samples->timer.at <= clock_ms)
		due(&samples->timer);
}

static void answers(int node, const char *text)
{
	struct sampler *m = &samples->node[node];
	struct answer r = { .sqlstate = "" };

	snprintf(row, sizeof row, "%s", text);
	asked[node] = NULL;
	m->ask.waits = false;
	answered(&m->ask, &r);
}

static void refuses(int node, const char *sqlstate)
{
	struct answer r = { .why = "no", .sqlstate = sqlstate, .no_server = true };

	asked[node] = NULL;
	samples->node[node].ask.waits = false;
	answered(&samples->node[node].ask, &r);
}

#define PRIMARY(lsn) "f " lsn " " lsn " 000000010000000000000001 1 0 - 8192"
#define STANDBY(lsn) "t " lsn " - - 1 1 -"

static void test_a_round(void)
{
	begin();
	passes(0);
	say(!asked[0] && !asked[1], "nobody is asked for nothing");
	uint32_t floor = nodes_wrote(nodes);
	passes(0);
	say(asked[0] == introduction && !asked[1] && !strcmp(asked_as, "u/d"), "a write: the primary is");
	answers(0, PRIMARY("0/1000"));
	say(asked[1] && asked[2], "then the replicas");
	answers(1, STANDBY("0/0FFF"));
	answers(2, STANDBY("0/1000"));
	say(!node_has(&nodes->node[1], (struct freshness){ floor, 0 }), "one is not there yet");
	say(node_has(&nodes->node[2], (struct freshness){ floor, 0 }) && heard > 0, "the other one is");
	say(nodes->node[1].lacks_since && !nodes->node[2].lacks_since, "which is noted");
	uint32_t next = nodes_wrote(nodes);
	say(!sample_reached(nodes->node[2].caught_up, next), "what is written now it has not");
	passes(1);
	say(!asked[0], "not at once");
	passes(SELDOM);
	say(asked[0] == question, "but soon");
	nodes_draw_fresh(nodes, (struct freshness){ next, 0 });
	answers(0, PRIMARY("0/2000"));
	say(asked[1] && asked[2], "again");
	answers(1, STANDBY("0/2000"));
	answers(2, STANDBY("0/2000"));
	say(node_has(&nodes->node[1], (struct freshness){ next, 0 })
	    && node_has(&nodes->node[2], (struct freshness){ next, 0x2000 })
	    && !node_has(&nodes->node[2], (struct freshness){ next, 0x2001 }), "both are there");
	passes(1000);
	passes(1000);
	say(!asked[0] && !asked[1] && !asked[2], "and all is quiet");
	end();
}

/* What was acknowledged while the question is on its way belongs to the next sample. */
static void test_numbers(void)
{
	begin();
	nodes_wrote(nodes);
	passes(0);
	uint32_t floor = nodes_wrote(nodes);
	answers(0, PRIMARY("0/1000"));
	answers(1, STANDBY("0/9000"));
	say(!node_has(&nodes->node[1], (struct freshness){ floor, 0 }), "a question on its way does not count");
	nodes->sampled = nodes->wanted = nodes->answered = UINT32_MAX;
	say(nodes_wrote(nodes) == 1, "no sample is number 0");
	say(sample_reached(3, UINT32_MAX - 3) && !sample_reached(UINT32_MAX - 3, 3), "numbers go round");
	say(!sample_reached(0, 1) && sample_reached(0, 0), "0 is none");
	end();
}

static void test_timelines(void)
{
	begin();
	uint32_t floor = nodes_wrote(nodes);
	passes(0);
	answers(0, "f 0/5000 0/5000 000000020000000000000001 2 0 - 8192");
	answers(1, "t 0/9000 - - 1 1 -");
	say(!node_has(&nodes->node[1], (struct freshness){ floor, 0 }), "another timeline");
	answers(2, "t 0/9000 - - 1 2 -");
	say(node_has(&nodes->node[2], (struct freshness){ floor, 0 }), "the same one");
	passes(LONGEST);
	passes(LONGEST);
	say(asked[1] == introduction, "it is asked for its timeline");
	answers(1, "t 0/9000 - - 1 1 2");
	say(node_has(&nodes->node[1], (struct freshness){ floor, 0 }), "and receives it now");
	floor = nodes_wrote(nodes);
	passes(LONGEST);
	answers(0, "f 0/6000 0/6000 000000030000000000000001");
	say(!nodes->node[1].caught_up && !nodes->node[2].caught_up, "a promotion: all is forgotten");
	end();
}

static void test_who_asks(void)
{
	begin();
	nodes_wrote(nodes);
	passes(0);
	refuses(0, "28P01");
	passes(SELDOM);
	passes(SELDOM);
	say(!asked[0] && strstr(logged, "nobody can ask node 0") && !nodes->sampling, "nobody may");
	end();
	begin();
	conf.node[0].health_check_user = "h";
	conf.node[0].health_check_database = "hd";
	nodes_wrote(nodes);
	passes(0);
	refuses(0, "28P01");
	passes(SELDOM);
	say(asked[0] && !strcmp(asked_as, "h/hd"), "the next one may");
	refuses(0, "57P03");
	passes(SELDOM);
	say(!asked[0], "a node that starts is let alone");
	passes(AGAIN);
	say(asked[0] && !strcmp(asked_as, "h/hd"), "for a moment");
	end();
	begin();
	conf.sr_check_database = "gone soon";
	nodes_wrote(nodes);
	passes(0);
	say(!asked[0], "a database that is about to be dropped is let alone");
	end();
}

static void test_idle_writer(void)
{
	const char *last = NULL;
	unsigned nudges = 0;

	begin();
	uint32_t floor = nodes_wrote(nodes);
	nodes_draw_fresh(nodes, (struct freshness){ floor, 0 });
	passes(0);
	answers(0, "f 0/1500 0/1000 000000010000000000000001 1 0 - 8192");
	answers(1, STANDBY("0/0FF0"));
	answers(2, STANDBY("0/0FF0"));
	for (int ms = 0; ms < 900; ms++) {
		passes(1);
		last = asked[0] ? asked[0] : last;
		nudges += asked[0] == nudge;
		if (asked[0])
			answers(0, "f 0/1500 0/1000 000000010000000000000001");
		for (int k = 1; k < 3; k++)
			if (asked[k])
				answers(k, STANDBY("0/0FF0"));
	}
	say(last && nudges >= 2 && nudges <= 4, "what nobody flushes is given a nudge: %u", nudges);
	say(!node_has(&nodes->node[1], (struct freshness){ floor, 0 }), "but does not count before it is there");
	clock_ms += 10000;
	nudges = 0;
	for (int ms = 0; ms < 900; ms++) {
		passes(1);
		nudges += asked[0] == nudge;
		if (asked[0])
			answers(0, "f 0/1500 0/1000 000000010000000000000001");
	}
	say(!nudges, "nor is it, while nobody reads");
	end();
}

/* One replica lets nobody in. */
static void test_barred_replica(void)
{
	begin();
	uint32_t floor = nodes_wrote(nodes);
	passes(0);
	answers(0, PRIMARY("0/1000"));
	refuses(1, "28000");
	answers(2, STANDBY("0/1000"));
	unsigned tries = 0;
	for (int ms = 0; ms < 5000; ms += 5) {
		passes(5);
		tries += asked[1] != NULL;
		if (asked[1])
			refuses(1, "28000");
	}
	say(node_has(&nodes->node[2], (struct freshness){ floor, 0 }) && nodes->sampling, "the others go on");
	say(tries <= 2 && strstr(logged, "node 1"), "and it is let alone");
	end();
}

static void test_off(void)
{
	begin();
	conf.load_balance_consistency = CONSISTENCY_OFF;
	samples_start(samples);
	nodes_wrote(nodes);
	passes(0);
	say(!asked[0] && !nodes->sampling, "off");
	samples_stop(samples);
	conf.load_balance_consistency = CONSISTENCY_SESSION;
	nodes_wrote(nodes);
	passes(1000);
	say(!asked[0], "the program ends");
	end();
}

int main(void)
{
	test_a_round();
	test_numbers();
	test_timelines();
	test_who_asks();
	test_idle_writer();
	test_barred_replica();
	test_off();
	return done();
}
