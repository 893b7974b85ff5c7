#include "client/login.h"

#include "client/peer.h"
#include "md5.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { DEMAND_COUNTS = 30000 };                 /* ms until one login looks again */

/* Whom the login has asked, and for what. */
enum step {
	ASK_DEMAND,             /* PostgreSQL: its demand on this account */
	ASK_ENTRY,              /* PostgreSQL: this user's password, by auth_query */
	ASK_CLEAR,              /* the client: its password */
	ASK_MD5,
	ASK_SASL_FIRST, ASK_SASL_FINAL,
	ASK_HOST,               /* the name servers: the client's name, for a rule */
	ASK_KEYS,               /* a helper thread: the verifier */
	ASK_PROOF,              /* PostgreSQL: whether this password is right */
	ASK_WELCOME,            /* PostgreSQL: a server with this profile */
};

struct login {
	enum step step, asked;                  /* now; and of the client, last */
	struct client *client;
	int line;                       /* of the rule in pool_hba.conf, or 0 */
	bool trusted;                   /* by the rule: no password is asked for, */
	bool certified;                 /* but a certificate */
	uint8_t salt[4];
	bool again;                     /* its answer did not fit: compared with a new entry */
	char *answer;                   /* clear text or md5, to be proved or compared; wiped */
	struct server *server;
	struct peer_name *naming;
	char *host;                     /* the client's name, "" for none; NULL: not looked up */
	struct entry_wait entry;
	struct verifier_wait keys;
	struct comparison *comparison;
	struct scram_server *scram;             /* of an exchange that has begun: 4 KB */
	struct scram_verifier verifier;
};

/* A clear text password against a verifier: a helper thread derives its keys. */
struct comparison {
	struct job job;
	struct login *login;                    /* NULL: it has left */
	struct scram_verifier verifier;
	struct scram_keys keys;
	size_t len;
	char password[];
};

static int welcome(struct client *c);
static int by_demand(struct client *c);
static int by_rule(struct client *c);
static int by_certificate(struct client *c);
static int decide(struct client *c);
static bool know_entry(struct client *c);
static int compare(struct client *c);

static struct account *account(const struct client *c)
{
	return c->borrower.profile->account;
}

/* PostgreSQL's demand on logins like this one. */
static struct demanded *demanded(const struct client *c)
{
	return profile_demanded(c->borrower.profile);
}

/* Another node may ask for something else. */
static bool demand_is_known(const struct client *c)
{
	const struct demanded *d = demanded(c);

	return d->demand != DEMAND_UNKNOWN && d->node == nodes_primary(c->all->servers->nodes)->id;
}

static const struct passwd_entry *entry(const struct client *c)
{
	return entry_find(c->all->servers->entries, account(c)->user);
}

/* The one writer of the step. */
static void await(struct client *c, enum step step)
{
	c->login->step = step;
	client_owes(c, step >= ASK_CLEAR && step <= ASK_SASL_FINAL);
}

/* --- requests to the client, and refusals -------------------------------- */

static int ask(struct client *c, enum step step, uint32_t code, const void *data, size_t n)
{
	struct put o = net_build(c->all->base->net, n + 16);

	put_begin(&o, 'R');
	put_u32(&o, code);
	put_bytes(&o, data, n);
	put_end(&o);
	client_say(c, &o);
	await(c, step);
	c->login->asked = step;
	if (conn_kept(&c->conn))
		client_resume(c);
	return 0;
}

/* Why the password is wrong, for the log. */
static const char *fault(const struct client *c, const struct passwd_entry *e)
{
	if (!e)
		return *c->all->base->conf->auth_user
		       ? "neither pool_passwd nor auth_query has a valid entry for this user"
		       : "pool_passwd file does not contain an entry for this user";
	switch (e->kind) {
	case PASSWD_AES:
		return "the user's entry in pool_passwd cannot be decrypted: check the key file";
	case PASSWD_MD5:
		return c->login->asked == ASK_SASL_FINAL
		       ? "SCRAM does not work with an md5 entry"
		       : "the password does not match the md5 entry";
	case PASSWD_SCRAM:
		return c->login->asked == ASK_MD5
		       ? "md5 does not work with a SCRAM verifier"
		       : "the password does not match the verifier";
	default:
		return "the password does not match the entry";
	}
}

static int not_proved(struct client *c, const char *what)
{
	char text[128], why[400], rule[40] = "";

	if (c->login->line)
		snprintf(rule, sizeof rule, "pool_hba.conf line %d: ", c->login->line);
	snprintf(why, sizeof why, "%s%s", rule, what);
	snprintf(text, sizeof text, "password authentication failed for user \"%.80s\"",
		account(c)->user);
	return client_deny(c, "28P01", text, why);
}

/* auth_query's answer may be old: asks again, and compares again.  SCRAM began with the old entry,
 * so only the next login can use a new one. */
static int wrong_password(struct client *c)
{
	struct login *l = c->login;

	bool old = !l->again && entry_doubt(c->all->servers->entries, account(c)->user, c->since);
	if (!old || l->asked == ASK_SASL_FINAL)
		return not_proved(c, fault(c, entry(c)));
	l->again = true;
	return know_entry(c) ? compare(c) : 0;
}

/* A node that trusts the proxy would let anybody in. */
static int trusted(struct client *c)
{
	return not_proved(c, "the user has no entry, and PostgreSQL did not ask for the password,"
		" so nothing proves it: add an entry to pool_passwd, or make the node's pg_hba.conf"
		" ask the proxy for passwords");
}

static int no_entry(struct client *c, const char *method)
{
	char text[80], hint[256];

	snprintf(text, sizeof text, "failed to authenticate with backend using %s", method);
	snprintf(hint, sizeof hint, "User \"%.63s\" needs an entry in pool_passwd that works with"
		" %s (or %s_USERNAME and %s_PASSWORD variables), or set"
		" allow_clear_text_frontend_auth.",
		account(c)->user, method, "<PREFIX>", "<PREFIX>");
	return client_refuse(c, "28P01", text, "valid password not found", hint);
}

static int bad_packet(struct client *c, const char *why)
{
	return client_refuse(c, "08P01", why, NULL, NULL);
}

/* --- the end: ready ------------------------------------------------------ */

static void key_data(struct client *c, struct put *o)
{
	put_begin(o, 'K');
	put_u32(o, c->pid);
	put_bytes(o, c->key, c->key_len);
	put_end(o);
}

static int ready(struct client *c)
{
	struct profile *p = c->borrower.profile;
	struct clients *all = c->all;

	if (getrandom(c->key, c->key_len, 0) != c->key_len)
		return client_refuse(c, "58000", "no random numbers", NULL, NULL);
	struct put o = net_build(all->base->net, 128 + p->welcome_len);
	if (!o.base || o.cap > NET_BUILD)
		return client_out_of_memory(c);
	put_begin(&o, 'R');
	put_u32(&o, 0);
	put_end(&o);
	put_bytes(&o, p->welcome, p->welcome_len);
	key_data(c, &o);
	put_ready(&o, 'I');
	client_say(c, &o);
	struct server *s = c->login->server;
	c->login->server = NULL;
	if (s && !all->base->conf->connection_cache) {
		client_attach(c, s);            /* its one session begins */
	} else if (s) {
		server_return(s);
	}
	login_free(c);
	client_enter(c, AT_READY);
	client_resume(c);
	return 0;
}

/* --- with PostgreSQL's help ---------------------------------------------- */

static int borrow(struct client *c, enum step step)
{
	struct servers *servers = c->all->servers;

	await(c, step);
	c->borrower.secret = step == ASK_PROOF ? c->login->answer : NULL;
	c->borrower.look = step == ASK_DEMAND;
	struct server *s = server_borrow(servers, &c->borrower, nodes_primary(servers->nodes),
		true);
	if (s)
		login_lent(c, s);
	return 0;
}

/* Has it proved who it is, or need not? */
static bool is_known(const struct client *c)
{
	return c->login->line || c->login->asked;
}

static int welcome(struct client *c)
{
	if (c->borrower.profile->welcomed && c->all->base->conf->connection_cache)
		return ready(c);
	c->borrower.brief = is_known(c);
	return borrow(c, ASK_WELCOME);
}

static void give_back(struct client *c)
{
	struct server *s = c->login->server;

	c->login->server = NULL;
	if (s)
		server_return(s);
}

void login_eased(struct client *c)
{
	struct server *s = c->login->server;

	if (!s || s->head)
		return;
	switch (c->login->step) {
	case ASK_DEMAND:
		give_back(c);
		by_demand(c);
		break;
	case ASK_PROOF: case ASK_WELCOME:
		profile_is_welcomed(c->borrower.profile);
		ready(c);
		break;
	default:
		give_back(c);
	}
}

/* A login may reveal that the node is not the primary after all. */
void login_lent(struct client *c, struct server *s)
{
	if (s->node != nodes_primary(s->all->nodes)) {
		server_return(s);
		borrow(c, c->login->step);
		return;
	}
	c->borrower.brief = false;
	c->login->server = s;
	login_eased(c);
}

/* PostgreSQL could not be asked: that has nothing to do with who the client is. */
static bool no_answer(const struct refusal *r)
{
	return r->kind == REFUSED_NODE || r->kind == REFUSED_FULL
	       || !strcmp(r->report.sqlstate, "53300");
}

/* Is it known who the client is, and only the welcome not?  Then it is let in with what is known of
 * others: the proxy's own statements need no server, and tell what is wrong. */
static bool is_guessed(struct client *c, const struct refusal *r)
{
	const struct login *l = c->login;

	return l->step == ASK_WELCOME && is_known(c) && no_answer(r)
	       && profile_guess_welcome(c->borrower.profile);
}

/* A look that got no answer changes nothing: the old demand counts for longer, so that clients of
 * known accounts can log in while the node is down or full.  But not a demand of nothing, which
 * would let anybody in. */
void login_refused(struct client *c, const struct refusal *r)
{
	bool looked = c->login->step == ASK_DEMAND, brief = c->borrower.brief;

	c->login->server = NULL;
	c->borrower.brief = false;
	if (r->kind == REFUSED_ASKED && demand_is_known(c)) {
		by_demand(c);
	} else if (r->kind == REFUSED_TRUSTED) {
		trusted(c);
	} else if (r->kind == REFUSED_OTHER_PRIMARY || r->kind == REFUSED_ASKED) {
		borrow(c, c->login->step);
	} else if (looked && demand_is_known(c) && demanded(c)->demand != DEMAND_NOTHING
	           && no_answer(r)) {
		demanded(c)->at = loop_now(c->all->base->loop);
		by_demand(c);
	} else if (is_guessed(c, r)) {
		c->guessed = true;
		ready(c);
	} else if (brief && r->kind == REFUSED_FULL) {
		borrow(c, c->login->step);      /* nothing is known of anybody */
	} else {
		if (looked)
			demanded(c)->demand = DEMAND_UNKNOWN;
		client_refused(c, r);
	}
}

/* --- SCRAM --------------------------------------------------------------- */

/* The data that bind SCRAM to the client's connection: tls-server-end-point; 0 without TLS. */
static size_t channel(const struct client *c, uint8_t to[static SCRAM_BINDING_MAX])
{
	return c->conn.tls ? tls_end_point(c->conn.tls, to) : 0;
}

static int begin_sasl(struct client *c)
{
	static const char mechanisms[] = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0";
	uint8_t bound[SCRAM_BINDING_MAX];
	size_t skip = channel(c, bound) ? 0 : strlen(mechanisms) + 1;

	return ask(c, ASK_SASL_FIRST, 10, mechanisms + skip, sizeof mechanisms - skip);
}

static void verifier_made(struct verifier_wait *w, const struct scram_verifier *v)
{
	struct client *c = OWNER(w, struct login, keys)->client;
	struct net *net = c->all->base->net;

	if (v) {
		c->login->verifier = *v;
		begin_sasl(c);
	} else {
		decide(c);
	}
	net_flush(net);
}

/* The verifier is the entry, or is made from it; unknown users get one that looks the same. */
static int start_sasl(struct client *c, const struct passwd_entry *e)
{
	struct scram_verifier *v = &c->login->verifier;

	if (e && e->kind == PASSWD_CLEAR) {
		await(c, ASK_KEYS);
		c->login->keys.made = verifier_made;
		const struct scram_verifier *made =
			verifier_ask(c->all->verifiers, e, &c->login->keys);
		if (!made)
			return 0;
		*v = *made;
	} else if (!e || e->kind != PASSWD_SCRAM || scram_verifier_parse(v, e->text) < 0) {
		scram_verifier_mock(v, c->all->mock, account(c)->user);
	}
	return begin_sasl(c);
}

/* Somebody in between, or a malformed message. */
static int bad_scram(struct client *c, int result, const char *why)
{
	return client_refuse(c, result == -3 ? "28000" : "08P01", why, NULL, NULL);
}

static int sasl_first(struct client *c, struct msg *m)
{
	struct login *l = c->login;
	const char *mechanism = msg_text(m), *why = "";
	uint32_t len = msg_u32(m);
	char out[SCRAM_OUT_MAX];
	uint8_t nonce[SCRAM_NONCE], bound[SCRAM_BINDING_MAX];
	size_t bound_len = channel(c, bound);
	bool plus = bound_len && !strcmp(mechanism, "SCRAM-SHA-256-PLUS");

	if (m->broken || len != (size_t)(m->end - m->at))
		return bad_packet(c, "malformed SASLInitialResponse");
	if (!plus && strcmp(mechanism, "SCRAM-SHA-256"))
		return bad_packet(c, "client selected an invalid SASL authentication mechanism");
	if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce)
		return client_refuse(c, "58000", "no random numbers", NULL, NULL);
	if (!(l->scram = calloc(1, sizeof *l->scram)))
		return client_out_of_memory(c);
	int n = scram_server_first(l->scram, out, sizeof out, (const char *)m->at, len,
		&l->verifier, nonce, bound_len ? bound : NULL, bound_len, plus, &why);
	if (n < 0)
		return bad_scram(c, n, why);
	return ask(c, ASK_SASL_FINAL, 11, out, (size_t)n);
}

static int sasl_final(struct client *c, struct msg *m)
{
	struct login *l = c->login;
	const char *why = "";
	char out[SCRAM_OUT_MAX];
	struct scram_keys keys;

	int n = scram_server_final(l->scram, out, sizeof out, (const char *)m->at,
		(size_t)(m->end - m->at), &l->verifier, keys.client_key, &why);
	if (n >= 0 && entry(c) && entry(c)->kind == PASSWD_SCRAM) {
		memcpy(keys.server_key, l->verifier.server_key, SCRAM_KEY);
		account_set_keys(account(c), &keys, l->verifier.salt, l->verifier.salt_len,
			l->verifier.iterations);
	}
	explicit_bzero(&keys, sizeof keys);
	if (n == -2)
		return wrong_password(c);
	if (n < 0)
		return bad_scram(c, n, why);
	ask(c, ASK_SASL_FINAL, 12, out, (size_t)n);
	return welcome(c);
}

/* --- clear text and md5 -------------------------------------------------- */

static int start_md5(struct client *c)
{
	struct login *l = c->login;

	if (getrandom(l->salt, sizeof l->salt, 0) != sizeof l->salt)
		return client_refuse(c, "58000", "no random numbers", NULL, NULL);
	return ask(c, ASK_MD5, 5, l->salt, sizeof l->salt);
}

static int compare_md5(struct client *c)
{
	const struct passwd_entry *e = entry(c);

	if (!e || !passwd_check_md5(e, c->login->salt, c->login->answer))
		return wrong_password(c);
	return welcome(c);
}

/* The answer fits the entry.  PostgreSQL may want more than the entry has: the password itself. */
static int fits(struct client *c)
{
	const struct passwd_entry *e = entry(c);

	if (!e || e->kind != PASSWD_CLEAR)
		account_set_password(account(c), c->login->answer, 0);
	return welcome(c);
}

static int prove(struct client *c)
{
	if (account_knows(account(c), c->login->answer, loop_now(c->all->base->loop)))
		return welcome(c);
	return borrow(c, ASK_PROOF);
}

static void derive_keys(struct job *j)
{
	struct comparison *k = OWNER(j, struct comparison, job);

	scram_derive(&k->keys, k->password, k->len, k->verifier.salt, k->verifier.salt_len,
		k->verifier.iterations);
}

static void compare_keys(struct job *j)
{
	struct comparison *k = OWNER(j, struct comparison, job);
	const struct scram_verifier *v = &k->verifier;
	struct client *c = k->login ? k->login->client : NULL;
	struct net *net = c ? c->all->base->net : NULL;

	if (c) {
		c->login->comparison = NULL;
		if (v->mock || !scram_keys_fit(&k->keys, v)) {
			wrong_password(c);
		} else {
			account_set_keys(account(c), &k->keys, v->salt, v->salt_len, v->iterations);
			fits(c);
		}
		net_flush(net);
	}
	memory_wipe(k, sizeof *k + k->len);
}

/* Compares the password with the verifier.  Without one it takes as long, and fails. */
static int start_comparison(struct client *c, const struct passwd_entry *e)
{
	const char *password = c->login->answer;
	size_t len = strlen(password);
	struct comparison *k = calloc(1, sizeof *k + len + 1);

	if (!k)
		return client_out_of_memory(c);
	k->job.work = derive_keys;
	k->job.done = compare_keys;
	k->login = c->login;
	k->len = len;
	memcpy(k->password, password, len);
	if (!e || e->kind != PASSWD_SCRAM || scram_verifier_parse(&k->verifier, e->text) < 0)
		scram_verifier_mock(&k->verifier, c->all->mock, account(c)->user);
	await(c, ASK_KEYS);
	c->login->comparison = k;
	if (loop_job(c->all->base->loop, LANE_CHECKS, &k->job) < 0) {
		derive_keys(&k->job);   /* no thread to be had: late is better than never */
		compare_keys(&k->job);
	}
	return 0;
}

/* The time that a refusal takes does not tell which kind of entry there is, or whether there is
 * one. */
static int compare_clear(struct client *c)
{
	const struct passwd_entry *e = entry(c);
	const char *password = c->login->answer;

	if (e ? e->kind == PASSWD_AES : !*c->all->base->conf->auth_user)
		return prove(c);
	return e && passwd_check_clear(e, password, strlen(password)) ? fits(c)
	                                                              : start_comparison(c, e);
}

static int compare(struct client *c)
{
	return c->login->asked == ASK_MD5 ? compare_md5(c) : compare_clear(c);
}

static int answered(struct client *c, struct msg *m)
{
	const char *answer = msg_text(m);

	if (m->broken)
		return bad_packet(c, "malformed PasswordMessage");
	if (!*answer && c->login->step == ASK_CLEAR)
		return client_refuse(c, "28P01", "empty password returned by client", NULL, NULL);
	if (!(c->login->answer = strdup(answer)))
		return client_out_of_memory(c);
	return compare(c);
}

static int password_message(struct client *c, struct msg *m)
{
	switch (c->login->step) {
	case ASK_CLEAR: case ASK_MD5:
		return answered(c, m);
	case ASK_SASL_FIRST:
		return sasl_first(c, m);
	case ASK_SASL_FINAL:
		return sasl_final(c, m);
	default:
		return bad_packet(c, "unexpected password message");
	}
}

/* --- which exchange ------------------------------------------------------ */

int login_start(struct client *c)
{
	if (!(c->login = calloc(1, sizeof *c->login)))
		return client_out_of_memory(c);
	c->login->client = c;
	return decide(c);
}

static int decide(struct client *c)
{
	return c->all->base->conf->enable_pool_hba ? by_rule(c) : by_demand(c);
}

static void entry_answered(struct entry_wait *w, const char *why)
{
	struct client *c = OWNER(w, struct login, entry)->client;

	if (why && c->login->again)
		not_proved(c, fault(c, entry(c)));
	else if (c->login->again)
		compare(c);
	else if (why && c->login->trusted)
		c->login->certified ? by_certificate(c) : welcome(c);
	else if (why)
		client_deny(c, "58000", "the password of the user could not be looked up", why);
	else
		decide(c);
}

/* False: it is asked for, and decide() comes again. */
static bool know_entry(struct client *c)
{
	c->login->entry.answered = entry_answered;
	await(c, ASK_ENTRY);
	return entry_ask(c->all->servers->entries, account(c)->user, &c->login->entry);
}

/* One login looks again, while others go on with the old demand.  If that was nothing, no login
 * goes on: from now on there may be a demand. */
static bool demand_is_old(struct client *c)
{
	int64_t now = loop_now(c->all->base->loop);
	const struct node *n = nodes_primary(c->all->servers->nodes);

	if (now - demanded(c)->at < DEMAND_COUNTS)
		return false;
	if (demanded(c)->demand == DEMAND_NOTHING)
		return true;
	if (n->state == NODE_DOWN)
		return false;
	demanded(c)->at = now;
	return true;
}

/* Without pool_hba.conf: as PostgreSQL asks us, we ask the client. */
static int by_demand(struct client *c)
{
	const struct passwd_entry *e;
	bool hidden;                    /* there is no such user, and the client must not see it */
	bool clear = c->all->base->conf->allow_clear_text_frontend_auth;
	enum demand demand = demanded(c)->demand;

	if (!demand_is_known(c) || demand_is_old(c))
		return borrow(c, ASK_DEMAND);
	if (demand != DEMAND_NOTHING && !know_entry(c))
		return 0;
	e = entry(c);
	hidden = !e && *c->all->base->conf->auth_user && !clear;
	switch (demand) {
	case DEMAND_NOTHING:
		return welcome(c);
	case DEMAND_CLEAR:
		return ask(c, ASK_CLEAR, 3, NULL, 0);
	case DEMAND_MD5:
		if (hidden || (e && (e->kind == PASSWD_CLEAR || e->kind == PASSWD_MD5)))
			return start_md5(c);
		return clear ? ask(c, ASK_CLEAR, 3, NULL, 0) : no_entry(c, "md5");
	case DEMAND_SCRAM:
		if (hidden || (e && (e->kind == PASSWD_CLEAR || e->kind == PASSWD_SCRAM)))
			return start_sasl(c, e);
		return clear ? ask(c, ASK_CLEAR, 3, NULL, 0) : no_entry(c, "SCRAM");
	default:
		return start_sasl(c, NULL);     /* not reached; lets nobody in */
	}
}

static void peer_address(const struct client *c, struct sockaddr_storage *to)
{
	*to = (struct sockaddr_storage){ .ss_family = c->family };
	if (c->family == AF_INET)
		memcpy(&((struct sockaddr_in *)to)->sin_addr, c->address, 4);
	else if (c->family == AF_INET6)
		memcpy(&((struct sockaddr_in6 *)to)->sin6_addr, c->address, 16);
}

static int not_allowed(struct client *c)
{
	char host[INET6_ADDRSTRLEN], port[8], detail[512];

	client_peer(c, host, sizeof host, port, sizeof port);
	if (!c->all->base->hba)
		snprintf(detail, sizeof detail, "missing or erroneous pool_hba.conf file");
	else
		snprintf(detail, sizeof detail, "no pool_hba.conf entry for host \"%s\","
			" user \"%.63s\", database \"%.63s\", SSL %s", host, account(c)->user,
			account(c)->database, c->conn.tls ? "on" : "off");
	return client_refuse(c, "28000", "client authentication failed", detail,
		"see pgpool log for details");
}

static void host_told(void *ctx, const char *name, bool confirmed)
{
	struct client *c = ctx;
	struct net *net = c->all->base->net;

	c->login->naming = NULL;
	if (!(c->login->host = strdup(confirmed ? name : "")))
		client_out_of_memory(c);
	else
		decide(c);
	net_flush(net);
}

static int ask_host(struct client *c, const struct sockaddr_storage *peer)
{
	await(c, ASK_HOST);
	c->login->naming = peer_look_up(c->all->base->loop, peer, host_told, c);
	return c->login->naming ? 0 : client_out_of_memory(c);
}

/* If there is a certificate, the handshake has verified it. */
static int by_certificate(struct client *c)
{
	const char *name = tls_common_name(c->conn.tls), *user = account(c)->user;
	char text[128], why[400];

	if (!name)
		return client_refuse(c, "28000", "connection requires a valid client certificate",
			NULL, NULL);
	if (strcmp(name, user)) {
		snprintf(text, sizeof text, "certificate authentication failed for user \"%.80s\"",
			user);
		snprintf(why, sizeof why, "the common name of its certificate is \"%.256s\"", name);
		return client_deny(c, "28000", text, why);
	}
	log_write(c->all->base->log, &c->who, LEVEL_LOG, NULL, NULL,
		"SSL certificate authentication for user \"%s\" with Pgpool-II is successful",
		user);
	return welcome(c);
}

static int by_rule(struct client *c)
{
	struct sockaddr_storage peer;
	char text[128];

	peer_address(c, &peer);
	const struct hba_rule *rule = NULL;
	const struct hba_query query = { .peer = (const struct sockaddr *)&peer,
		.tls = c->conn.tls, .database = account(c)->database, .user = account(c)->user,
		.host = c->login->host };
	if (c->all->base->hba && hba_find(c->all->base->hba, &query, &rule) == HBA_NEEDS_HOST)
		return ask_host(c, &peer);
	if (rule && rule->method == HBA_REJECT)
		log_write(c->all->base->log, &c->who, LEVEL_LOG, NULL, NULL,
			"pool_hba.conf line %d rejects the client", rule->line);
	if (!rule || rule->method == HBA_REJECT)
		return not_allowed(c);
	c->login->line = rule->line;
	c->login->certified = rule->method == HBA_CERT;
	c->login->trusted = rule->method == HBA_TRUST || c->login->certified;
	if (!know_entry(c))
		return 0;
	switch (rule->method) {
	case HBA_TRUST:
		return welcome(c);
	case HBA_CERT:
		return by_certificate(c);
	case HBA_PASSWORD:
		return ask(c, ASK_CLEAR, 3, NULL, 0);
	case HBA_MD5:
		return start_md5(c);
	case HBA_SCRAM:
		return start_sasl(c, entry(c));
	default:
		snprintf(text, sizeof text, "authentication method \"%s\" (pool_hba.conf line %d)"
			" is not supported", hba_method_name(rule->method), rule->line);
		return client_refuse(c, "28000", text, NULL, NULL);
	}
}

/* --- input --------------------------------------------------------------- */

/* The message is refused by its header: nothing of it is kept. */
static int too_long(struct client *c, size_t max)
{
	char hint[80];

	snprintf(hint, sizeof hint, "A password or token may have up to %zu bytes here.",
		max - WIRE_HEADER);
	return client_refuse(c, "08P01", "invalid length of password message", NULL,
		c->login->step == ASK_CLEAR ? hint : NULL);
}

/* One message; returns its length, 0 for more, -1. */
long login_message(struct client *c, uint8_t *p, size_t n)
{
	size_t max = c->login->step == ASK_CLEAR ? WIRE_PASSWORD_MAX : WIRE_SASL_MAX;
	struct msg m;

	if (n && *p != 'p' && *p != 'X')
		return bad_packet(c, "expected a password message");
	long len = wire_next(&m, p, n, max + 1);        /* these count without the type */
	if (len == WIRE_BAD)
		return too_long(c, max);
	if (len > 0 && *p == 'X')
		client_leave(c);
	else if (len > 0)
		password_message(c, &m);
	return len;
}

bool login_awaits(const struct client *c)
{
	return c->login->step >= ASK_CLEAR && c->login->step <= ASK_SASL_FINAL;
}

void login_free(struct client *c)
{
	struct login *l = c->login;

	if (!l)
		return;
	verifier_unask(&l->keys);
	if (l->comparison)
		l->comparison->login = NULL;
	entry_unask(&l->entry);
	peer_forget(l->naming);
	free(l->host);
	free(l->scram);
	if (l->server)
		server_return(l->server);
	memory_wipe_text(l->answer);
	c->borrower.secret = NULL;
	c->borrower.look = false;
	memory_wipe(l, sizeof *l);
	c->login = NULL;
}
