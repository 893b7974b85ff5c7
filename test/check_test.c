/* check_test.c - positions, thresholds, what a delay command prints, and whose word makes a primary. */
/* The configuration's reader uses some of the same words. */
#define digits conf_digits
#define rows conf_rows
#define tell conf_tell
#include "conf/scan.c"
#include "conf/value.c"
#include "conf.c"
#undef digits
#undef rows
#undef tell

#include "check.c"
#include "check/position.c"
#include "node.c"

#include "t.h"

/* The rooms below: nobody is asked, nobody waits, the last line of the log is kept. */
static char logged[512];
static int changes, renewed;
static const char *question;

int64_t loop_now(const struct loop *l) { (void)l; return 5000; }
int timer_set(struct loop *l, struct timer *t, int64_t ms) { (void)l; t->at = ms; return 0; }
void timer_stop(struct loop *l, struct timer *t) { (void)l; t->at = 0; }
int loop_job(struct loop *l, enum lane lane, struct job *j)
{
	(void)l, (void)lane, (void)j;
	return -1;
}
void net_flush(struct net *n) { (void)n; }
void servers_renew(struct servers *all, struct node *n, const char *why)
{
	(void)all, (void)n, (void)why;
	renewed++;
}
void servers_end(struct servers *all, struct node *n, const char *why)
{
	servers_renew(all, n, why);
}
void ask_stop(struct ask *a) { (void)a; }
void ask_node(struct ask *a, struct node *n, const struct identity *as, const char *sql,
	const char *parameter, int64_t ms)
{
	(void)a, (void)n, (void)as, (void)parameter, (void)ms;
	question = sql;
}
int shell_run(struct shell *sh, const char *command, char *const arguments[], int64_t ms)
{
	(void)sh, (void)command, (void)arguments, (void)ms;
	return 0;
}
struct samples *samples_new(struct servers *all) { return (struct samples *)(void *)all; }
void samples_free(struct samples *s) { (void)s; }
void samples_start(struct samples *s) { (void)s; }
void samples_stop(struct samples *s) { (void)s; }
void shell_stop(struct shell *sh) { (void)sh; }
void shell_reaped(struct shell *sh, pid_t pid, int status) { (void)sh, (void)pid, (void)status; }

void log_record(struct log *l, struct log_who *who, enum level v, const char *place,
	const char *detail, const char *hint, const char *fmt, ...)
{
	va_list ap;

	(void)l, (void)who, (void)v, (void)place, (void)detail, (void)hint;
	va_start(ap, fmt);
	vsnprintf(logged, sizeof logged, fmt, ap);
	va_end(ap);
}

/* The rows that answer_row() gives: fields apart by blanks, "-" is null. */
static const char *rows[8];
static int nrows, row;

int answer_row(struct answer *r, const char *field[], int max)
{
	static char text[8][200];
	int n = 0;

	(void)r;
	if (row == nrows)
		return 0;
	for (int i = 0; i < max; i++)
		field[i] = NULL;
	snprintf(text[row], sizeof text[row], "%s", rows[row]);
	for (char *at = strtok(text[row], " "); at; at = strtok(NULL, " "), n++)
		if (n < max)
			field[n] = strcmp(at, "-") ? at : NULL;
	row++;
	return n;
}

static void on_change(void *ctx, struct node *n) { (void)ctx, (void)n; changes++; }

static struct conf conf;
static struct servers servers;
static struct base base;
static struct checks *checks;
static struct nodes *nodes;

/* Node 0, 1, 2, of which none is flagged; standbys are called "one" and "two". */
static void begin(void)
{
	static char *names[] = { "", "one", "two" };

	conf = (struct conf){ .nnodes = 3, .sr_check_user = "u", .sr_check_period = 10,
		.replication_delay_source_cmd = "", .search_primary_node_timeout = 300 };
	for (int i = 0; i < 3; i++)
		conf.node[i] = (struct conf_node){ .used = true, .port = 5432, .weight = 1,
			.hostname = "h", .application_name = names[i] };
	base.conf = &conf;
	nodes = nodes_new(&base);
	nodes->changed = on_change;
	servers = (struct servers){ .base = &base, .nodes = nodes };
	checks = checks_new(&servers);
	checks_start(checks);
	checks->round = 1;
	logged[0] = '\0';
	changes = renewed = 0;
}

static void end(void)
{
	checks_free(checks);
	nodes_free(nodes);
}

/* The node's answer: its rows up to NULL. */
static void answers(int node, const char *const list[])
{
	struct answer r = { .sqlstate = "" };

	for (nrows = row = 0; list[nrows]; nrows++)
		rows[nrows] = list[nrows];
	answered(&checks->node[node].ask, &r);
}
#define ANSWERS(node, ...) answers(node, (const char *const[]){ __VA_ARGS__, NULL })

static void test_positions(void)
{
	static const char *const bad[] = { "", "/", "1/", "/1", "1", "x/1", "1/x", "1/2/3", "1/2 ",
		"123456789/1", "1/123456789", "-1/1", "0x1/1", " 1/1" };

	say(wire_lsn("16/B374D848") == 0x16B374D848, "a position");
	say(wire_lsn("FFFFFFFF/ffffffff") == UINT64_MAX && wire_lsn("0/1") == 1, "the ends");
	say(wire_lsn("1/0") - wire_lsn("0/FFFFFFFF") == 1, "4 GB are no border");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		say(!wire_lsn(bad[i]), "none: \"%s\"", bad[i]);
}

static void test_delays(void)
{
	begin();
	conf.delay_threshold = 100;
	ANSWERS(0, "f 1/0", "one streaming async 1500", "other streaming sync 9", "- - - -");
	say(nodes->primary == 0 && !nodes->node[1].late, "the primary alone says nothing of bytes");
	ANSWERS(1, "t 0/FFFFFFE0");
	say(nodes->node[1].replication.behind == 32 && !nodes->node[1].late, "below the threshold");
	ANSWERS(2, "t 0/FFFFFF00");
	say(nodes->node[2].late && !strcmp(logged, "Replication of node: 2 is behind 256 bytes from the"
		" primary server (node: 0)"), "above: %s", logged);
	say(nodes->node[1].replication.lag == 1500 && nodes_delay_ms(nodes) == 2, "by time");
	say(!strcmp(nodes->node[1].replication.state, "streaming")
	    && !strcmp(nodes->node[1].replication.sync_state, "async")
	    && !*nodes->node[2].replication.state, "pg_stat_replication");
	checks->round++;
	ANSWERS(2, "t 1/10");
	say(nodes->node[2].late, "not measured by an old position");
	ANSWERS(0, "f 1/8");
	say(!nodes->node[2].late && !nodes->node[2].replication.behind, "ahead is not behind");
	ANSWERS(1, "t -");
	ANSWERS(1, "t nonsense");
	say(nodes->node[1].replication.lsn == 0xFFFFFFE0, "no position");
	end();
}

static void test_times(void)
{
	begin();
	conf.delay_threshold = 1;
	conf.delay_threshold_by_time = 100;
	ANSWERS(0, "f 1/0", "one streaming async 100000", "two streaming async 100001");
	ANSWERS(1, "t 0/1");
	ANSWERS(2, "t 0/1");
	say(!nodes->node[1].late && nodes->node[2].late, "time goes before bytes");
	say(!strcmp(logged, "Replication of node: 2 is behind 0.100001 second(s) from the primary server"
		" (node: 0)"), "%s", logged);
	checks->round++;
	ANSWERS(0, "f 1/0", "one streaming async 5", "two streaming async -");
	ANSWERS(2, "t 0/1");
	say(!nodes->node[2].late && nodes->node[2].replication.lag == 0, "no lag is none");
	checks->round++;
	ANSWERS(0, "f 1/0", "one streaming async 5");
	ANSWERS(2, "t 0/1");
	say(nodes->node[2].replication.missing == 5000, "one that does not stream");
	nodes->node[2].replication.missing = 4000;
	checks->round++;
	ANSWERS(0, "f 1/0", "one streaming async 5");
	ANSWERS(2, "t 0/1");
	say(nodes->node[2].late && nodes->node[2].replication.lag == 1000000, "is behind since then");
	end();
}

static void prints(const char *text)
{
	char output[100];

	snprintf(output, sizeof output, "%s", text);
	checks->told[0] = '\0';
	checks->nasked = 2;
	checks->asked[0] = 1;
	checks->asked[1] = 2;
	take_delays(checks, output);
}

static void test_command(void)
{
	static const char *const bad[] = { "", "1", "1 2 3", "1,2", "1 x", "1 2x", "1 -2", "nan 1",
		"inf 1", "1e300 1", "- 1" };

	begin();
	conf.replication_delay_source_cmd = "c";
	conf.delay_threshold_by_time = 100;
	prints(" 99.9\n100.1 \n");
	say(!nodes->node[1].late && nodes->node[2].late && !*checks->told, "two numbers");
	say(!strcmp(logged, "Replication of node: 2 is behind 0.100 second(s) from the primary server"
		" (node: 0) [external command]"), "%s", logged);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		prints(bad[i]);
		say(*checks->told && nodes->node[2].replication.lag == 100100, "rubbish: \"%s\"", bad[i]);
	}
	prints("-1 0");
	say(nodes->node[1].late && !nodes->node[2].late && !*checks->told && !nodes_delay_ms(nodes),
		"one that is down");
	conf.delay_threshold_by_time = 0;
	prints("0 -1");
	say(!nodes->node[1].late && nodes->node[2].late, "without a threshold, too");
	end();
}

static void test_nearest(void)
{
	int n[3] = { 0 };

	begin();
	nodes->node[1].replication.behind = 10;
	nodes->node[2].replication.behind = 9;
	say(nodes_nearest(nodes) == &nodes->node[2], "the least behind");
	nodes->node[2].late = true;
	say(nodes_nearest(nodes) == &nodes->node[1], "that is not late");
	node_failed(&nodes->node[1], "test");
	say(!nodes_nearest(nodes), "and not down");
	node_worked(&nodes->node[1]);
	conf.node[1].weight = 0;
	say(!nodes_nearest(nodes), "and takes reads");
	conf.node[1].weight = 1;
	nodes->node[2].late = false;
	conf.delay_threshold_by_time = 1;
	nodes->node[2].replication.lag = 11;
	say(nodes_nearest(nodes) == &nodes->node[1], "by time, where unknown is 0");
	nodes->node[1].replication.lag = 11;
	for (int i = 0; i < 1000; i++)
		n[nodes_nearest(nodes)->id]++;
	say(n[1] > 400 && n[2] > 400, "of equal ones any: %d and %d", n[1], n[2]);
	end();
}

static void test_roles(void)
{
	begin();
	say(nodes_searching(nodes) == 300000, "at first there is no primary");
	ANSWERS(0, "t 0/1");
	ANSWERS(2, "t 0/1");
	say(nodes->primary == 1 && nodes_searching(nodes), "the one that is not said to be a standby");
	ANSWERS(1, "t 0/1");
	say(nodes->primary == 0, "or the first");
	changes = 0;
	ANSWERS(1, "f 0/1");
	say(nodes->primary == 1 && !nodes_searching(nodes) && changes, "found");
	ANSWERS(2, "f 0/1");
	say(nodes->primary == 2, "one that was promoted since");
	ANSWERS(1, "f 0/1");
	ANSWERS(2, "f 0/1");
	say(nodes->primary == 2, "repeating it changes nothing");
	nodes->node[0].role = ROLE_UNKNOWN;
	ANSWERS(0, "f 0/1");
	say(nodes->primary == 2 && strstr(logged, "node 0 says that it is a primary"), "%s", logged);
	ANSWERS(2, "t 0/1");
	say(nodes->primary == 1, "it steps down");
	ANSWERS(1, "f 0/1 000000030000000000000001");
	ANSWERS(2, "f 0/1 000000020000000000000001");
	say(nodes->primary == 1, "a lower timeline was no promotion");
	ANSWERS(2, "t 0/1");
	ANSWERS(2, "f 0/1 000000030000000000000001");
	say(nodes->primary == 1, "nor the same one");
	ANSWERS(2, "t 0/1");
	question = NULL;
	node_claims(&nodes->node[2], ROLE_PRIMARY);
	say(nodes->primary == 1 && question, "what is claimed is asked");
	ANSWERS(2, "f 0/1 0000000A0000000000000001");
	say(nodes->primary == 2, "a higher one was");
	node_failed(&nodes->node[2], "test");
	nodes->node[0].role = ROLE_STANDBY;
	ANSWERS(0, "f 0/1 000000040000000000000001");
	say(nodes->primary == 2, "the primary is down, but that one is older");
	node_worked(&nodes->node[2]);
	ANSWERS(2, "t 0/1");
	say(nodes->primary == 0, "until it is none");
	ANSWERS(0, "t 0/1");
	ANSWERS(1, "t 0/1");
	ANSWERS(1, "f 0/1");
	say(nodes->primary == 1, "without timelines the last promotion counts");
	nodes->node[0].role = ROLE_UNKNOWN;
	node_failed(&nodes->node[1], "test");
	say(nodes->primary == 1, "a primary that is down is waited for");
	ANSWERS(0, "f 0/1");
	say(nodes->primary == 0, "until another one says that it is it");
	end();
	begin();
	node_claims(&nodes->node[1], ROLE_PRIMARY);
	ANSWERS(0, "f 0/1 000000070000000000000001");
	say(nodes->primary == 1, "the timeline of one of two tells nothing");
	ANSWERS(1, "f 0/1 000000060000000000000001");
	say(nodes->primary == 0, "when both are known, they do");
	end();
	begin();
	conf.search_primary_node_timeout = 0;
	say(nodes_searching(nodes) == INT64_MAX, "for ever");
	conf.sr_check_period = 0;
	say(!nodes_searching(nodes), "not if nobody asks");
	conf.sr_check_period = 1;
	conf.backend_clustering_mode = CLUSTERING_RAW;
	say(!nodes_searching(nodes), "nor where it does not matter");
	conf.backend_clustering_mode = CLUSTERING_STREAMING_REPLICATION;
	ANSWERS(0, "t 0/1");
	changes = 0;
	node_lets_in(&nodes->node[1], false);
	say(nodes_searching(nodes) && !changes, "there is another one to ask");
	node_failed(&nodes->node[2], "test");
	changes = 0;
	node_lets_in(&nodes->node[1], false);
	say(!nodes_searching(nodes), "nor if none can be asked");
	node_worked(&nodes->node[2]);
	node_lets_in(&nodes->node[1], true);
	say(nodes_searching(nodes) == INT64_MAX, "it is let in again");
	conf.node[2].flag = NODE_ALWAYS_PRIMARY;
	nodes_reload(nodes, &conf);
	say(nodes->primary == 2 && !nodes_searching(nodes), "a flag ends the search");
	conf.delay_threshold = 1;
	ANSWERS(1, "t 0/1");
	ANSWERS(2, "t 1/1");
	say(nodes->primary == 2 && renewed == 1 && checks->node[2].misplaced, "and stands");
	say(!nodes->node[1].late, "what is in recovery is no measure");
	ANSWERS(2, "t 0/1");
	ANSWERS(2, "f 0/1");
	say(renewed == 2 && !checks->node[2].misplaced, "until it is right");
	end();
}

static void test_old_servers(void)
{
	struct answer no = { .why = "no such function", .sqlstate = "42883" };

	begin();
	answered(&checks->node[0].ask, &no);
	say(strstr(question, "xlog") && !*logged, "the names before PostgreSQL 10");
	answered(&checks->node[0].ask, &no);
	say(strstr(logged, "Failed to check"), "both unknown: %s", logged);
	checks->node[1].dialect = 1;
	ANSWERS(1, "t 0/1", "- - - -");
	say(nodes->node[1].role == ROLE_STANDBY && checks->node[1].dialect == 1, "remembered");
	logged[0] = '\0';
	ANSWERS(0, "f 0/1", "one - - -");
	say(strstr(logged, "is not allowed to see"), "rights: %s", logged);
	end();
}

int main(void)
{
	test_old_servers();
	test_positions();
	test_delays();
	test_times();
	test_command();
	test_nearest();
	test_roles();
	return done();
}
