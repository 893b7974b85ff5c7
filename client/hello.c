#include "client/hello.h"

#include "client/login.h"
#include "client/leaves.h"

#include <stdio.h>
#include <string.h>

static int bad_packet(struct client *c, const char *why)
{
	return client_refuse(c, "08P01", why, NULL, NULL);
}

static bool is_http(const uint8_t *p)
{
	static const char methods[][5] = { "GET ", "HEAD", "POST", "PUT ", "OPTI", "DELE", "PRI " };

	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (!memcmp(p, methods[i], 4))
			return true;
	return false;
}

/* A browser, or a probe with the wrong port. */
static void answer_http(struct client *c)
{
	static const char body[] = "This port speaks PostgreSQL's protocol, not HTTP.\n";
	char head[160];
	int n = snprintf(head, sizeof head, "HTTP/1.1 400 Bad Request\r\n"
		"Content-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
		sizeof body - 1);
	struct put o = net_build(c->all->base->net, sizeof head + sizeof body);

	put_bytes(&o, head, (size_t)n);
	put_bytes(&o, body, sizeof body - 1);
	client_say(c, &o);
}

/* PostgreSQL does not answer what is no startup packet at all, and so do we, but to HTTP: checks of
 * load balancers, and drivers that say goodbye before they have begun. */
static int no_packet(struct client *c, const uint8_t *p)
{
	if (is_http(p))
		answer_http(c);
	log_write(c->all->base->log, &c->who, LEVEL_LOG, NULL, NULL,
		"invalid length of startup packet");
	client_leave(c);
	return -1;
}

/* --- the startup packet -------------------------------------------------- */

struct startup {
	const char *user, *database;
	char pairs[WIRE_STARTUP_MAX];           /* the other parameters */
	size_t len;
	const char *unknown[64];                /* protocol options: names that begin with _pq_. */
	unsigned nunknown;
};

static bool read_startup(struct startup *s, struct msg *m)
{
	for (const char *name; *(name = msg_text(m)); ) {
		const char *value = msg_text(m);
		size_t n = strlen(name) + 1, v = strlen(value) + 1;
		if (m->broken)
			return false;
		if (!strcmp(name, "user"))
			s->user = value;
		else if (!strcmp(name, "database"))
			s->database = value;
		else if (!strncmp(name, "_pq_.", 5)) {
			if (s->nunknown < sizeof s->unknown / sizeof *s->unknown)
				s->unknown[s->nunknown++] = name;
		} else {
			memcpy(s->pairs + s->len, name, n);
			memcpy(s->pairs + s->len + n, value, v);
			s->len += n + v;
		}
	}
	return !m->broken && m->at == m->end;
}

/* The client asks for a newer minor version, or for options that we do not know: says which version
 * it will be. */
static void negotiate(struct client *c, const struct startup *s, uint32_t version)
{
	uint32_t minor = version & 0xffff;
	struct put o = net_build(c->all->base->net, WIRE_STARTUP_MAX + 64);

	if (minor <= 2 && minor != 1 && !s->nunknown)
		return;
	put_begin(&o, 'v');
	put_u32(&o, minor >= 2 ? WIRE_V3_2 : WIRE_V3_0);
	put_u32(&o, s->nunknown);
	for (unsigned i = 0; i < s->nunknown; i++)
		put_text(&o, s->unknown[i]);
	put_end(&o);
	client_say(c, &o);
}

/* PostgreSQL cuts both names, so they are cut here, before anything is looked up: a client that is
 * let in must be the user that PostgreSQL takes it for. */
static int identify(struct client *c, const struct startup *s)
{
	char user[WIRE_NAME_MAX + 1], database[WIRE_NAME_MAX + 1];

	snprintf(user, sizeof user, "%s", s->user);
	snprintf(database, sizeof database, "%s",
		s->database && *s->database ? s->database : s->user);
	size_t size = sizeof "len.3.0.user..database.." + strlen(user) + strlen(database) + s->len;

	if (size > WIRE_STARTUP_MAX)    /* PostgreSQL would not take it from us either */
		return bad_packet(c, "invalid length of startup packet");
	struct account *a = account_get(c->all->servers->accounts, user, database);

	if (a)
		c->borrower.profile = profile_get(a, s->pairs, s->len);
	if (a)
		account_drop(a);
	if (!c->borrower.profile)
		return client_refuse(c, "53200", "out of memory", NULL, NULL);
	for (const char *p = s->pairs; p < s->pairs + s->len; p += strlen(p) + 1) {
		leaves_note_parameter(c, p);
		p += strlen(p) + 1;
	}
	c->who.user = c->borrower.profile->account->user;
	c->who.database = c->borrower.profile->account->database;
	const char *app = c->borrower.profile->application_name;
	c->who.app = *app ? app : NULL;
	return 0;
}

static int start_session(struct client *c, struct msg *m, uint32_t version)
{
	struct startup s = { 0 };

	if (!read_startup(&s, m))
		return bad_packet(c,
			"invalid startup packet layout: expected terminator as last byte");
	if (!s.user || !*s.user)
		return client_refuse(c, "28000",
			"no PostgreSQL user name specified in startup packet", NULL, NULL);
	client_enter(c, AT_LOGIN);
	c->key_len = (version & 0xffff) >= 2 ? KEY_3_2 : KEY_3_0;
	negotiate(c, &s, version);
	if (client_admit(c) < 0 || identify(c, &s) < 0)
		return -1;
	return login_start(c);
}

/* As with PostgreSQL, the end of the connection tells the client that the cancel has been
 * delivered.  It is not listened to until then.  false: it leaves. */
static bool cancel_request(struct client *c, struct msg *m)
{
	uint32_t pid = msg_u32(m);

	if (c->all->base->conf->log_client_messages) {
		char detail[40];
		snprintf(detail, sizeof detail, "process id: %u", pid);
		log_write(c->all->base->log, &c->who, LEVEL_LOG, detail, NULL,
			"Cancel message from frontend.");
	}
	if (m->broken || !client_cancel(c, pid, m->at, (size_t)(m->end - m->at)))
		return false;
	client_owes(c, false);
	conn_reading(c->all->base->net, &c->conn, false);
	return true;
}

/* --- TLS ----------------------------------------------------------------- */

enum { TLS_FIRST_BYTE = 0x16 };         /* of a handshake; a packet's length begins with 0 */

/* Not through a Unix socket: PostgreSQL does not either. */
static bool offers_tls(const struct client *c)
{
	return c->family != AF_UNIX && c->all->base->conf->ssl
	       && tls_serves(c->all->base->tls);
}

static bool start_tls(struct client *c)
{
	struct tls *t = tls_accept(c->all->base->tls);

	if (!t)
		client_out_of_memory(c);
	else
		conn_start_tls(c->all->base->net, &c->conn, t);
	return t;
}

void hello_begin(struct client *c)
{
	if (offers_tls(c) && !c->conn.tls && !c->hellos && !conn_kept(&c->conn)
	    && conn_peek(&c->conn) == TLS_FIRST_BYTE)
		start_tls(c);
}

/* Without an SSLRequest the application protocol has to say that PostgreSQL is meant, as a
 * protection from attacks across protocols. */
bool hello_declined(struct client *c)
{
	const struct tls *t = c->conn.tls;

	if (!t || c->hellos || tls_state(t) != TLS_OPEN || tls_alpn(t))
		return false;
	log_write(c->all->base->log, &c->who, LEVEL_LOG, NULL, NULL,
		"received direct SSL connection request without ALPN protocol negotiation"
		" extension");
	return true;
}

/* Port scanners end a handshake without a word. */
void hello_tell_tls(struct client *c)
{
	const char *why = tls_error(c->conn.tls);

	if (c->phase == AT_HELLO)
		log_write(c->all->base->log, &c->who, why ? LEVEL_LOG : LEVEL_DEBUG1, NULL, NULL,
			"could not accept SSL connection: %s", why ? why : "EOF detected");
	else if (why)
		log_write(c->all->base->log, &c->who, LEVEL_LOG, NULL, NULL, "SSL error: %s", why);
}

/* One SSLRequest and one GSSENCRequest, outside TLS. */
static bool may_ask(struct client *c)
{
	return !c->conn.tls && c->hellos++ < 2;
}

/* Bytes behind an SSLRequest were sent without waiting for the answer, and perhaps by somebody else
 * than the client. */
static void ssl_request(struct client *c, bool alone)
{
	bool serves = offers_tls(c);
	struct put o = net_build(c->all->base->net, 1);

	if (serves && !alone) {
		client_refuse(c, "08P01", "received unencrypted data after SSL request",
			"This could be either a client-software bug or evidence of an attempted"
			" man-in-the-middle attack.", NULL);
		return;
	}
	put_byte(&o, serves ? 'S' : 'N');
	client_say(c, &o);
	if (serves)
		start_tls(c);
}

static void hello(struct client *c, struct msg *m, bool alone)
{
	uint32_t code = msg_u32(m);
	char text[96];

	if (code == WIRE_SSL && m->at == m->end && may_ask(c)) {
		ssl_request(c, alone);
	} else if (code == WIRE_GSSENC && m->at == m->end && may_ask(c)) {
		struct put o = net_build(c->all->base->net, 1);
		put_byte(&o, 'N');
		client_say(c, &o);
	} else if (code == WIRE_CANCEL) {
		if (!cancel_request(c, m))
			client_leave(c);
	} else if (code >> 16 == 3) {
		start_session(c, m, code);
	} else {
		snprintf(text, sizeof text,
			"unsupported frontend protocol %u.%u: server supports 3.0 to 3.2",
			code >> 16, code & 0xffff);
		client_refuse(c, "0A000", text, NULL, NULL);
	}
}

long hello_packet(struct client *c, uint8_t *p, size_t n)
{
	if (n < 4)
		return 0;
	uint32_t len = wire_u32(p);
	if (len < 8 || len > WIRE_STARTUP_MAX)
		return no_packet(c, p);
	if (n < len)
		return 0;
	struct msg m = { .at = p + 4, .end = p + len };
	hello(c, &m, n == len);
	return len;
}
