#include "pcp.h"

#include "md5.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	LOGIN_TIME = 60000,                     /* ms, if authentication_timeout is off */
	STALLED_TIME = 60000,                   /* ms for a caller to take some of a reply */
	LAST_WORDS = 5000,
	BACKLOG = 32,
	ROW_MAX = ADMIN_COLUMNS * ADMIN_TEXT + 64,      /* of the NET_BUILD of a message */
};

enum caller_phase { CALLER_LOGIN, CALLER_READY, CALLER_BUSY, CALLER_GONE };

struct caller {
	struct conn conn;
	struct pcp *pcp;
	struct caller *next, **at;
	struct member place;                    /* among the strangers */
	enum caller_phase phase;
	bool salted;                            /* it has the salt */
	uint8_t salt[4];
	enum level min;                         /* client_min_messages */
	struct timer timer;
	struct task task;                       /* continues with kept bytes, or buries */
	struct log_who who;
	char user[PCP_REQUEST_MAX];

	/* The rest of a table. */
	const struct admin_table *table;        /* NULL: there is none */
	const char *word;                       /* that its rows begin with */
	char type;                              /* of their messages */
	size_t row, end;
};

/* --- a caller's life ----------------------------------------------------- */

static void bury(struct caller *c)
{
	struct pcp *p = c->pcp;

	timer_stop(p->base->loop, &c->timer);
	conn_close(p->base->net, &c->conn);
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	free(c);
}

/* The one writer of the phase. */
static void enter(struct caller *c, enum caller_phase to)
{
	struct pcp *p = c->pcp;

	if (c->phase == CALLER_LOGIN && to != CALLER_LOGIN)
		crowd_leave(&p->strangers, &c->place);
	p->open -= to == CALLER_GONE && c->phase != CALLER_GONE;
	c->phase = to;
	conn_reading(p->base->net, &c->conn, to == CALLER_LOGIN || to == CALLER_READY);
	if (to == CALLER_BUSY)
		timer_set(p->base->loop, &c->timer, STALLED_TIME);
	else if (to != CALLER_LOGIN)
		timer_stop(p->base->loop, &c->timer);
	if (to == CALLER_GONE) {
		c->table = NULL;
		loop_defer(p->base->loop, &c->task);
	}
}

/* After the last words: waits briefly for the caller to take them. */
static void finish(struct caller *c)
{
	char rest[4096];

	net_flush(c->pcp->base->net);
	if (conn_pending(&c->conn) && !c->conn.broken
	    && timer_set(c->pcp->base->loop, &c->timer, LAST_WORDS) == 0)
		return;
	/* A socket closed with bytes unread is reset, and its error may never be seen. */
	shutdown(c->conn.watch.fd, SHUT_WR);
	for (int i = 0; i < 64 && recv(c->conn.watch.fd, rest, sizeof rest, MSG_DONTWAIT) > 0; i++)
		;
	bury(c);
}

/* --- saying something ---------------------------------------------------- */

static void say(struct caller *c, const struct put *o)
{
	conn_put(c->pcp->base->net, &c->conn, o->base, o->len);
}

static void report(struct caller *c, char type, enum level severity, const char *message,
	const char *detail)
{
	struct put o = net_build(c->pcp->base->net, 2 * PCP_WHY + 512);

	put_report(&o, type, &(struct report){ log_level_name(severity),
		type == 'N' ? "00000" : "XX000", message, detail, NULL });
	if (!o.full && (type != 'N' || severity >= c->min))
		say(c, &o);
	log_write(c->pcp->base->log, &c->who, severity, detail, NULL, "%s", message);
}

/* The request fails. */
static void refuse(struct caller *c, const char *message, const char *detail)
{
	report(c, 'E', LEVEL_ERROR, message, detail);
}

__attribute__((format(printf, 3, 4)))
static void refuse_with(struct caller *c, const char *message, const char *format, ...)
{
	char detail[PCP_REQUEST_MAX + 64];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof detail, format, args);
	va_end(args);
	refuse(c, message, detail);
}

/* The connection ends. */
static void fail(struct caller *c, const char *message, const char *detail)
{
	report(c, 'E', LEVEL_FATAL, message, detail);
	enter(c, CALLER_GONE);
}

static void put_word(struct put *o, char type, const char *word)
{
	put_begin(o, type);
	put_text(o, word);
}

/* A message of one or two words. */
static void say_words(struct caller *c, char type, const char *word, const char *text)
{
	struct put o = net_build(c->pcp->base->net, 64);

	put_word(&o, type, word);
	if (text)
		put_text(&o, text);
	put_end(&o);
	say(c, &o);
}

static void complete(struct caller *c, char type)
{
	say_words(c, type, "CommandComplete", NULL);
}

static void put_columns(struct put *o, const struct admin_table *t, const struct admin_row *row)
{
	char text[ADMIN_TEXT];

	for (size_t i = 0; i < t->ncolumns; i++) {
		t->column[i].print(row, text);
		put_text(o, text);
	}
}

/* As many rows as fit into a block, and after the last one the end of the reply. */
static void go_on_with_table(struct caller *c)
{
	struct put o = net_build(c->pcp->base->net, NET_BUILD);
	struct admin_row row;

	for (; c->row < c->end && o.cap - o.len >= ROW_MAX; c->row++) {
		if (!c->table->find(&c->pcp->admin, c->row, &row)) {
			fail(c, "the reply was not finished",
				"the configuration was reloaded meanwhile");
			return;
		}
		put_word(&o, c->type, c->word);
		put_columns(&o, c->table, &row);
		put_end(&o);
	}
	if (c->row == c->end && o.cap - o.len >= ROW_MAX) {
		put_word(&o, c->type, "CommandComplete");
		put_end(&o);
		c->table = NULL;
	}
	say(c, &o);
}

/* The reply is this many rows of a table.  The number comes first, the rows with settle(). */
static void begin_table(struct caller *c, char type, const char *word, const struct admin_table *t,
	size_t row, size_t rows)
{
	struct put o = net_build(c->pcp->base->net, 64);
	char text[24];

	snprintf(text, sizeof text, "%zu", rows);
	put_word(&o, type, "ArraySize");
	if (t == &admin_parameters)
		put_u32(&o, (uint32_t)rows);    /* the only one in binary */
	else
		put_text(&o, text);
	put_end(&o);
	say(c, &o);
	c->table = t;
	c->word = word;
	c->type = type;
	c->row = row;
	c->end = row + rows;
}

/* --- login --------------------------------------------------------------- */

static void ask_salt(struct caller *c, struct msg *m)
{
	struct put o = net_build(c->pcp->base->net, 16);

	(void)m;
	if (c->salted) {
		fail(c, "authentication failed", "the salt was sent already");
		return;
	}
	c->salted = true;
	put_message(&o, 'm', c->salt, sizeof c->salt);
	say(c, &o);
}

/* The time that this takes does not reveal who is in pcp.conf. */
static bool proves(const struct caller *c, const char *user, const char *answer)
{
	static const char nobody[] = "00000000000000000000000000000000";
	const struct passwd_entry *e = passwd_find(c->pcp->users, user);
	char stored[36], expected[36];

	md5_password(stored, e ? e->text : nobody, 32, user);
	md5_answer(expected, stored, c->salt);
	bool same = strlen(answer) == 32 && scram_equal(expected + 3, answer, 32);
	explicit_bzero(stored, sizeof stored);
	explicit_bzero(expected, sizeof expected);
	return e && same;
}

static void log_in(struct caller *c, struct msg *m)
{
	const char *user = msg_text(m), *answer = msg_text(m);
	char message[PCP_REQUEST_MAX + 64];

	if (!m->broken && c->salted && proves(c, user, answer)) {
		say_words(c, 'r', "AuthenticationOK", NULL);
		snprintf(c->user, sizeof c->user, "%s", user);
		c->who.user = c->user;
		enter(c, CALLER_READY);
		return;
	}
	snprintf(message, sizeof message, "authentication failed for user \"%s\"", user);
	fail(c, message, "username and/or password does not match");
}

/* --- what a request asks ------------------------------------------------- */

/* The number at the start of a request, or `missing`.  Anything else is no node and no process. */
static int number(struct msg *m, int missing)
{
	const char *text = m->at < m->end ? msg_text(m) : NULL;
	char *end;

	if (!text)
		return missing;
	errno = 0;
	long n = strtol(text, &end, 10);
	bool good = !m->broken && end != text && !end[strspn(end, " ")] && !errno && n == (int)n;
	return good ? (int)n : INT32_MIN;
}

static bool is_node(const struct caller *c, int id)
{
	return id >= 0 && id < c->pcp->nodes->base->conf->nnodes;
}

static void node_count(struct caller *c, struct msg *m)
{
	char text[12];

	(void)m;
	snprintf(text, sizeof text, "%d", c->pcp->nodes->base->conf->nnodes);
	say_words(c, 'l', "CommandComplete", text);
}

static void node_info(struct caller *c, struct msg *m)
{
	int id = number(m, -1);

	if (id == -1)
		begin_table(c, 'i', "NodeInfo", &admin_nodes, 0,
			admin_nodes.rows(&c->pcp->admin));
	else if (is_node(c, id))
		begin_table(c, 'i', "NodeInfo", &admin_nodes, (size_t)id, 1);
	else
		refuse_with(c, "informing node info failed", "invalid node ID : %d", id);
}

static void health_check_stats(struct caller *c, struct msg *m)
{
	int id = number(m, INT32_MIN);
	struct admin_row row;

	if (!is_node(c, id) || !admin_health_checks.find(&c->pcp->admin, (size_t)id, &row)) {
		refuse_with(c, "informing health check stats info failed", "invalid node ID %d",
			id);
		return;
	}
	struct put o = net_build(c->pcp->base->net, ROW_MAX);
	put_word(&o, 'h', "CommandComplete");
	put_columns(&o, &admin_health_checks, &row);
	put_end(&o);
	say(c, &o);
}

static void process_count(struct caller *c, struct msg *m)
{
	uint32_t n = admin_processes(&c->pcp->admin);
	char text[12];

	(void)m;
	snprintf(text, sizeof text, "%u", n);
	struct put o = { .cap = 64 + n * sizeof text };
	if (!(o.base = malloc(o.cap))) {
		refuse(c, "out of memory", NULL);
		return;
	}
	put_text(&o, "CommandComplete");
	put_text(&o, text);
	for (uint32_t i = 0; i < n; i++) {
		snprintf(text, sizeof text, "%u", SESSION_PID + i);
		put_text(&o, text);
	}
	if (conn_put_message(c->pcp->base->net, &c->conn, 'n', o.base, o.len) < 0)
		refuse(c, "out of memory", NULL);
	free(o.base);
}

static void process_info(struct caller *c, struct msg *m)
{
	int pid = number(m, 0);
	uint32_t slot = (uint32_t)pid - SESSION_PID, n = admin_processes(&c->pcp->admin);
	size_t each = admin_pools_each(&c->pcp->admin);

	uint32_t place = (uint32_t)pid - SERVER_PID;
	size_t rows = admin_pools.rows(&c->pcp->admin);

	if (pid == 0)
		begin_table(c, 'p', "ProcessInfo", &admin_pools, 0, rows);
	else if (place < rows - n * each)
		begin_table(c, 'p', "ProcessInfo", &admin_pools, n * each + place, 1);
	else if (slot < n)
		begin_table(c, 'p', "ProcessInfo", &admin_pools, slot * each, each);
	else
		refuse_with(c, "informing process info failed", "invalid process ID : %d", pid);
}

static void pool_status(struct caller *c, struct msg *m)
{
	(void)m;
	begin_table(c, 'b', "ProcessConfig", &admin_parameters, 0,
		admin_parameters.rows(&c->pcp->admin));
}

/* --- what it commands ---------------------------------------------------- */

static const struct conf_node *used_node(const struct caller *c, int id)
{
	const struct conf_node *n = is_node(c, id) ? &c->pcp->nodes->base->conf->node[id] : NULL;

	return n && n->used ? n : NULL;
}

static void drain(struct caller *c, struct node *n, bool drained)
{
	const struct conf_node *at = node_conf(n);

	if (n->drained == drained)
		return;
	n->drained = drained;
	n->changed_at = loop_now(c->pcp->base->loop);
	log_write(c->pcp->base->log, &c->who, LEVEL_LOG, NULL,
		drained ? "pcp_attach_node gives it reads again" : NULL, "node %d (%s:%d) was %s",
		n->id, at->hostname, (int)at->port, drained ? "detached" : "attached");
}

static void attach_node(struct caller *c, struct msg *m)
{
	int id = number(m, INT32_MIN);
	char text[128];

	if (!used_node(c, id)) {
		snprintf(text, sizeof text, "invalid failback request, node id: %d status: [0] "
			"is not valid for failback", id);
		refuse(c, text, NULL);
		return;
	}
	drain(c, &c->pcp->nodes->node[id], false);
	complete(c, 'c');
}

static void detach_node(struct caller *c, struct msg *m)
{
	int id = number(m, INT32_MIN);
	const struct conf_node *at = used_node(c, id);
	char text[160];

	if (!at) {
		snprintf(text, sizeof text, "invalid degenerate backend request, node id : %d "
			"status: [0] is not valid for failover", id);
		refuse(c, text, NULL);
		return;
	}
	if (at->flag & NODE_DISALLOW_TO_FAILOVER) {
		snprintf(text, sizeof text, "degenerate backend request for node_id: %d from pid "
			"[%d] is canceled because failover is disallowed on the node", id,
			(int)getpid());
		refuse(c, text, NULL);
		return;
	}
	drain(c, &c->pcp->nodes->node[id], true);
	if (id == c->pcp->nodes->primary) {
		snprintf(text, sizeof text, "node %d is the primary: it still serves what no other "
			"node can", id);
		report(c, 'N', LEVEL_NOTICE, text, NULL);
	}
	complete(c, 'd');
}

/* The reply goes first: later, the program may not live long enough to send it. */
static void stop(struct caller *c, struct msg *m)
{
	char mode = m->at < m->end ? (char)*m->at : ' ';
	int number_of = mode == 's' ? SIGTERM : mode == 'f' ? SIGINT : mode == 'i' ? SIGQUIT : 0;

	if (!number_of) {
		refuse_with(c, "PCP: error while processing shutdown request",
			"invalid shutdown mode \"%c\"", mode);
		return;
	}
	complete(c, 't');
	net_flush(c->pcp->base->net);
	c->pcp->ops->stop(c->pcp->ctx, number_of);
}

static void reload(struct caller *c, struct msg *m)
{
	char why[PCP_WHY] = "";

	(void)m;
	if (c->pcp->ops->reload(c->pcp->ctx, why) < 0)
		refuse(c, "the configuration was not reloaded: nothing has changed",
			*why ? why : "out of memory");
	else if (*why)
		refuse(c, "pool_hba.conf was not reloaded, all other files were", why);
	else
		complete(c, 'z');
}

static void rotate(struct caller *c, struct msg *m)
{
	(void)m;
	if (log_rotate(c->pcp->base->log) == 0)
		complete(c, 'v');
	else
		refuse(c, "process log rotation request failed",
			errno == EINVAL ? "logging_collector is disabled" : strerror(errno));
}

static void set_parameter(struct caller *c, struct msg *m)
{
#define WORD(constant, word) { word, constant },
	static const struct { const char *word; enum level level; } levels[] = {
		LEVEL_WORDS(WORD, WORD) };
#undef WORD
	static const char failed[] = "PCP: set configuration parameter failed";
	const char *name = msg_text(m), *value = msg_text(m);

	if (strcasecmp(name, "client_min_messages")) {
		refuse_with(c, failed, "invalid parameter \"%s\"", name);
		return;
	}
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
		if (!strcasecmp(value, levels[i].word)) {
			c->min = levels[i].level;
			complete(c, 'a');
			return;
		}
	refuse_with(c, failed, "invalid value \"%s\" for parameter \"%s\"", value, name);
}

static void leave(struct caller *c, struct msg *m)
{
	(void)m;
	enter(c, CALLER_GONE);
}

#define IN(phase) (1u << (phase))

static const struct {
	char type;
	unsigned in;                            /* phases that take it */
	void (*run)(struct caller *c, struct msg *m);
} requests[] = {
	{ 'M', IN(CALLER_LOGIN), ask_salt },
	{ 'R', IN(CALLER_LOGIN), log_in },
	{ 'X', IN(CALLER_LOGIN) | IN(CALLER_READY), leave },
	{ 'L', IN(CALLER_READY), node_count },
	{ 'I', IN(CALLER_READY), node_info },
	{ 'H', IN(CALLER_READY), health_check_stats },
	{ 'N', IN(CALLER_READY), process_count },
	{ 'P', IN(CALLER_READY), process_info },
	{ 'B', IN(CALLER_READY), pool_status },
	{ 'C', IN(CALLER_READY), attach_node },
	{ 'D', IN(CALLER_READY), detach_node },
	{ 'd', IN(CALLER_READY), detach_node },         /* gracefully */
	{ 'T', IN(CALLER_READY), stop },
	{ 't', IN(CALLER_READY), stop },                /* of a cluster */
	{ 'Z', IN(CALLER_READY), reload },
	{ 'V', IN(CALLER_READY), rotate },
	{ 'A', IN(CALLER_READY), set_parameter },
};

/* Requests that are always refused. */
static const struct {
	char type;
	const char *message, *detail;
} refused[] = {
	{ 'J', "invalid promote request", NO_FAILOVER },
	{ 'j', "invalid promote request", NO_FAILOVER },
	{ 'O', "process recovery request failed", NO_RECOVERY },
	{ 'G', "query cache is not enabled", NULL },
	{ 'W', "PCP: informing watchdog info failed", "watchdog is not enabled" },
};

static void request(struct caller *c, struct msg *m)
{
	char text[64];

	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		if (requests[i].type == m->type && requests[i].in & IN(c->phase)) {
			requests[i].run(c, m);
			return;
		}
	if (c->phase == CALLER_LOGIN) {
		fail(c, "authentication failed for new PCP connection",
			"connection not authorized");
		return;
	}
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (refused[i].type == m->type) {
			refuse(c, refused[i].message, refused[i].detail);
			return;
		}
	snprintf(text, sizeof text, "unknown PCP packet type \"%c\"", m->type ? m->type : ' ');
	fail(c, "PCP processing request", text);
}

/* --- events -------------------------------------------------------------- */

/* What is kept comes in the loop's next turn, and before anything else of it: its end, say. */
static void take_turns(struct caller *c)
{
	bool kept = conn_kept(&c->conn);

	conn_reading(c->pcp->base->net, &c->conn, !kept);
	if (kept)
		loop_defer(c->pcp->base->loop, &c->task);
}

/* After a request, or when the caller has taken more: sends on.  Takes the next request only when
 * this one's reply has gone. */
static void send_on(struct caller *c)
{
	struct pcp *p = c->pcp;

	if (c->table)
		go_on_with_table(c);
	net_flush(p->base->net);
	if (c->phase == CALLER_GONE)
		return;
	if (c->conn.broken || (c->phase == CALLER_LOGIN && conn_pending(&c->conn))) {
		enter(c, CALLER_GONE);
	} else if (c->table || conn_pending(&c->conn)) {
		enter(c, CALLER_BUSY);
		watch_want(p->base->loop, &c->conn.watch, POLLOUT);
	} else if (c->phase == CALLER_BUSY) {
		enter(c, CALLER_READY);
		take_turns(c);
	}
}

/* Handles one request.  That may use the scratch block, so its content is kept first. */
static void use_input(struct caller *c, const uint8_t *p, size_t n)
{
	uint8_t copy[PCP_REQUEST_MAX];
	char text[64];
	struct msg m;
	long len = wire_next(&m, p, n, sizeof copy);

	if (len == WIRE_BAD) {
		snprintf(text, sizeof text, "incorrect packet length (%u)", wire_u32(p + 1));
		fail(c, "invalid PCP packet", text);
		return;
	}
	memcpy(copy, p, (size_t)len);
	if (conn_keep(&c->conn, p + len, n - (size_t)len) < 0) {
		enter(c, CALLER_GONE);
		return;
	}
	if (len == WIRE_MORE) {
		conn_reading(c->pcp->base->net, &c->conn, true);
		return;
	}
	wire_next(&m, copy, (size_t)len, sizeof copy);
	request(c, &m);
	send_on(c);
	if (c->phase == CALLER_LOGIN || c->phase == CALLER_READY)
		take_turns(c);
}

static void go_on(struct task *t)
{
	struct caller *c = OWNER(t, struct caller, task);
	uint8_t *p;

	if (c->phase == CALLER_GONE) {
		finish(c);
	} else if (c->phase != CALLER_BUSY && conn_kept(&c->conn)) {
		long n = conn_refill(c->pcp->base->net, &c->conn, &p);
		use_input(c, p, (size_t)n);
		net_flush(c->pcp->base->net);
	}
}

static void ready(struct watch *w, short revents)
{
	struct caller *c = OWNER(w, struct caller, conn.watch);
	struct net *net = c->pcp->base->net;
	uint8_t *p;

	if ((revents & POLLOUT) && conn_drain(net, &c->conn) == 0) {
		if (c->phase == CALLER_GONE)
			loop_defer(c->pcp->base->loop, &c->task);
		else
			send_on(c);
	}
	if (!(revents & ~POLLOUT))
		return;
	if (c->phase == CALLER_BUSY || c->phase == CALLER_GONE) {
		c->conn.broken = true;          /* then only an end is reported */
		enter(c, CALLER_GONE);
		return;
	}
	long n = conn_fill(net, &c->conn, &p);
	if (n > 0)
		use_input(c, p, (size_t)n);
	else if (n < 0)
		enter(c, CALLER_GONE);
	net_flush(net);
}

static void due(struct timer *t)
{
	struct caller *c = OWNER(t, struct caller, timer);

	if (c->phase == CALLER_LOGIN) {
		fail(c, "canceling authentication due to timeout", NULL);
		return;
	}
	c->conn.broken = true;
	enter(c, CALLER_GONE);
}

/* --- listening ----------------------------------------------------------- */

static void refuse_caller(struct pcp *p, int fd)
{
	uint8_t block[256];
	struct put o = { .base = block, .cap = sizeof block };

	put_report(&o, 'E', &(struct report){ "FATAL", "53300", "Sorry, too many clients already",
		"All places for PCP connections are taken.", NULL });
	send(fd, o.base, o.len, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	recv(fd, block, sizeof block, MSG_DONTWAIT);
	close(fd);
	log_write(p->base->log, NULL, LEVEL_LOG, NULL, NULL,
		"a PCP connection was refused: there are %d already", CALLERS_MAX);
}

/* Notices within some minutes a caller that vanished without a word. */
static void set_options(int fd)
{
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){ 60 }, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){ 10 }, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){ 6 }, sizeof(int));
}

static bool drop_stranger(struct pcp *p)
{
	struct member *m = crowd_pick(&p->strangers);

	if (!m)
		return false;
	struct caller *c = OWNER(m, struct caller, place);
	struct put o = net_build(p->base->net, 256);
	put_report(&o, 'E', &(struct report){ "FATAL", "53300", "Sorry, too many clients already",
		"Too many PCP connections have not logged in.", NULL });
	say(c, &o);
	if (crowd_dropped(&p->strangers, loop_now(p->base->loop)))
		log_write(p->base->log, NULL, LEVEL_WARNING, NULL, NULL, "too many PCP connections"
			" have not logged in: the oldest are dropped for new ones");
	enter(c, CALLER_GONE);
	return true;
}

static bool yield(void *pcp)
{
	return drop_stranger(pcp);
}

/* If all places belong to callers that have logged in, the new one is accepted only to be told
 * so. */
static unsigned room(void *ctx)
{
	struct pcp *p = ctx;

	if (p->open < CALLERS_MAX)
		return CALLERS_MAX - p->open;
	drop_stranger(p);
	return 1;
}

static void accepted(void *ctx, int fd, const struct sockaddr_storage *peer)
{
	struct pcp *p = ctx;
	int64_t limit = p->nodes->base->conf->authentication_timeout;

	if (p->open >= CALLERS_MAX) {
		refuse_caller(p, fd);
		return;
	}
	if (peer->ss_family != AF_UNIX)
		set_options(fd);
	struct caller *c = calloc(1, sizeof *c);
	if (!c || getrandom(c->salt, sizeof c->salt, 0) != sizeof c->salt) {
		close(fd);
		free(c);
		return;
	}
	c->pcp = p;
	c->timer.fire = due;
	c->task.run = go_on;
	c->who.app = "pcp_child";       /* as Pgpool-II calls it */
	c->min = LEVEL_NOTICE;
	if (conn_open(p->base->net, &c->conn, fd, POLLIN, ready, NET_OTHER) < 0) {
		free(c);
		return;
	}
	c->place.address = crowd_address(peer);
	crowd_join(&p->strangers, &c->place);
	c->at = &p->first;
	c->next = p->first;
	if (c->next)
		c->next->at = &c->next;
	p->first = c;
	p->open++;
	enter(c, CALLER_LOGIN);
	timer_set(p->base->loop, &c->timer, limit ? limit * 1000 : LOGIN_TIME);
}

int pcp_open(struct pcp *p)
{
	const struct conf *c = p->nodes->base->conf;

	p->listeners = (struct listeners){ .base = p->base, .room = room, .yield = yield,
		.accepted = accepted, .ctx = p, .may_lack_directories = true };
	return listeners_open(&p->listeners, &(struct addresses){ .hosts = &c->pcp_listen_addresses,
		.directories = &c->pcp_socket_dir, .port = (int)c->pcp_port, .backlog = BACKLOG,
		.group = "", .permissions = 0777 });
}

void pcp_close(struct pcp *p)
{
	listeners_close(&p->listeners);
	for (struct caller *c = p->first; c; c = c->next)
		enter(c, CALLER_GONE);
	if (p->first)
		loop_finish(p->base->loop);
	while (p->first)
		bury(p->first);         /* it has not taken its last words */
}
