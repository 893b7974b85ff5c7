/* session.h - a session with nothing around it: what the tests of a client's requests stand on.
 *
 * There are two nodes, the primary (0) and a replica (1) that takes all reads that may be balanced,
 * one server on each, and one client.  What is sent is kept in the connections' tapes.  The
 * classifier, the router, the statements and the FIFO of requests are the real ones; the
 * connections, the pool and the catalog are here. */
#ifndef SESSION_H
#define SESSION_H

#include "ask.h"
#include "client/plan.h"
#include "client/portal.h"
#include "client/privilege.h"
#include "client/last.h"
#include "client/query.h"
#include "client/unnamed.h"
#include "server/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- connections --- */

struct kept { size_t n; uint8_t data[]; };

struct tape { size_t n; uint8_t bytes[1 << 20]; };

static struct tape to_server[2], to_client, lost_tape;
static const struct conn *stuck;                /* its peer takes nothing */
static int64_t now = 1;

static inline struct tape *tape_of(const struct conn *c);

void conn_put(struct net *n, struct conn *c, const void *p, size_t len)
{
	struct tape *t = tape_of(c);

	(void)n;
	if (t->n + len > sizeof t->bytes)
		exit(1);
	memcpy(t->bytes + t->n, p, len);
	t->n += len;
}

int conn_put_message(struct net *n, struct conn *c, char type, const void *body, size_t len)
{
	uint8_t *p = malloc(len + WIRE_HEADER);
	struct put o = { .base = p, .cap = len + WIRE_HEADER };

	put_message(&o, type, body, len);
	conn_put(n, c, p, o.len);
	free(p);
	return 0;
}

struct put net_build(struct net *n, size_t want)
{
	static uint8_t block[NET_BUILD];

	(void)n;
	return (struct put){ .base = block, .cap = want < sizeof block ? want : sizeof block };
}

void net_flush(struct net *n) { (void)n; }
size_t conn_pending(const struct conn *c) { return c == stuck; }
size_t conn_drain(struct net *n, struct conn *c) { (void)n, (void)c; return 0; }
void conn_reading(struct net *n, struct conn *c, bool on) { (void)n; c->watch.events = on; }
void conn_hearing_end(struct net *n, struct conn *c) { (void)n; c->watch.events = 0; }
void conn_shut(struct net *n, struct conn *c) { (void)n; c->broken = true; }
long conn_fill(struct net *n, struct conn *c, uint8_t **p) { (void)n, (void)c, (void)p; return 0; }
const char *conn_error(const struct conn *c) { (void)c; return NULL; }
size_t conn_kept(const struct conn *c) { return c->in ? c->in->n : 0; }

int conn_keep(struct conn *c, const uint8_t *p, size_t len)
{
	size_t have = conn_kept(c);
	struct kept *more = have + len > NET_KEEP ? NULL : realloc(c->in, sizeof *more + have + len + 1);

	if (!more)
		return -1;
	c->in = more;
	memcpy(more->data + have, p, len);
	more->n = have + len;
	return 0;
}

int conn_unread(struct conn *c, size_t at, const uint8_t *p, size_t len)
{
	if (conn_keep(c, p, len) < 0)
		return -1;
	memmove(c->in->data + at + len, c->in->data + at, c->in->n - len - at);
	memcpy(c->in->data + at, p, len);
	return 0;
}

/* As much as was kept, in a block of just this size, which is freed by the next call. */
static uint8_t *refilled;

long conn_refill(struct net *n, struct conn *c, uint8_t **p)
{
	size_t have = conn_kept(c);

	(void)n;
	free(refilled);
	*p = refilled = malloc(have + 1);
	if (have)
		memcpy(refilled, c->in->data, have);
	free(c->in);
	c->in = NULL;
	return (long)have;
}

/* --- the loop, the log --- */

int64_t loop_now(const struct loop *l) { (void)l; return now; }
int64_t loop_now_us(const struct loop *l) { (void)l; return now * 1000; }
int timer_set(struct loop *l, struct timer *t, int64_t ms) { (void)l; t->at = ms; return 0; }
void timer_stop(struct loop *l, struct timer *t) { (void)l; t->at = 0; }
int loop_job(struct loop *l, enum lane lane, struct job *j)
{
	(void)l, (void)lane, (void)j;
	return -1;
}

bool log_wants(const struct log *l, enum level v) { (void)l, (void)v; return false; }

void log_record(struct log *l, struct log_who *who, enum level v, const char *place,
	const char *detail, const char *hint, const char *fmt, ...)
{
	(void)l, (void)who, (void)v, (void)place, (void)detail, (void)hint, (void)fmt;
}

/* --- the catalog: what it adds to all statements, what it takes from them --- */

static uint32_t catalog_adds, catalog_takes;
static unsigned catalog_changes, doubts;
static bool catalog_owed;

uint32_t catalog_look(struct catalog *cat, struct account *a, const struct sql_facts *f,
                      const char *text, size_t len, uint32_t doubt, const struct name_list *own,
                      struct finding *v)
{
	(void)cat, (void)a, (void)text, (void)len, (void)doubt, (void)own, (void)v;
	return (f->flags | catalog_adds) & ~catalog_takes;
}

bool catalog_owes(struct catalog *cat, struct account *a, const struct sql_facts *f,
                  const char *text, size_t len)
{
	(void)cat, (void)a, (void)f, (void)text, (void)len;
	return catalog_owed;
}

void catalog_changed(struct catalog *cat, const struct account *a)
{
	(void)cat, (void)a;
	catalog_changes++;
}

/* --- the bodies of functions: what they may leave --- */

static unsigned bodies_say, bodies_views, bodies_known;
static bool bodies_owed;
static uint32_t bodies_heard;
static char custom[128];                        /* the last name */

unsigned bodies_can(struct bodies *b, struct account *a) { (void)b, (void)a; return bodies_say; }
bool bodies_ask(struct bodies *b, struct account *a, uint32_t n)
{
	return (void)b, (void)a, (void)n, bodies_owed;
}
uint32_t bodies_next(struct bodies *b, struct account *a) { return (void)b, (void)a, 1; }
uint32_t bodies_told(struct bodies *b, struct account *a) { return (void)b, (void)a, bodies_heard; }
unsigned bodies_computed(struct bodies *b, struct account *a) { return (void)b, (void)a, bodies_views; }
unsigned bodies_count(struct bodies *b, struct account *a) { return (void)b, (void)a, bodies_known; }
bool bodies_aged(struct bodies *b, struct account *a) { return (void)b, (void)a, false; }
void bodies_changed(struct bodies *b, const struct account *a) { (void)b, (void)a; }


unsigned bodies_text(struct bodies *b, struct account *a, const char *text, size_t len)
{
	(void)b, (void)a;
	return memmem(text, len, "temp", 4) ? CODE_TEMPORARY : 0;
}

bool bodies_name(struct bodies *b, struct account *a, const char *name)
{
	(void)b, (void)a;
	if (strchr(name, '.'))
		snprintf(custom, sizeof custom, "%s", name);
	return true;
}

void bodies_names(struct bodies *b, struct account *a, void (*fn)(void *ctx, const char *name),
                  void *ctx)
{
	(void)b, (void)a;
	if (*custom)
		fn(ctx, custom);
}

int answer_row(struct answer *r, const char *field[], int max)
{
	(void)r, (void)field, (void)max;
	return 0;
}

uint32_t catalog_now(const struct catalog *cat) { (void)cat; return 7; }

static bool catalog_asks;

uint32_t catalog_doubt(const struct catalog *cat, const struct account *a, uint32_t since,
                       uint32_t doubt)
{
	(void)cat, (void)a, (void)since;
	return catalog_asks ? DOUBT_ALL : doubt;
}

/* --- the pool --- */

static struct server on[2];                     /* the servers, by node */
static bool none_free;                          /* whoever borrows has to wait */

struct server *server_borrow(struct servers *all, struct borrower *b, struct node *n, bool patient)
{
	(void)all, (void)patient;
	if (none_free)
		return NULL;
	on[n->id].phase = LENT;
	on[n->id].borrower = b;
	return &on[n->id];
}

static inline void drop_requests(struct server *s)
{
	for (struct request *r; (r = s->head); ) {
		s->head = r->next;
		r->release(r);
	}
	s->tail = NULL;
}

static inline void drop_news(struct borrower *b, struct server *s, const uint8_t *p, size_t n)
{
	(void)b, (void)s, (void)p, (void)n;
}

static inline uint32_t no_pid(struct borrower *b) { (void)b; return 0; }

static const struct borrower_ops quiet_ops = { .async = drop_news, .pid = no_pid };

void server_return(struct server *s)
{
	s->phase = s->within ? GONE : IDLE;
	s->borrower = NULL;
}

void server_close(struct server *s, const char *why) { (void)why; s->phase = GONE; }
bool server_stirs(struct server *s) { (void)s; return false; }
bool server_cancel(struct server *s, struct borrower *by) { (void)s, (void)by; return false; }
void server_role_gone(struct server *s) { (void)s; }
void servers_doubt(struct servers *all) { (void)all; doubts++; }

struct profile *profile_hold(struct profile *p) { return p; }
void profile_drop(struct profile *p) { (void)p; }
void accounts_forget_levels(struct accounts *all) { (void)all; }

int profile_report(struct profile *p, const char *name, const char *value)
{
	(void)p, (void)name, (void)value;
	return 0;
}

uint64_t profile_position(const char *text) { return (uint64_t)strlen(text); }
bool profile_name_stays(const char *name) { (void)name; return true; }

void server_put_name(const struct server *s, bool local, char sql[static SERVER_NAME_SQL])
{
	(void)s, (void)local, (void)sql;
}

/* --- the client --- */

static struct base shared;
static struct servers servers = { .base = &shared };
static struct written written;
static struct route route;
static struct last last[LAST_STATEMENTS];
static struct clients clients = { .servers = &servers, .route = &route, .base = &shared,
	.last = last };
static struct account account = { .database = "db", .user = "u" };
static unsigned renewals;                       /* of this account */

void servers_renew_accounts(struct servers *all,
	bool (*which)(const void *ctx, const struct account *a), const void *ctx, bool altered,
	const char *why)
{
	(void)all, (void)altered, (void)why;
	renewals += which(ctx, &account);
}

static struct profile profile = { .account = &account, .application_name = "",
	.level = LEVEL_READ_COMMITTED };
static struct client *client;
static char refused[128];                       /* what it was told when it was thrown out */
static bool resumed;                            /* it wants to go on with what was kept */

static inline struct tape *tape_of(const struct conn *c)
{
	return client && c == &client->conn ? &to_client : c == &on[0].conn ? &to_server[0]
	       : c == &on[1].conn ? &to_server[1] : &lost_tape;
}

struct client *client_find(const struct clients *all, uint32_t pid)
{
	(void)all;
	return client && pid == SESSION_PID ? client : NULL;
}

void client_attach(struct client *c, struct server *s)
{
	s->next_borrowed = c->borrowed;
	c->borrowed = s;
}

void client_detach(struct client *c, struct server *s)
{
	struct server **at = &c->borrowed;

	while (*at && *at != s)
		at = &(*at)->next_borrowed;
	if (*at)
		*at = s->next_borrowed;
	if (c->home == s)
		c->home = NULL;
	if (c->unnamed.on == s)
		c->unnamed.on = NULL;
	if (c->left_to == s)
		c->left_to = NULL;
	if (c->asked == s)
		c->asked = NULL;
	portals_forget(c, s);
}

int client_refuse(struct client *c, const char *sqlstate, const char *message, const char *detail,
                  const char *hint)
{
	(void)detail, (void)hint;
	snprintf(refused, sizeof refused, "%s %s", sqlstate, message);
	c->phase = AT_GONE;
	return -1;
}

void client_enter(struct client *c, enum client_phase to) { c->phase = to; }
bool privilege_known(struct client *c) { (void)c; return true; }

int client_out_of_memory(struct client *c)
{
	return client_refuse(c, "53200", "out of memory", NULL, NULL);
}

int client_refused(struct client *c, const struct refusal *r)
{
	return client_refuse(c, r->report.sqlstate, r->report.message, NULL, NULL);
}

void client_leave(struct client *c) { c->phase = AT_GONE; }
void client_resume(struct client *c) { (void)c; resumed = true; }
void server_emptied(struct server *s) { resumed |= s->borrower && conn_kept(&client->conn); }
void client_hear(struct client *c, enum level level, const char *detail, const char *fmt, ...)
{
	(void)c, (void)level, (void)detail, (void)fmt;
}

void client_say(struct client *c, const struct put *o)
{
	conn_put(NULL, &c->conn, o->base, o->len);
}

void client_peer(const struct client *c, char *host, size_t size, char *port, size_t port_size)
{
	(void)c;
	snprintf(host, size, "[local]");
	snprintf(port, port_size, "%s", "");
}

/* --- beginning and end --- */

static inline void tell_conf(void *ctx, enum level v, const char *file, int line, int column,
                             const char *text)
{
	(void)ctx;
	if (v >= LEVEL_WARNING)
		printf("# %s:%d:%d: %s\n", file ? file : "-", line, column, text);
}

/* The configuration: the nodes, and these lines. */
static inline void configure(const char *lines)
{
	static const char nodes[] = "backend_port0 = 5432\nbackend_weight0 = 0\n"
		"backend_flag0 = 'ALWAYS_PRIMARY'\nbackend_port1 = 5433\nbackend_weight1 = 1\n"
		"load_balance_consistency = 'off'\n";
	const struct conf_messages messages = { tell_conf, NULL };
	char path[] = "/tmp/session.XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f || fprintf(f, "%s%s\n", nodes, lines) < 0 || fclose(f))
		exit(1);
	shared.conf = conf_load(path, NULL, &messages);
	unlink(path);
	servers.nodes = shared.conf ? nodes_new(&shared) : NULL;
	if (!servers.nodes || route_init(&route, shared.conf, servers.nodes, &written) < 0)
		exit(1);
	servers.stmts = stmts_new();
	clients.recent = calloc(RECENT_STATEMENTS, sizeof *clients.recent);
	for (int i = 0; i < 2; i++)
		servers.nodes->node[i].state = NODE_UP;
}

static inline void free_spares(struct spares *s)
{
	for (struct request *r; (r = s->first); ) {
		s->first = r->next;
		free(r);
	}
	s->n = 0;
}

static inline void unconfigure(void)
{
	free_spares(&servers.own_requests);
	free_spares(&servers.queries);
	clients.nwriters = 0;
	free(clients.recent);
	stmts_free(servers.stmts);
	written_free(&written);
	route_free(&route);
	nodes_free(servers.nodes);
	conf_free((struct conf *)(uintptr_t)shared.conf);
}

/* A client that has just logged in. */
static inline struct client *session_begin(void)
{
	for (int i = 0; i < 2; i++) {
		on[i] = (struct server){ .all = &servers, .node = &servers.nodes->node[i],
			.account = &account, .start = &profile, .profile = &profile, .phase = IDLE,
			.status = 'I' };
		to_server[i].n = 0;
	}
	to_client.n = 0;
	client = calloc(1, sizeof *client);
	client->all = &clients;
	client->phase = AT_READY;
	client->status = 'I';
	client->borrower.profile = &profile;
	client->borrower.ops = &quiet_ops;
	*refused = 0;
	resumed = none_free = false;
	stuck = NULL;
	bodies_say = bodies_views = bodies_known = 0;
	*custom = 0;
	catalog_adds = catalog_takes = catalog_changes = doubts = 0;
	catalog_owed = catalog_asks = false;
	return client;
}

static inline void session_end(void)
{
	query_free(client);
	for (int i = 0; i < 2; i++) {
		drop_requests(&on[i]);
		names_clear(servers.stmts, &on[i].names);
		free(on[i].conn.in);
		free(on[i].farewell);
	}
	free(client->conn.in);
	free(client);
	free(refilled);
	refilled = NULL;
	client = NULL;
}

static inline void lend(int node)
{
	on[node].phase = LENT;
	on[node].borrower = &client->borrower;
	client_attach(client, &on[node]);
}

/* --- messages, as they are written here ---
 *
 * "P s=SELECT 1 | B p=s | E p | S": Parse statement s, Bind portal p to it, Execute it, Sync.  D and C
 * have S or P before the name; what stands behind any other type is a text. */

static inline void put_one(struct put *o, const char *m, size_t len)
{
	const char *field = len > 2 ? m + 2 : m + len, *end = m + len;
	const char *equal = memchr(field, '=', (size_t)(end - field));
	const char *second = equal ? equal + 1 : end;

	put_begin(o, *m);
	switch (*m) {
	case 'P': case 'B':
		put_bytes(o, field, (size_t)((equal ? equal : end) - field));
		put_byte(o, 0);
		put_bytes(o, second, (size_t)(end - second));
		put_bytes(o, *m == 'P' ? "\0\0" : "\0\0\0\0\0\0", *m == 'P' ? 3 : 7);
		break;
	case 'D': case 'C': case 'Q': case 'f':
		put_bytes(o, field, (size_t)(end - field));
		put_byte(o, 0);
		break;
	case 'E':
		put_bytes(o, field, (size_t)(end - field));
		put_bytes(o, "\0\0\0\0", 5);
		break;
	case 'F':
		put_bytes(o, "\0\0\0\1\0\0\0\0\0", 10);
		break;
	default:
		put_bytes(o, field, (size_t)(end - field));
	}
	put_end(o);
}

/* The bytes of these messages; good until the next call. */
static inline size_t messages(const char *list, const uint8_t **p)
{
	static uint8_t block[1 << 20];
	struct put o = { .base = block, .cap = sizeof block };

	for (const char *m = list, *end; *m; m = *end ? end + 3 : end) {
		end = strstr(m, " | ");
		end = end ? end : m + strlen(m);
		put_one(&o, m, (size_t)(end - m));
	}
	if (o.full)
		exit(1);
	*p = block;
	return o.len;
}

/* PostgreSQL's messages: "1 | C INSERT 0 1 | E 22012 | Z T".  Behind an E is its
 * SQLSTATE, "FATAL " in front of it if it is that. */
static inline size_t answers(const char *list, const uint8_t **p)
{
	static uint8_t block[1 << 16];
	struct put o = { .base = block, .cap = sizeof block };

	for (const char *m = list, *end; *m; m = *end ? end + 3 : end) {
		char text[128];
		end = strstr(m, " | ");
		end = end ? end : m + strlen(m);
		snprintf(text, sizeof text, "%.*s", end - m > 2 ? (int)(end - m - 2) : 0, m + 2);
		const char *code = strchr(text, ' ');
		if (*m == 'E')
			put_report(&o, 'E', &(struct report){ code ? "FATAL" : "ERROR",
				code ? code + 1 : text, "no", NULL, NULL });
		else
			put_message(&o, *m, text, strlen(text) + (*m == 'C'));
	}
	*p = block;
	return o.len;
}

static inline void answer(int node, const char *list)
{
	const uint8_t *p;
	size_t n = answers(list, &p);
	uint8_t *copy = malloc(n);

	memcpy(copy, p, n);
	server_replies(&on[node], copy, n);
	free(copy);
}

/* A text in pieces. */
struct words { size_t n; char text[1024]; };

__attribute__((format(printf, 2, 3)))
static inline void add_words(struct words *w, const char *fmt, ...)
{
	va_list ap;

	if (w->n)
		w->text[w->n++] = ' ';
	va_start(ap, fmt);
	w->n += (size_t)vsnprintf(w->text + w->n, sizeof w->text - w->n - 1, fmt, ap);
	va_end(ap);
	if (w->n >= sizeof w->text - 2)
		exit(1);
}

/* What is in a tape, in short: a message's type, of some with their texts.  Good for three more calls. */
static inline const char *on_tape(const struct tape *t)
{
	static struct words all[4];
	static unsigned nth;
	struct words *w = &all[nth++ % 4];
	struct msg m;

	w->n = 0;
	*w->text = 0;
	for (size_t at = 0; at < t->n; ) {
		long len = wire_next(&m, t->bytes + at, t->n - at, MESSAGE_MAX);
		if (len <= 0) {
			add_words(w, "...");
			break;
		}
		at += (size_t)len;
		const char *sep = w->n ? "| " : "";
		const char *first = strchr("QPBECD", m.type) && m.at < m.end ? msg_text(&m) : "";
		const char *second = strchr("PB", m.type) && m.at < m.end ? msg_text(&m) : NULL;
		add_words(w, "%s%c%s%s%s%s", sep, m.type, *first || second ? " " : "", first,
			second ? "=" : "", second ? second : "");
	}
	return w->text;
}

#endif
