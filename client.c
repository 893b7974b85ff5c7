#include "client.h"

#include "client/auth_query.h"
#include "client/doubt.h"
#include "client/hello.h"
#include "client/last.h"
#include "client/login.h"
#include "client/own.h"
#include "client/peer.h"
#include "client/portal.h"
#include "client/privilege.h"
#include "client/query.h"
#include "client/transact.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

_Static_assert(sizeof(struct client) <= 668, "musl takes 128 bytes more for each idle client");

enum {
	LAST_WORDS = 5000,                      /* ms for a client to take its error */
	NAMING_MAX = 64,                        /* look-ups of hosts' names at once */
	OWN_DESCRIPTORS = 32,                   /* listeners, logs, cancel requests and the like */
	STRANGER_LOOKS = 16,                    /* for one to be dropped */
};

static const struct borrower_ops borrower_ops;

/* A client whose connect line waits for the name of its host. */
struct arrival {
	struct clients *clients;
	struct client *client;                  /* NULL: it has left */
	char address[INET6_ADDRSTRLEN], port[8];
};

/* --- phases, and the list of its servers --------------------------------- */

void client_enter(struct client *c, enum client_phase to)
{
	struct loop *loop = c->all->base->loop;
	int64_t idle_limit = own_conf(c)->client_idle_limit;

	c->phase = to;
	if (to != AT_READY && to != AT_GONE)
		return;
	client_owes(c, false);
	timer_stop(loop, &c->timer);
	if (to == AT_READY && idle_limit)
		timer_set(loop, &c->timer, idle_limit * 1000);
}

/* What was guessed is known by now. */
__attribute__((cold))
static void tell_welcome(struct client *c)
{
	const struct profile *p = c->borrower.profile;

	if (!p->welcomed)
		return;
	conn_put(c->all->base->net, &c->conn, p->welcome, p->welcome_len);
	net_flush(c->all->base->net);
	c->guessed = false;
}

void client_attach(struct client *c, struct server *s)
{
	s->next_borrowed = c->borrowed;
	c->borrowed = s;
	if (c->guessed)
		tell_welcome(c);
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
	doubt_detach(c, s);
}

/* --- slots: cancel requests name them ------------------------------------ */

/* Doubles, but stops once at the number of clients that the configuration expects. */
static uint32_t more_slots(const struct clients *all)
{
	uint32_t n = all->nslots ? all->nslots * 2 : 64;
	int64_t expected = all->base->conf->num_init_children;

	return all->nslots < expected && n > expected ? (uint32_t)expected : n;
}

static int take_slot(struct clients *all, struct client *c)
{
	if (all->used == SESSIONS_MAX)
		return -1;
	if (all->used == all->nslots) {
		uint32_t n = more_slots(all);
		struct client **slot = realloc(all->slot, n * sizeof *slot);
		all->slot = slot ? slot : all->slot;
		uint32_t *served = slot ? realloc(all->served, n * sizeof *served) : NULL;
		if (!served)
			return -1;
		memset(slot + all->nslots, 0, (n - all->nslots) * sizeof *slot);
		memset(served + all->nslots, 0, (n - all->nslots) * sizeof *served);
		all->served = served;
		all->nslots = n;
	}
	/* Slots are taken in turn, so that a number is not used again soon. */
	while (all->slot[all->next_slot % all->nslots])
		all->next_slot++;
	uint32_t i = all->next_slot++ % all->nslots;
	all->slot[i] = c;
	all->served[i]++;
	all->used++;
	c->pid = SESSION_PID + i;
	return 0;
}

static void leave_slot(struct client *c)
{
	if (!c->pid)
		return;
	last_forget(c);
	c->all->slot[c->pid - SESSION_PID] = NULL;
	c->all->used--;
	c->pid = 0;
}

struct client *client_find(const struct clients *all, uint32_t pid)
{
	return pid - SESSION_PID < all->nslots ? all->slot[pid - SESSION_PID] : NULL;
}

bool client_cancel(struct client *by, uint32_t pid, const uint8_t *key, size_t len)
{
	struct client *c = client_find(by->all, pid);

	if (!c || len != c->key_len || !scram_equal(c->key, key, len))
		return false;
	if (c->inflight)
		return request_cancel(c->last->request.server, c, &by->borrower);
	if (c->waiting)
		server_unborrow(&c->borrower);
	c->waiting = false;
	c->canceled = c->blocked;
	if (c->canceled)
		client_resume(c);
	return false;
}

/* --- saying something ---------------------------------------------------- */

/* Has it the beginning of a message whose end has not come? */
static bool half_told(const struct client *c)
{
	for (const struct server *s = c->borrowed; s; s = s->next_borrowed)
		if (s->head && s->head->owner == c && query_half_told(query_of(s->head)))
			return true;
	return c->half_told;
}

void client_say(struct client *c, const struct put *o)
{
	conn_put(c->all->base->net, &c->conn, o->base, o->len);
}

__attribute__((cold))
void client_hear(struct client *c, enum level level, const char *detail, const char *fmt, ...)
{
	char message[LOG_TEXT_MAX];
	va_list args;

	if (own_conf(c)->client_min_messages > level || half_told(c))
		return;
	va_start(args, fmt);
	int n = vsnprintf(message, sizeof message, fmt, args);
	va_end(args);
	if (n >= (int)sizeof message)
		message[wire_cut(message, sizeof message - 1, sizeof message - 4)] = 0;
	struct put o = net_build(c->all->base->net,
		strlen(message) + (detail ? strlen(detail) : 0) + 128);
	put_report(&o, 'N', &(struct report){ level == LEVEL_LOG ? "LOG" : "NOTICE", "00000",
		message, detail, NULL });
	client_say(c, &o);
}

const char *client_last_statement(const struct client *c)
{
	return last_text(c);
}

const struct client_pin client_pins[] = {
	{ PIN_TEMPORARY, "temporary table" }, { PIN_LOCK, "advisory lock" },
	{ PIN_CURSOR, "cursor with hold" }, { PIN_LISTEN, "listen" },
	{ PIN_FUNCTION, "function that keeps something" },
	{ PIN_OTHER, "statement that may leave anything" }, { 0, NULL }
};

const char *client_pin(const struct client *c)
{
	const struct client_pin *p = client_pins;

	while (p->words && !(c->pins & p->pin))
		p++;
	return p->words ? p->words : "";
}

void client_peer(const struct client *c, char *host, size_t size, char *port, size_t port_size)
{
	snprintf(port, port_size, "%u", c->port);
	if (c->family != AF_UNIX && inet_ntop(c->family, c->address, host, (socklen_t)size))
		return;
	snprintf(host, size, "[local]");
	*port = 0;
}

/* --- the end ------------------------------------------------------------- */

static void log_goodbye(struct client *c)
{
	char host[NI_MAXHOST], port[8];
	int64_t ms = loop_now(c->all->base->loop) - c->since;

	if (!c->all->base->conf->log_disconnections || c->phase != AT_READY)
		return;
	client_peer(c, host, sizeof host, port, sizeof port);
	if (c->host)
		snprintf(host, sizeof host, "%s", c->host);
	log_write(c->all->base->log, &c->who, LEVEL_LOG, NULL, NULL,
		"frontend disconnection: session time: %d:%02d:%02d.%03d user=%s database=%s"
		" host=%s%s%s", (int)(ms / 3600000), (int)(ms / 60000 % 60), (int)(ms / 1000 % 60),
		(int)(ms % 1000), c->who.user, c->who.database, host, *port ? " port=" : "", port);
}

static void bury(struct client *c)
{
	struct clients *all = c->all;

	timer_stop(all->base->loop, &c->timer);
	conn_close(all->base->net, &c->conn);
	profile_drop(c->borrower.profile);
	if (c->arrival)
		c->arrival->client = NULL;
	free(c->host);
	crowd_leave(&all->others, &c->place);
	all->open--;
	free(c);
}

/* After the last words: waits for the client to take them, but not for long. */
static void finish(struct client *c)
{
	char rest[4096];

	net_flush(c->all->base->net);
	if (conn_pending(&c->conn) && !c->conn.broken) {
		conn_reading(c->all->base->net, &c->conn, false);
		timer_set(c->all->base->loop, &c->timer, LAST_WORDS);
		return;
	}
	/* A socket that is closed with bytes unread is reset, and the client may never see its
	 * error.  Behind a client's own farewell there are no such bytes. */
	if (!c->ended) {
		conn_shut(c->all->base->net, &c->conn);
		for (int i = 0; i < 64; i++)
			if (recv(c->conn.watch.fd, rest, sizeof rest, MSG_DONTWAIT) <= 0)
				break;
	}
	bury(c);
}

void client_leave(struct client *c)
{
	if (c->phase == AT_GONE)
		return;
	log_goodbye(c);
	if (c->phase == AT_HELLO)
		cancels_forget(c->all->servers, &c->borrower);
	client_enter(c, AT_GONE);
	server_unborrow(&c->borrower);
	query_free(c);
	login_free(c);
	leave_slot(c);
	loop_defer(c->all->base->loop, &c->task);
}

/* Within a message there is no place for last words: the client's library sees the end of the
 * connection, as it does when PostgreSQL crashes.  why is for the log only. */
static int fail(struct client *c, const struct report *r, const char *why)
{
	if (c->phase == AT_GONE)
		return -1;
	struct put o = net_build(c->all->base->net, 4096);
	struct report fatal = *r;

	fatal.severity = "FATAL";
	codes_count(&c->all->errors, fatal.sqlstate, CODE_CLASS);
	put_report(&o, 'E', &fatal);
	if (!o.full && !half_told(c))
		client_say(c, &o);
	log_write(c->all->base->log, &c->who, LEVEL_FATAL, why, r->hint, "%s", r->message);
	client_leave(c);
	return -1;
}

int client_fail(struct client *c, const struct report *r)
{
	return fail(c, r, r->detail);
}

int client_deny(struct client *c, const char *sqlstate, const char *message, const char *why)
{
	return fail(c, &(struct report){ "FATAL", sqlstate, message, NULL, NULL }, why);
}

int client_refuse(struct client *c, const char *sqlstate, const char *message, const char *detail,
                  const char *hint)
{
	return client_fail(c, &(struct report){ "FATAL", sqlstate, message, detail, hint });
}

int client_out_of_memory(struct client *c)
{
	return client_refuse(c, "53200", "out of memory", NULL, NULL);
}

int client_relay(struct client *c, const uint8_t *body, size_t len)
{
	const char *text = wire_field(body, len, 'M'), *code = wire_field(body, len, 'C');

	if (c->phase == AT_GONE)
		return -1;
	codes_count(&c->all->errors, code, CODE_CLASS);
	if (!half_told(c))
		conn_put_message(c->all->base->net, &c->conn, 'E', body, len);
	log_write(c->all->base->log, &c->who, LEVEL_FATAL, NULL, NULL, "%s",
		text ? text : "session ended");
	client_leave(c);
	return -1;
}

int client_refused(struct client *c, const struct refusal *r)
{
	return r->raw ? client_relay(c, r->raw, r->raw_len) : client_fail(c, &r->report);
}

void clients_end(struct clients *all, const char *sqlstate, const char *message)
{
	for (uint32_t i = 0; i < all->nslots; i++)
		if (all->slot[i])
			client_refuse(all->slot[i], sqlstate, message, NULL, NULL);
	net_flush(all->base->net);
}

static bool rests(const struct client *c)
{
	return c->phase == AT_READY && c->status == 'I' && c->input == INPUT_REQUEST
	       && !c->inflight && !c->waiting && !conn_kept(&c->conn) && !own_goes_on(c);
}

void clients_end_resting(struct clients *all, const char *sqlstate, const char *message)
{
	for (uint32_t i = 0; i < all->nslots; i++)
		if (all->slot[i] && rests(all->slot[i]))
			client_refuse(all->slot[i], sqlstate, message, NULL, NULL);
	net_flush(all->base->net);
}

void clients_told(void *ctx)
{
	struct clients *all = ctx;

	if (!all->awaited)
		return;
	all->awaited = false;
	for (uint32_t i = 0; i < all->nslots; i++) {
		struct client *c = all->slot[i];
		if (c && c->asks_later)
			doubt_told(c);
		if (c && c->awaits) {
			c->awaits = false;
			client_resume(c);
		}
	}
}

/* --- events -------------------------------------------------------------- */

/* Before it is logged in, is it the client's turn?  Not behind a cancel request. */
static bool its_turn(const struct client *c)
{
	return c->phase == AT_HELLO ? c->stranger : c->phase == AT_LOGIN && login_awaits(c);
}

static void early_input(struct client *c, uint8_t *p, size_t n)
{
	while (n && its_turn(c)) {
		long used = c->phase == AT_HELLO ? hello_packet(c, p, n) : login_message(c, p, n);
		if (used <= 0)
			break;
		explicit_bzero(p, (size_t)used);        /* maybe a password */
		p += used;
		n -= (size_t)used;
	}
	if (c->phase == AT_GONE)
		return;
	if (c->ended && its_turn(c)) {
		client_leave(c);
		return;
	}
	if ((n > WIRE_PASSWORD_MAX && c->phase != AT_READY) || conn_keep(&c->conn, p, n) < 0)
		client_refuse(c, "08P01", "too much data before authentication", NULL, NULL);
}

static void use_input(struct client *c, uint8_t *p, size_t n)
{
	if (c->phase == AT_READY)
		query_input(c, p, n);
	else if (c->phase != AT_GONE)
		early_input(c, p, n);
}

static void go_on(struct task *t)
{
	struct client *c = OWNER(t, struct client, task);
	struct net *net = c->all->base->net;
	uint8_t *p;

	if (c->phase == AT_GONE) {
		finish(c);
		return;
	}
	if (c->canceled) {
		c->canceled = false;
		query_canceled(c);
		net_flush(net);
		return;
	}
	long n = conn_refill(net, &c->conn, &p);
	use_input(c, p, (size_t)n);
	net_flush(net);
}

void client_resume(struct client *c)
{
	loop_defer(c->all->base->loop, &c->task);
}

/* A client may close its sending half and still wait for its answers. */
static void no_more(struct client *c, int error)
{
	bool asked = c->phase == AT_READY ? c->inflight || conn_kept(&c->conn)
	                                  : c->phase == AT_LOGIN;

	if (c->conn.tls)
		hello_tell_tls(c);
	if (error || !asked || c->ended) {
		client_leave(c);
		return;
	}
	c->ended = true;
	conn_reading(c->all->base->net, &c->conn, false);
	client_resume(c);
}

/* It waits for a server, and sends no more: its place is for those who are still there.  One whose
 * server is about to come may have closed its sending half only. */
static void no_more_waiting(struct client *c)
{
	conn_reading(c->all->base->net, &c->conn, false);
	c->borrower.leaves = true;
	if (c->waiting && !c->borrower.opening)
		client_leave(c);
}

static void unpause(struct client *c)
{
	c->paused = false;
	query_stalls(c, false);
	for (struct server *s = c->borrowed; s; s = s->next_borrowed)
		conn_reading(c->all->base->net, &s->conn, true);
}

static void readable(struct watch *w, short revents)
{
	struct client *c = OWNER(w, struct client, conn.watch);
	struct net *net = c->all->base->net;
	uint8_t *p;

	if ((revents & POLLOUT) && conn_drain(net, &c->conn) == 0) {
		if (c->phase == AT_GONE)
			loop_defer(c->all->base->loop, &c->task);
		else if (c->paused)
			unpause(c);
		if (c->phase == AT_READY && (conn_kept(&c->conn) || c->ended))
			client_resume(c);
	}
	if (!(revents & ~POLLOUT))
		return;
	if ((revents & POLLRDHUP) && c->phase == AT_READY) {
		no_more_waiting(c);
		return;
	}
	if (c->phase == AT_GONE) {
		c->conn.broken |= !!(revents & (POLLERR | POLLHUP));
		loop_defer(c->all->base->loop, &c->task);
		return;
	}
	if (c->phase == AT_HELLO)
		hello_begin(c);
	long n = conn_fill(net, &c->conn, &p);
	if (n < 0) {
		no_more(c, errno);
	} else if (c->phase == AT_HELLO && hello_declined(c)) {
		client_leave(c);
	} else if (n > 0) {
		c->active = loop_now(c->all->base->loop);
		use_input(c, p, (size_t)n);
	}
	net_flush(net);
}

static void idle_too_long(struct client *c)
{
	int64_t limit = own_conf(c)->client_idle_limit * 1000;
	int64_t idle = loop_now(c->all->base->loop) - c->active;
	char detail[128];

	if (!limit)
		return;
	if (c->inflight || c->waiting || idle < limit) {
		timer_set(c->all->base->loop, &c->timer, idle < limit ? limit - idle : limit);
		return;
	}
	snprintf(detail, sizeof detail, "child connection forced to terminate due to"
		" client_idle_limit:%d is reached", (int)own_conf(c)->client_idle_limit);
	client_refuse(c, "57000", "unable to read data", detail, NULL);
}

/* The timer is the idle limit's as well. */
static void paused_within(struct client *c)
{
	int64_t pause = loop_now(c->all->base->loop) - c->active;

	if (pause < REQUEST_PAUSE) {
		timer_set(c->all->base->loop, &c->timer, REQUEST_PAUSE - pause);
		return;
	}
	c->partial = false;
	c->hurried = true;
	client_resume(c);
	idle_too_long(c);
}

static void due(struct timer *t)
{
	struct client *c = OWNER(t, struct client, timer);
	struct net *net = c->all->base->net;

	switch (c->phase) {
	case AT_HELLO:
		client_leave(c);
		break;
	case AT_LOGIN:
		client_refuse(c, "57014", "canceling authentication due to timeout", NULL, NULL);
		break;
	case AT_READY:
		(c->partial ? paused_within : idle_too_long)(c);
		break;
	case AT_GONE:
		c->conn.broken = true;
		loop_defer(c->all->base->loop, &c->task);
		break;
	}
	net_flush(net);
}

/* --- news from servers --------------------------------------------------- */

static void lent(struct borrower *b, struct server *s)
{
	struct client *c = OWNER(b, struct client, borrower);

	if (c->phase == AT_LOGIN) {
		login_lent(c, s);
		return;
	}
	c->waiting = false;
	client_attach(c, s);
	client_resume(c);
}

static void refused(struct borrower *b, const struct refusal *r)
{
	struct client *c = OWNER(b, struct client, borrower);

	if (c->phase == AT_LOGIN)
		login_refused(c, r);
	else
		query_refused(c, r);
}

/* What the session had there cannot be had again. */
__attribute__((cold))
static void end_lost(struct client *c, const uint8_t *farewell, size_t len)
{
	static const char detail[] = "The connection to PostgreSQL broke while it was in use.";

	if (farewell)
		client_relay(c, farewell, len);
	else if (c->lost_request)
		client_refuse(c, "08006", "server closed the connection unexpectedly", detail,
			"Connect again; the outcome of the last statement is not known.");
	else
		client_refuse(c, "57P01", "terminating connection because its server is gone",
			detail, "Connect again; what only this session had is lost.");
}

/* A connection broke.  A replica's is replaced, and so is the primary's as long as nothing that
 * only it had is lost. */
static void lost(struct borrower *b, struct server *s, const uint8_t *farewell, size_t len)
{
	struct client *c = OWNER(b, struct client, borrower);
	bool needed = transact_needs(c, s), home = client_home(c, s);
	bool snapshot = c->session.seen && s == transact_owner(c);

	if (c->phase == AT_LOGIN) {
		login_refused(c, &(struct refusal){ REFUSED_BACKEND, { "FATAL", "08006",
			"the server closed the connection", NULL, NULL }, farewell, len });
		return;
	}
	client_detach(c, s);
	if (c->ended && !c->inflight && !conn_kept(&c->conn))
		client_leave(c);        /* all is answered that can be */
	if (c->phase == AT_GONE)
		return;
	c->left = c->lost_request ? 0 : c->left;
	c->primary_once |= !home;       /* a replica that breaks at once is not tried for ever */
	if (c->told_fatal)
		client_leave(c);
	else if (c->lost_request || c->terminated || needed)
		end_lost(c, farewell, len);
	else if (s->status != 'I')
		c->session.no_replica = true;
	c->session.lost |= snapshot && c->status == 'T';
	if (c->phase == AT_READY && conn_kept(&c->conn))
		client_resume(c);       /* it was about to ask */
}

static void async(struct borrower *b, struct server *s, const uint8_t *p, size_t n)
{
	struct client *c = OWNER(b, struct client, borrower);

	if (*p == 'A')
		c->pins |= PIN_LISTEN;  /* somebody's code has said LISTEN */
	if (c->phase == AT_READY && client_home(c, s) && !half_told(c))
		conn_put(c->all->base->net, &c->conn, p, n);
	if (conn_kept(&c->conn))
		client_resume(c);       /* the news may be all that wakes it */
}

static uint32_t pid(struct borrower *b)
{
	return OWNER(b, struct client, borrower)->pid;
}

static void eased(struct borrower *b)
{
	struct client *c = OWNER(b, struct client, borrower);

	if (c->phase == AT_HELLO)
		client_leave(c);        /* it brought a cancel request, which was delivered */
	else if (c->phase == AT_LOGIN)
		login_eased(c);
	else if (conn_kept(&c->conn) || c->ended)
		client_resume(c);
}

static const struct borrower_ops borrower_ops = { lent, refused, lost, async, pid, eased };

/* --- strangers: clients that have not logged in yet ---------------------- */

void client_owes(struct client *c, bool owes)
{
	struct clients *all = c->all;

	if (!owes && !c->stranger)
		return;
	crowd_leave(c->stranger ? &all->strangers : &all->others, &c->place);
	crowd_join(owes ? &all->strangers : &all->others, &c->place);
	c->stranger = owes;
}

static unsigned open_files(void)
{
	struct rlimit r;

	return getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur > INT_MAX ? INT_MAX
		: (unsigned)r.rlim_cur;
}

/* Clients leave the servers as many as these may need, or half of all: idle clients must not keep
 * the others from being served. */
static bool leaves_no_descriptor(const struct clients *all)
{
	int64_t wanted = servers_descriptors(all->servers) + OWN_DESCRIPTORS, half = all->files / 2;

	return (int64_t)all->used + all->strangers.n > all->files - (wanted < half ? wanted : half);
}

/* A stranger whose bytes we have not read yet waits for us, so it is not dropped: it goes to the
 * end of the line. */
static struct client *pick_stranger(struct clients *all)
{
	struct member *m;

	for (int i = 0; i < STRANGER_LOOKS && (m = crowd_pick(&all->strangers)); i++) {
		struct client *c = OWNER(m, struct client, place);
		if (!conn_stirs(&c->conn))
			return c;
		client_owes(c, true);
	}
	return NULL;
}

static void tell_dropped(struct client *c)
{
	struct clients *all = c->all;
	char host[INET6_ADDRSTRLEN], port[8], detail[160];

	if (!crowd_dropped(&all->strangers, loop_now(all->base->loop)))
		return;
	client_peer(c, host, sizeof host, port, sizeof port);
	snprintf(detail, sizeof detail, "The last was from %s; %" PRIu64 " so far were dropped for"
		" newer ones.", host, all->strangers.dropped);
	log_write(all->base->log, NULL, LEVEL_WARNING, detail,
		"If this is not an attack, raise max_unauthenticated_clients, and the limit of open"
		" files to more than twice as many.",
		"too many clients that have not logged in");
}

/* Not by client_refuse(), which would write a line for each stranger: a flood must not fill the
 * log. */
static bool drop_stranger(struct clients *all)
{
	struct client *c = pick_stranger(all);

	if (!c)
		return false;
	struct put o = net_build(all->base->net, 256);
	put_report(&o, 'E', &(struct report){ "FATAL", "53300", "Sorry, too many clients already",
		"Too many of them have not logged in.", NULL });
	client_say(c, &o);
	tell_dropped(c);
	client_leave(c);
	return true;
}

unsigned clients_room(struct clients *all)
{
	int64_t max = all->base->conf->max_unauthenticated_clients;

	if (max > all->files / 2)
		max = all->files / 2;
	if (all->strangers.n < max)
		return (unsigned)max - all->strangers.n;
	return drop_stranger(all);
}

bool clients_yield(struct clients *all)
{
	if (!all->strangers.n)
		return false;
	drop_stranger(all);
	return true;
}

/* --- the beginning ------------------------------------------------------- */

static void note_peer(struct client *c, const struct sockaddr_storage *peer)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;

	c->family = peer->ss_family;
	if (c->family == AF_INET) {
		memcpy(c->address, &v4->sin_addr, 4);
		c->port = ntohs(v4->sin_port);
	} else if (c->family == AF_INET6) {
		memcpy(c->address, &v6->sin6_addr, 16);
		c->port = ntohs(v6->sin6_port);
	}
}

static bool too_many(const struct clients *all)
{
	const struct conf *conf = all->base->conf;

	return conf->reserved_connections > 0
	       && all->used >= conf->num_init_children - conf->reserved_connections;
}

static void log_hello(struct clients *all, struct log_who *who, const char *host, const char *port)
{
	char detail[NI_MAXHOST + 32];

	if (!all->base->conf->log_connections)
		return;
	snprintf(detail, sizeof detail, "connecting host=%s%s%s", host, *port ? " port=" : "",
		port);
	log_write(all->base->log, who, LEVEL_LOG, detail, NULL, "new connection received");
}

static void named(void *ctx, const char *name, bool confirmed)
{
	struct arrival *a = ctx;
	struct log_who who = { "child", NULL, NULL, 0 };

	(void)confirmed;
	a->clients->naming--;
	log_hello(a->clients, &who, *name ? name : a->address, a->port);
	if (a->client) {
		a->client->arrival = NULL;
		a->client->host = *name ? strdup(name) : NULL;
	}
	free(a);
}

/* The connect line is written when the name is known.  At most NAMING_MAX names are waited for at a
 * time: where name servers are slow, the other lines have the address. */
static bool find_name(struct client *c, const struct sockaddr_storage *peer)
{
	struct clients *all = c->all;

	if (!all->base->conf->log_hostname || c->family == AF_UNIX || all->naming >= NAMING_MAX)
		return false;
	if (!all->base->conf->log_connections && !all->base->conf->log_disconnections)
		return false;
	struct arrival *a = malloc(sizeof *a);
	if (!a || !peer_look_up(all->base->loop, peer, named, a)) {
		free(a);
		return false;
	}
	a->clients = all;
	a->client = c;
	client_peer(c, a->address, sizeof a->address, a->port, sizeof a->port);
	c->arrival = a;
	all->naming++;
	return true;
}

static void greet(struct client *c, const struct sockaddr_storage *peer)
{
	struct clients *all = c->all;
	char host[INET6_ADDRSTRLEN], port[8];

	if (!find_name(c, peer)) {
		client_peer(c, host, sizeof host, port, sizeof port);
		log_hello(all, &c->who, host, port);
	}
	if (all->draining)
		client_refuse(c, "57P03", "the database system is shutting down", NULL, NULL);
	else if (too_many(all))
		client_refuse(c, "53300", "Sorry, too many clients already", NULL, NULL);
	else if (leaves_no_descriptor(all) && !(all->strangers.n > 1 && drop_stranger(all)))
		client_refuse(c, "53300", "Sorry, too many clients already",
			"The other file descriptors are for connections to PostgreSQL.",
			"Raise the proxy's limit of open files.");
}

/* Not before the startup packet: a peer that only looks whether the port is open is no client. */
int client_admit(struct client *c)
{
	if (too_many(c->all))
		return client_refuse(c, "53300", "Sorry, too many clients already", NULL, NULL);
	return take_slot(c->all, c) < 0 ? client_out_of_memory(c) : 0;
}

void client_accept(struct clients *all, int fd, const struct sockaddr_storage *peer)
{
	struct client *c = calloc(1, sizeof *c);

	if (!c) {
		close(fd);
		return;
	}
	c->all = all;
	c->status = 'I';
	c->task.run = go_on;
	c->timer.fire = due;
	c->borrower.ops = &borrower_ops;
	c->borrower.who = &c->who;
	c->who.app = "child";           /* Pgpool-II's name for clients that have not said theirs */
	c->since = c->active = loop_now(all->base->loop);
	note_peer(c, peer);
	if (conn_open(all->base->net, &c->conn, fd, POLLIN, readable, NET_CLIENT) < 0) {
		free(c);
		return;
	}
	c->place.address = crowd_address(peer);
	c->stranger = true;
	crowd_join(&all->strangers, &c->place);
	all->open++;
	int64_t seconds = all->base->conf->authentication_timeout;
	if (seconds)
		timer_set(all->base->loop, &c->timer, seconds * 1000);
	greet(c, peer);
}

int clients_init(struct clients *all)
{
	all->files = open_files();
	all->recent = calloc(RECENT_STATEMENTS, sizeof *all->recent);
	all->last = calloc(LAST_STATEMENTS, sizeof *all->last);
	all->auth_query = auth_query_new(all->servers);
	all->privileges = privileges_new(all);
	if (!all->recent || !all->last || !all->auth_query || !all->privileges
	    || getrandom(all->mock, sizeof all->mock, 0) != sizeof all->mock)
		return -1;
	return 0;
}

uint64_t client_position(const struct client *c)
{
	return c->session.floor ? c->all->servers->nodes->position : 0;
}

bool client_sees_others(const struct client *c)
{
	return privilege_stats(c);
}

const struct conf *client_conf(const struct client *c)
{
	return own_conf(c);
}

/* The meaning of a text depends on the configuration's rules, which may be others now. */
void clients_reload(struct clients *all)
{
	memset(all->recent, 0, RECENT_STATEMENTS * sizeof *all->recent);
	for (struct member *m = all->others.first; m; m = m->next)
		own_reload(OWNER(m, struct client, place));
}

void clients_free(struct clients *all)
{
	for (struct member *m; (m = all->strangers.first); )
		client_leave(OWNER(m, struct client, place));
	for (struct member *m = all->others.first; m; m = m->next)
		client_leave(OWNER(m, struct client, place));
	loop_finish(all->base->loop);
	for (struct member *m; (m = all->others.first); )
		bury(OWNER(m, struct client, place));   /* it has not taken its last words */
	auth_query_free(all->auth_query);
	privileges_free(all->privileges);
	free(all->slot);
	free(all->served);
	free(all->recent);
	free(all->last);
	explicit_bzero(all->mock, sizeof all->mock);
}
