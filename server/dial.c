/* server/dial.c - from a node's address to a server that is logged in; probes.
 *
 * There is one struct dial per attempt, freed when the server is ready or refused.  Nothing here
 * blocks: helper threads look up names and derive keys, and the server waits in a list
 * meanwhile. */
#include "server/inside.h"

#include "md5.h"
#include "server/secure.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

enum {
	LOGIN_TIMEOUT = 60000,                  /* ms, from the startup packet to ReadyForQuery */
	QUEUE_FULL = 10,                        /* ms before a full Unix socket is tried again */
	LOGIN_MESSAGE_MAX = 64 * 1024,
};

struct dial {
	char *secret;                           /* the borrower's, to be proved; or NULL */
	bool look;                              /* the borrower's */
	int tried;                              /* addresses; and the last one: */
	struct address address;
	enum node_role role;
	struct scram_keys keys;
	bool have_keys;
	bool doubtful;                          /* SCRAM began, and the server has not proved
	                                         * itself yet */
	bool welcome;                           /* AuthenticationOk came */
	bool fell_back;                         /* to plain text: secure.why */
	bool news;                              /* a parameter's value is not that of before */
	struct derivation *waits;               /* for keys */
	struct scram_client scram;
	struct secure secure;
	struct timer again;                     /* next try at a Unix socket whose queue is full */
	struct server *server;
};

/* Keys that a helper thread derives.  They serve every login of the account that needs the same,
 * unless they are of a borrower's secret. */
struct derivation {
	struct job job;
	struct account *account;
	struct server *waiting;
	char *password;
	uint8_t salt[SCRAM_SALT_MAX], salt_len;
	uint32_t iterations;
	atomic_bool unwanted;                   /* nobody waits for it now */
	bool made;
	struct scram_keys keys;
};

static void try_address(struct server *s);

static void unlink_waiting(struct server **list, struct server *s)
{
	for (; *list; list = &(*list)->next_waiting)
		if (*list == s) {
			*list = s->next_waiting;
			return;
		}
}

void dial_free(struct server *s)
{
	struct dial *d = s->dial;

	if (!d)
		return;
	unlink_waiting(&s->node->unresolved, s);
	if (d->waits) {
		unlink_waiting(&d->waits->waiting, s);
		atomic_store(&d->waits->unwanted, !d->waits->waiting);
	}
	timer_stop(s->all->base->loop, &d->again);
	memory_wipe_text(d->secret);
	memory_wipe(d, sizeof *d);
	s->dial = NULL;
}

/* --- ways to fail -------------------------------------------------------- */

static void no_connection(struct server *s, enum refusal_kind kind, const char *why)
{
	char message[64];

	snprintf(message, sizeof message, "failed to create a backend %d connection", s->node->id);
	server_refused(s, &(struct refusal){ kind,
		{ "FATAL", "08006", message, why, NULL }, NULL, 0 });
}

static void node_trouble(struct server *s, const char *why)
{
	no_connection(s, REFUSED_NODE, why);
}

/* The trouble is with this login: the node works. */
static void login_trouble(struct server *s, const char *why)
{
	server_refused(s, &(struct refusal){ REFUSED_BACKEND,
		{ "FATAL", "28000", "failed to authenticate with backend", why, NULL }, NULL, 0 });
}

/* A role's or a database's CONNECTION LIMIT is told as a lack of connections, too, and so is the
 * limit of walsenders. */
static bool is_own_limit(const struct server *s, const uint8_t *body, size_t len)
{
	const char *routine = wire_field(body, len, 'R');

	if (s->start->replication)
		return true;
	return routine && (!strcmp(routine, "InitializeSessionUserId")
	                   || !strcmp(routine, "CheckMyDatabase"));
}

static const struct passwd_entry *entry_of(const struct server *s)
{
	return s->account->given ? s->account->given
		: entry_find(s->all->entries, s->account->user);
}

/* Why PostgreSQL may have refused what is not the client's mistake; "" if it told enough. */
static void whose_mistake(struct server *s, const char *code, char detail[static 280])
{
	const struct passwd_entry *e = entry_of(s);
	const struct dial *d = s->dial;

	*detail = '\0';
	if (d->fell_back && code && !strncmp(code, "28", 2))
		snprintf(detail, 280, "Node %d was asked in plain text, because TLS failed: %s.",
			s->node->id, d->secure.why);
	else if (code && !strcmp(code, "28P01") && !d->secret && !s->account->password && e)
		snprintf(detail, 280, "Node %d refuses the password that %s has for user"
			" \"%.63s\".", s->node->id, s->account->given ? "auth_query"
			: "pool_passwd", s->account->user);
}

/* PostgreSQL says no.  Starting up and shutting down are states of the node; any other error is
 * about this login. */
static void backend_says_no(struct server *s, const uint8_t *body, size_t len)
{
	const char *code = wire_field(body, len, 'C'), *text = wire_field(body, len, 'M');
	char why[160], detail[280];

	if (code && (!strcmp(code, "57P03") || !strcmp(code, "57P01") || !strcmp(code, "57P02"))) {
		snprintf(why, sizeof why, "%.120s (%s)", text ? text : "not ready", code);
		node_trouble(s, why);
		return;
	}
	whose_mistake(s, code, detail);
	if (code && !strcmp(code, "28P01") && !s->dial->secret) {
		account_set_password(s->account, NULL, 0);      /* proved once, wrong now */
		s->account->have_keys = false;
	}
	bool full = code && !strcmp(code, "53300") && !is_own_limit(s, body, len);
	bool whole = code && strlen(code) == 5 && text;         /* can be shown as it is */
	bool as_it_is = whole && !*detail;
	server_refused(s, &(struct refusal){ full ? REFUSED_FULL : REFUSED_BACKEND,
		{ "FATAL", whole ? code : "08006",
		text ? text : "login refused", *detail ? detail : NULL, NULL },
		as_it_is ? body : NULL, as_it_is ? len : 0 });
}

static void no_secret(struct server *s, const char *method)
{
	char message[80], hint[200];
	bool other = s->account->have_keys;     /* but of another verifier */

	snprintf(message, sizeof message, "failed to authenticate with backend using %s", method);
	snprintf(hint, sizeof hint, other
		? "Node %d lacks the verifier of user \"%.63s\" that the proxy has"
		" (pool_passwd or auth_query), or asks for %s."
		: "Node %d asks for the password of user \"%.63s\": pool_passwd needs an entry that"
		" works with %s.",
		s->node->id, s->account->user, method);
	server_refused(s, &(struct refusal){ REFUSED_SECRET,
		{ "FATAL", "28P01", message, "valid password not found", hint }, NULL, 0 });
}

/* --- passwords ----------------------------------------------------------- */

static const char *clear_password(const struct server *s)
{
	const struct passwd_entry *e;

	if (s->dial->secret)
		return s->dial->secret;
	if (s->account->password)
		return s->account->password;
	e = entry_of(s);
	return e && e->kind == PASSWD_CLEAR ? e->text : NULL;
}

static void say(struct server *s, char type, const void *body, size_t len)
{
	conn_put_message(s->all->base->net, &s->conn, type, body, len);
}

static void answer_clear(struct server *s)
{
	const char *password = clear_password(s);

	if (password)
		say(s, 'p', password, strlen(password) + 1);
	else
		no_secret(s, "clear text password");
}

static void answer_md5(struct server *s, struct msg *m)
{
	const char *password = clear_password(s);
	const struct passwd_entry *e = entry_of(s);
	char stored[36], out[36];

	if (m->end - m->at != 4) {
		node_trouble(s, "an md5 request without its salt");
		return;
	}
	if (password)
		md5_password(stored, password, strlen(password), s->account->user);
	else if (e && e->kind == PASSWD_MD5)
		memcpy(stored, e->text, 36);
	else {
		no_secret(s, "md5");
		return;
	}
	md5_answer(out, stored, m->at);
	say(s, 'p', out, sizeof out);
	explicit_bzero(stored, sizeof stored);
}

/* --- SCRAM --------------------------------------------------------------- */

static void scram_begin(struct server *s, struct msg *m)
{
	struct put o = net_build(s->all->base->net, SCRAM_OUT_MAX + 64);
	char first[SCRAM_OUT_MAX];
	uint8_t nonce[SCRAM_NONCE], bound[SCRAM_BINDING_MAX];
	size_t bound_len = s->conn.tls ? tls_end_point(s->conn.tls, bound) : 0;
	bool offered = false, plus = false;

	for (const char *name; *(name = msg_text(m)); ) {
		offered |= !strcmp(name, "SCRAM-SHA-256");
		plus |= !strcmp(name, "SCRAM-SHA-256-PLUS");
	}
	plus &= bound_len > 0;
	if (!offered && !plus) {
		login_trouble(s, "it offers no SASL mechanism that this program has");
		return;
	}
	if (!clear_password(s) && !s->account->have_keys) {
		no_secret(s, "SCRAM");
		return;
	}
	s->dial->doubtful = true;
	s->dial->scram = (struct scram_client){ 0 };
	int n = getrandom(nonce, sizeof nonce, 0) == sizeof nonce
	        ? scram_client_first(&s->dial->scram, first, sizeof first, nonce,
	                             bound_len ? bound : NULL, bound_len, plus) : -1;
	if (n < 0) {
		node_trouble(s, "no random numbers");
		return;
	}
	put_begin(&o, 'p');
	put_text(&o, plus ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256");
	put_u32(&o, (uint32_t)n);
	put_bytes(&o, first, (size_t)n);
	put_end(&o);
	conn_put(s->all->base->net, &s->conn, o.base, o.len);
}

static void scram_answer(struct server *s)
{
	char out[SCRAM_OUT_MAX];
	int n = scram_client_final(&s->dial->scram, out, sizeof out, &s->dial->keys);

	if (n < 0)
		node_trouble(s, "SCRAM failed");
	else
		say(s, 'p', out, (size_t)n);
}

static void derive(struct job *j)
{
	struct derivation *d = OWNER(j, struct derivation, job);

	d->made = !atomic_load(&d->unwanted);
	if (d->made)
		scram_derive(&d->keys, d->password, strlen(d->password), d->salt, d->salt_len,
			d->iterations);
}

/* A node may ask for so much that others must not wait behind it. */
static void derive_beside(struct derivation *d, const struct node *n)
{
	if (loop_job(n->all->base->loop, LANE_KEYS + (unsigned)n->id % KEY_LANES, &d->job) < 0) {
		d->job.work(&d->job);   /* no thread to be had: late is better than never */
		d->job.done(&d->job);
	}
}

static bool same_salt(const struct scram_client *c, const uint8_t *salt, size_t len,
                      uint32_t iterations)
{
	return c->salt_len == len && c->iterations == iterations && !memcmp(c->salt, salt, len);
}

static void remember_keys(struct account *a, const struct scram_client *c,
                          const struct scram_keys *k)
{
	account_set_keys(a, k, c->salt, c->salt_len, c->iterations);
}

static void derived(struct job *j)
{
	struct derivation *d = OWNER(j, struct derivation, job);
	struct net *net = NULL;

	if (!d->made && d->waiting) {           /* since then */
		derive_beside(d, d->waiting->node);
		return;
	}
	bool current = d->account->deriving == d;       /* no reload meanwhile */
	if (current)
		d->account->deriving = NULL;
	while (d->waiting) {
		struct server *s = d->waiting;
		d->waiting = s->next_waiting;
		s->dial->waits = NULL;
		s->dial->keys = d->keys;
		s->dial->have_keys = true;
		if (current)
			remember_keys(d->account, &s->dial->scram, &d->keys);
		net = s->all->base->net;
		scram_answer(s);
	}
	if (net)
		net_flush(net);
	account_drop(d->account);
	memory_wipe_text(d->password);
	memory_wipe(d, sizeof *d);
}

static void wait_for(struct server *s, struct derivation *d)
{
	s->next_waiting = d->waiting;
	d->waiting = s;
	s->dial->waits = d;
	atomic_store(&d->unwanted, false);
}

static void start_derivation(struct server *s)
{
	const struct scram_client *c = &s->dial->scram;
	struct derivation *d = calloc(1, sizeof *d);
	char *password = strdup(clear_password(s));

	if (!d || !password) {
		free(d);
		memory_wipe_text(password);
		node_trouble(s, "out of memory");
		return;
	}
	*d = (struct derivation){ .job = { .work = derive, .done = derived }, .account = s->account,
		.password = password, .salt_len = c->salt_len, .iterations = c->iterations };
	memcpy(d->salt, c->salt, c->salt_len);
	s->account->refs++;
	wait_for(s, d);
	if (!s->dial->secret && !s->account->deriving)
		s->account->deriving = d;
	derive_beside(d, s->node);
}

static void scram_challenge(struct server *s, struct msg *m)
{
	struct scram_client *c = &s->dial->scram;
	struct account *a = s->account;
	const char *why;

	if (scram_client_challenge(c, (const char *)m->at, (size_t)(m->end - m->at), &why) < 0) {
		login_trouble(s, why);
		return;
	}
	bool own = s->dial->secret != NULL;
	if (!own && a->have_keys && same_salt(c, a->salt, a->salt_len, a->iterations)) {
		s->dial->keys = a->keys;
		s->dial->have_keys = true;
		scram_answer(s);
	} else if (!own && a->deriving
	           && same_salt(c, a->deriving->salt, a->deriving->salt_len,
	                        a->deriving->iterations)) {
		wait_for(s, a->deriving);
	} else if (!clear_password(s)) {
		no_secret(s, "SCRAM");
	} else {
		start_derivation(s);
	}
}

static void scram_end(struct server *s, struct msg *m)
{
	const char *why;

	if (!s->dial->have_keys
	    || scram_client_verify(&s->dial->scram, (const char *)m->at,
	                           (size_t)(m->end - m->at), &s->dial->keys, &why) < 0)
		login_trouble(s, "it could not prove that it knows the password");
	else
		s->dial->doubtful = false;
}

/* --- login --------------------------------------------------------------- */

static void learn(struct server *s, enum demand demand)
{
	s->demand = demand;
	if (s->node != nodes_primary(s->all->nodes))
		return;                         /* a replica may trust where the primary asks */
	*profile_demanded(s->start) =
		(struct demanded){ demand, s->node->id, loop_now(s->all->base->loop) };
}

/* backend_require_auth: the log says all, the client hears little. */
static bool allowed(struct server *s, enum demand demand)
{
	static const struct { unsigned bit; const char *asks, *hint; } methods[] = {
		[DEMAND_NOTHING] = { AUTH_NONE, "does not ask",
			"Let its pg_hba.conf ask for scram-sha-256, or add none to"
			" backend_require_auth." },
		[DEMAND_CLEAR] = { AUTH_PASSWORD, "asks in clear text",
			"Let its pg_hba.conf ask for scram-sha-256; or set backend_sslmode ="
			" require (without TLS everybody on the way can read it), or add password"
			" to backend_require_auth." },
		[DEMAND_MD5] = { AUTH_MD5, "asks by md5",
			"Let its pg_hba.conf ask for scram-sha-256, or add md5 to"
			" backend_require_auth." },
		[DEMAND_SCRAM] = { AUTH_SCRAM, "asks by SCRAM",
			"Add scram-sha-256 to backend_require_auth." },
	};
	const struct conf_node *n = node_conf(s->node);
	bool safe = s->conn.tls || !*n->hostname || *n->hostname == '/';

	if (conf_allows(n, methods[demand].bit, safe))
		return true;
	log_write(s->all->base->log, NULL, LEVEL_ERROR, "backend_require_auth does not allow that",
		methods[demand].hint, "node %d (%s:%d) %s for the password of user \"%.63s\"",
		s->node->id, n->hostname, (int)n->port, methods[demand].asks, s->account->user);
	login_trouble(s, NULL);
	return false;
}

/* PostgreSQL's first word.  False: it is the last one, too. */
static bool demands(struct server *s, enum demand demand)
{
	if (s->demand != DEMAND_UNKNOWN) {
		login_trouble(s, "it asks for two authentications");
		return false;
	}
	if (!allowed(s, demand))
		return false;
	learn(s, demand);
	if (s->dial->look && demand != DEMAND_NOTHING)
		server_refused(s, &(struct refusal){ REFUSED_ASKED,
			{ "FATAL", "28000", "PostgreSQL said what it asks for", NULL, NULL },
			NULL, 0 });
	else if (s->dial->secret && demand == DEMAND_NOTHING)
		server_refused(s, &(struct refusal){ REFUSED_TRUSTED, { "FATAL", "28P01",
			"it did not ask for the password", NULL, NULL }, NULL, 0 });
	else
		return true;
	return false;
}

static void admitted(struct server *s)
{
	if (s->dial->doubtful)
		login_trouble(s, "it did not prove that it knows the password");
	else if (s->demand != DEMAND_UNKNOWN || demands(s, DEMAND_NOTHING))
		s->dial->welcome = true;
}

static void authentication(struct server *s, struct msg *m)
{
	if (s->trial && !s->trial->login) {
		server_tried(s, TRIAL_WORKS, "it was a trial");
		return;
	}
	uint32_t code = msg_u32(m);
	if (m->broken) {
		login_trouble(s, "its authentication request is malformed");
		return;
	}
	switch (code) {
	case 0:
		admitted(s);
		break;
	case 3:
		if (demands(s, DEMAND_CLEAR))
			answer_clear(s);
		break;
	case 5:
		if (demands(s, DEMAND_MD5))
			answer_md5(s, m);
		break;
	case 10:
		if (demands(s, DEMAND_SCRAM))
			scram_begin(s, m);
		break;
	case 11:
		scram_challenge(s, m);
		break;
	case 12:
		scram_end(s, m);
		break;
	default:
		login_trouble(s,
			"it asks for an authentication method that this program does not have");
	}
}

/* Welcomes come from the primary: a standby reports in_hot_standby and the like. */
static void parameter(struct server *s, struct msg *m)
{
	const char *name = msg_text(m), *value = msg_text(m);

	if (m->broken)
		return;
	if (!strcmp(name, "in_hot_standby"))
		s->dial->role = !strcmp(value, "on") ? ROLE_STANDBY : ROLE_PRIMARY;
	if (!strcmp(name, "application_name") && strlen(value) < sizeof s->began) {
		strcpy(s->began, value);
		strcpy(s->named, value);
		s->reports_name = true;
	}
	if (s->node == nodes_primary(s->all->nodes))
		s->dial->news |= profile_report(s->start, name, value) > 0 && s->start->welcomed;
}

static void key_data(struct server *s, struct msg *m)
{
	s->pid = msg_u32(m);
	size_t n = (size_t)(m->end - m->at);
	if (m->broken || n > sizeof s->key)
		return;
	memcpy(s->key, m->at, n);
	s->key_len = (uint16_t)n;
}

/* TLS was preferred and could not be had: the log says so once, until it can be had. */
static void tell_plain(struct server *s)
{
	const struct secure *x = &s->dial->secure;
	struct node *n = s->node;
	enum level level = s->dial->fell_back ? LEVEL_WARNING : LEVEL_LOG;

	if (*x->why && !n->plain)
		log_write(s->all->base->log, NULL, level, x->why,
			"backend_sslmode = require forbids that",
			"connections to node %d (%s:%d) are in plain text", n->id,
			node_conf(n)->hostname, (int)node_conf(n)->port);
	n->plain = *x->why;
}

static void logged_in(struct server *s)
{
	struct dial *d = s->dial;

	timer_stop(s->all->base->loop, &s->timer);
	/* The primary has asked for the secret (demands()), so this login proves it. */
	if (d->secret && s->node == nodes_primary(s->all->nodes)) {
		account_set_password(s->account, d->secret, loop_now(s->all->base->loop));
		if (d->have_keys)
			remember_keys(s->account, &d->scram, &d->keys);
	}
	if (d->role != ROLE_UNKNOWN)
		node_claims(s->node, d->role);
	tell_plain(s);
	if (d->news)
		server_told_news(s);
	if (s->node == nodes_primary(s->all->nodes))
		profile_is_welcomed(s->start);
	dial_free(s);
	server_ready(s);
}

static void login_message(struct server *s, struct msg *m)
{
	if (s->all->base->conf->log_backend_messages)
		server_log_message(s, m->type);
	bool early = !s->dial->welcome && strchr("SKZ", m->type);
	if (early || (m->type == 'R' && (s->dial->welcome || s->dial->waits))) {
		login_trouble(s, "its login messages are out of order");
		return;
	}
	switch (m->type) {
	case 'R':
		authentication(s, m);
		break;
	case 'E':
		backend_says_no(s, m->at, (size_t)(m->end - m->at));
		break;
	case 'S':
		parameter(s, m);
		break;
	case 'K':
		key_data(s, m);
		break;
	case 'Z':
		logged_in(s);
		break;
	case 'N': case 'v':
		break;          /* a notice (an expiring password, say); an older minor version */
	default:
		node_trouble(s, "it does not speak PostgreSQL's protocol");
	}
}

static void logging_in(struct watch *w, short revents)
{
	struct server *s = OWNER(w, struct server, conn.watch);
	struct net *net = s->all->base->net;
	uint8_t *p;
	struct msg m;

	if (revents & POLLOUT)
		conn_drain(net, &s->conn);
	if (!(revents & ~POLLOUT))
		return;
	long n = conn_fill(net, &s->conn, &p);
	if (n < 0) {
		const char *why = conn_error(&s->conn);
		node_trouble(s, why ? why : "it closed the connection during login");
	}
	for (long used; n > 0 && s->phase == LOGIN; p += used, n -= used) {
		used = wire_next(&m, p, (size_t)n, LOGIN_MESSAGE_MAX);
		if (used == WIRE_MORE && conn_keep(&s->conn, p, (size_t)n) == 0)
			break;
		if (used <= 0) {
			node_trouble(s, "it does not speak PostgreSQL's protocol");
			break;
		}
		login_message(s, &m);
	}
	if (n > 0 && s->phase > LOGIN && s->phase != GONE)
		server_replies(s, p, (size_t)n);        /* news behind ReadyForQuery, or rubbish */
	net_flush(net);
}

static void took_too_long(struct timer *t)
{
	struct server *s = OWNER(t, struct server, timer);
	struct net *net = s->all->base->net;

	node_trouble(s, s->phase == LOGIN ? "login took too long"
		: s->dial->secure.shaking ? "the TLS handshake took too long"
		: "connect_timeout was reached");
	net_flush(net);
}

static void send_startup(struct server *s)
{
	const struct profile *p = s->start;
	struct put o = net_build(s->all->base->net, WIRE_STARTUP_MAX + 256);

	if (profile_value(p, "user") || profile_value(p, "database")) {
		login_trouble(s, "its parameters name another user or database");
		return;
	}
	put_begin(&o, 0);
	put_u32(&o, WIRE_V3_0);
	put_text(&o, "user");
	put_text(&o, s->account->user);
	put_text(&o, "database");
	put_text(&o, s->account->database);
	put_bytes(&o, p->params, p->len);
	put_byte(&o, 0);
	put_end(&o);
	server_enter(s, LOGIN);
	s->conn.watch.ready = logging_in;
	timer_set(s->all->base->loop, &s->timer, LOGIN_TIMEOUT);
	conn_put(s->all->base->net, &s->conn, o.base, o.len);
}

/* --- connecting ---------------------------------------------------------- */

static void next_address(struct server *s, int error)
{
	conn_close(s->all->base->net, &s->conn);
	if ((error == EMFILE || error == ENFILE) && !s->trial)
		server_refused(s, &(struct refusal){ REFUSED_FULL, { "FATAL", "53300",
			"all file descriptors of the proxy are in use", NULL, NULL }, NULL, 0 });
	else if (s->dial->tried < s->node->naddresses)
		try_address(s);
	else
		node_trouble(s, strerror(error));
}

/* --- from a connection to the startup packet ----------------------------- */

static void connected(struct watch *w, short revents);

static void connect_to(struct server *s, struct address a)
{
	int fd = secure_connect(s->all->base->conf, &a.at, a.len);

	if (fd < 0 && errno == EAGAIN) {
		timer_set(s->all->base->loop, &s->dial->again, QUEUE_FULL);
		return;
	}
	s->dial->tried++;
	s->dial->address = a;
	if (fd < 0)
		next_address(s, errno);
	else if (conn_open(s->all->base->net, &s->conn, fd, POLLOUT, connected, NET_NODE) < 0)
		node_trouble(s, "out of memory");
}

/* On a new connection to the same address. */
static void again_in_plain_text(struct server *s)
{
	struct dial *d = s->dial;

	conn_close(s->all->base->net, &s->conn);
	d->secure.mode = SSLMODE_DISABLE;
	d->secure.shaking = false;
	d->fell_back = true;
	d->tried--;
	connect_to(s, d->address);
}

static void secured(struct server *s, enum secured how)
{
	const char *why = s->dial->secure.why;
	enum sslmode mode = s->dial->secure.mode;

	switch (how) {
	case SECURE_MORE:
		break;
	case SECURE_DONE:
		if (s->conn.tls) {      /* its cancel requests must be as secure */
			s->secured.mode = mode == SSLMODE_PREFER ? SSLMODE_REQUIRE : mode;
			s->secured.tls = tls_context_hold(s->all->base->tls);
			s->secured.host = strdup(s->dial->secure.host);
			s->secured.direct = s->dial->secure.direct;
		}
		send_startup(s);
		break;
	case SECURE_NOT:
		again_in_plain_text(s);
		break;
	case SECURE_BROKEN:
		node_trouble(s, why);
		break;
	case SECURE_UNSAFE:
		no_connection(s, REFUSED_UNSAFE, why);
	}
}

static void securing(struct watch *w, short revents)
{
	struct server *s = OWNER(w, struct server, conn.watch);
	struct net *net = s->all->base->net;

	if (revents & POLLOUT)
		conn_drain(net, &s->conn);
	if (revents & ~POLLOUT)
		secured(s, secure_go_on(&s->dial->secure, net, &s->conn));
	net_flush(net);
}

static void connected(struct watch *w, short revents)
{
	struct server *s = OWNER(w, struct server, conn.watch);
	struct net *net = s->all->base->net;
	int error = 0;
	socklen_t len = sizeof error;

	(void)revents;
	getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		next_address(s, error);
	} else {
		watch_want(s->all->base->loop, w, POLLIN);
		w->ready = securing;
		if (!node_conf(s->node)->connect_timeout)
			timer_set(s->all->base->loop, &s->timer, LOGIN_TIMEOUT);
		secured(s, secure_begin(&s->dial->secure, net, &s->conn));
	}
	net_flush(net);
}

static void try_address(struct server *s)
{
	const struct address *a = node_address(s->node);

	if (!a && !s->node->look_up) {
		char why[sizeof s->node->why];
		snprintf(why, sizeof why, "%s", *s->node->why ? s->node->why
			: "no thread to look up its name");
		node_trouble(s, why);
		return;
	}
	if (!a) {
		server_enter(s, RESOLVE);
		s->next_waiting = s->node->unresolved;
		s->node->unresolved = s;
		return;
	}
	server_enter(s, CONNECT);
	connect_to(s, *a);
}

static void once_more(struct timer *t)
{
	struct server *s = OWNER(t, struct dial, again)->server;

	try_address(s);
	net_flush(s->all->base->net);
}

void dial_resume(struct node *n)
{
	struct server *list = n->unresolved;

	n->unresolved = NULL;
	while (list) {
		struct server *s = list;
		list = s->next_waiting;
		try_address(s);
	}
}

void dial_start(struct server *s, const struct borrower *b)
{
	int64_t patience = node_conf(s->node)->connect_timeout;
	const char *secret = b ? b->secret : NULL;

	s->timer.fire = took_too_long;
	s->dial = calloc(1, sizeof *s->dial);
	if (s->dial) {
		s->dial->server = s;
		s->dial->again.fire = once_more;
		s->dial->secret = secret ? strdup(secret) : NULL;
		s->dial->look = b && b->look;
		secure_prepare(&s->dial->secure, s->all->base, node_conf(s->node),
			conf_sslmode(s->all->base->conf, node_conf(s->node)));
	}
	if (!s->dial || (secret && !s->dial->secret)) {
		node_trouble(s, "out of memory");
		return;
	}
	if (patience)
		timer_set(s->all->base->loop, &s->timer, patience);
	try_address(s);
}
