#include "tls.h"

#include "tls/engine.h"
#include "tls/chain.h"
#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum {
	HEADER = 5,                             /* type, version, length */
	VERSION = 0x0303,
	SECRET = 1024,                          /* anything longer is not a password */
};

enum { RECORD_CCS = 20, RECORD_ALERT, RECORD_HANDSHAKE, RECORD_DATA };

/* The certificates of the other side, if any. */
struct shown {
	uint8_t end_point[64];
	size_t end_point_len;
	bool named;
	char name[];
};

/* Packed with care: ten thousand of them may be idle. */
struct tls {
	enum tls_state state;
	bool node;                              /* the peer is: we are the client */
	bool alpn;
	bool said_bye;
	uint8_t alert;                          /* fatal, to be sent; 0: none */
	uint16_t suite;
	uint16_t limit;                         /* plain text in one record */
	uint16_t have, want;                    /* of a record that has come in part */
	union {
		uint8_t head[HEADER];           /* while have < HEADER */
		uint8_t *part;
	};
	struct tls_context *context;
	struct tls_shake *shake;                /* until the handshake is over and all of it sent */
	const char *error;                      /* of TLS_FAILED */
	struct shown *shown;

	union {
		const br_sslrec_in_class *vtable;
		br_sslrec_gcm_context gcm;
		br_sslrec_chapol_context chapol;
	} in;
	union {
		const br_sslrec_out_class *vtable;
		br_sslrec_gcm_context gcm;
		br_sslrec_chapol_context chapol;
	} out;
};

/* --- life ---------------------------------------------------------------- */

bool tls_serves(const struct tls_context *x)
{
	return x && x->chain_len;
}

static struct tls *new(struct tls_context *x)
{
	struct tls *t = calloc(1, sizeof *t);

	if (t) {
		t->context = tls_context_hold(x);
		t->limit = TLS_TEXT;
	}
	return t;
}

/* The handshake's memory is taken when the client begins to speak. */
struct tls *tls_accept(struct tls_context *x)
{
	return new(x);
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	tls_shake_free(t->shake);
	tls_context_drop(t->context);
	free(t->shown);
	if (t->have >= HEADER)
		free(t->part);
	memory_wipe(t, sizeof *t);
}

static void fail(struct tls *t, const char *why)
{
	if (t->state == TLS_FAILED)
		return;
	t->state = TLS_FAILED;
	t->error = why;
}

/* --- the handshake ------------------------------------------------------- */

static int answer(struct tls_shake *s, const void *p, size_t n)
{
	if (s->room - s->made < n) {
		size_t room = s->made + n + 1024;
		uint8_t *more = realloc(s->answer, room);
		if (!more)
			return -1;
		s->answer = more;
		s->room = room;
	}
	memcpy(s->answer + s->made, p, n);
	s->made += n;
	return 0;
}

/* The engine makes one record, and continues when that is taken. */
static int collect(struct tls_shake *s)
{
	size_t n;

	for (unsigned char *p; (p = br_ssl_engine_sendrec_buf(&s->engine, &n)); ) {
		if (answer(s, p, n) < 0)
			return -1;
		br_ssl_engine_sendrec_ack(&s->engine, n);
	}
	return 0;
}

struct tls *tls_connect(struct tls_context *x, enum tls_check check, const char *host)
{
	struct tls *t = new(x);

	if (!t)
		return NULL;
	t->node = true;
	t->shake = tls_shake_client(x, check, host);
	if (t->shake && collect(t->shake) == 0)
		return t;
	tls_free(t);
	return NULL;
}

static struct shown *see(const struct tls_peer *p)
{
	const char *name = tls_peer_common_name(p);
	size_t n = name ? strlen(name) + 1 : 0;
	struct shown *w = malloc(sizeof *w + n);

	if (!w)
		return NULL;
	w->end_point_len = tls_peer_end_point(p, w->end_point);
	w->named = name;
	if (name)
		memcpy(w->name, name, n);
	return w;
}

/* Here we break BearSSL's encapsulation.  We take only the keys of both directions from its
 * context, whose record functions are public.  They point to nothing but constants. */
static void open_up(struct tls *t)
{
	struct tls_shake *s = t->shake;
	const br_ssl_engine_context *e = &s->engine;

	if (s->peer && (t->node || tls_peer_verified(s->peer)) && !(t->shown = see(s->peer))) {
		fail(t, "out of memory");
		return;
	}
	memcpy(&t->in, &e->in, sizeof t->in);
	memcpy(&t->out, &e->out, sizeof t->out);
	t->suite = e->session.cipher_suite;
	t->alpn = br_ssl_engine_get_selected_protocol(&s->engine);
	if (e->peer_log_max_frag_len && 1u << e->peer_log_max_frag_len < TLS_TEXT)
		t->limit = (uint16_t)(1u << e->peer_log_max_frag_len);
	t->state = TLS_OPEN;
}

/* A certificate that does not verify ends the handshake, with its alert, which is not encrypted
 * yet. */
static void refuse(struct tls *t, int alert)
{
	const uint8_t record[] = { RECORD_ALERT, VERSION >> 8, VERSION & 0xff, 0, 2,
		2, (uint8_t)alert };

	answer(t->shake, record, sizeof record);
	fail(t, tls_peer_error(t->shake->peer));
}

/* After each piece of input. */
static void step(struct tls *t)
{
	struct tls_shake *s = t->shake;

	if (collect(s) < 0) {
		fail(t, "out of memory");
		return;
	}
	int alert = s->peer ? tls_peer_alert(s->peer) : 0;
	unsigned state = br_ssl_engine_current_state(&s->engine);
	if (alert)
		refuse(t, alert);
	else if (state & BR_SSL_CLOSED)
		fail(t, tls_shake_error(s));
	else if (state & BR_SSL_SENDAPP)
		open_up(t);
}

static void shaken(struct tls *t)
{
	tls_shake_free(t->shake);
	t->shake = NULL;
}

/* The engine gets bytes up to the end of a record at most, so it has none that come after the
 * handshake. */
static size_t shake(struct tls *t, const uint8_t *in, size_t n)
{
	size_t used = 0, room;

	if (!t->shake && !(t->shake = tls_shake_server(t->context)))
		fail(t, "out of memory");
	while (used < n && t->state == TLS_SHAKING) {
		unsigned char *p = br_ssl_engine_recvrec_buf(&t->shake->engine, &room);
		if (!p) {
			fail(t, tls_shake_error(t->shake));
			break;
		}
		room = room < n - used ? room : n - used;
		memcpy(p, in + used, room);
		br_ssl_engine_recvrec_ack(&t->shake->engine, room);
		used += room;
		step(t);
	}
	if (t->state == TLS_OPEN && t->shake->made == 0)
		shaken(t);
	return used;
}

/* --- records ------------------------------------------------------------- */

/* Ends an open connection, and tells the peer. */
static void damaged(struct tls *t, uint8_t alert, const char *why)
{
	if (t->state != TLS_FAILED)
		t->alert = alert;
	fail(t, why);
}

static void take_alerts(struct tls *t, const uint8_t *p, size_t n)
{
	const char *name;

	if (!n || n % 2)
		damaged(t, BR_ALERT_DECODE_ERROR, "the peer sent a malformed alert");
	for (; n && t->state == TLS_OPEN; p += 2, n -= 2) {
		if (p[1] == BR_ALERT_CLOSE_NOTIFY)
			t->state = TLS_CLOSED;
		else if (p[0] != 1)
			fail(t, (name = tls_alert_name(p[1])) ? name
				: "the peer sent a fatal alert");
	}
}

/* The receiver of a password wipes it; here is a copy of it. */
static void wipe(uint8_t *p, uint8_t *end, uint8_t *given)
{
	if (p < given)
		p = given;
	if (p < end)
		explicit_bzero(p, (size_t)(end - p));
}

/* Decrypts a whole record where it lies; its text goes to out.  Returns the end of that. */
static uint8_t *take_record(struct tls *t, uint8_t *record, size_t size, uint8_t *out)
{
	size_t n = size - HEADER;
	uint8_t *p = t->in.vtable->decrypt(&t->in.vtable, record[0], VERSION, record + HEADER, &n);

	if (!p) {
		damaged(t, BR_ALERT_BAD_RECORD_MAC, "a record was damaged on its way");
	} else if (record[0] == RECORD_DATA) {
		memmove(out, p, n);
		if (n <= SECRET)
			wipe(p, p + n, out + n);
		return out + n;
	} else if (record[0] == RECORD_ALERT) {
		take_alerts(t, p, n);
	} else if (record[0] == RECORD_HANDSHAKE) {
		damaged(t, BR_ALERT_NO_RENEGOTIATION, "the peer asked for a renegotiation");
	} else {
		damaged(t, BR_ALERT_UNEXPECTED_MESSAGE, "the peer sent an unexpected record");
	}
	return out;
}

/* The whole length of the record that begins so, or 0 after failing. */
static size_t record_size(struct tls *t, const uint8_t head[HEADER])
{
	size_t n = (size_t)(head[3] << 8 | head[4]);

	if (head[0] < RECORD_CCS || head[0] > RECORD_DATA || head[1] << 8 != (VERSION & 0xff00)
	    || head[2] != (VERSION & 0xff)) {
		damaged(t, BR_ALERT_UNEXPECTED_MESSAGE, "the data received is not TLS");
		return 0;
	}
	if (!t->in.vtable->check_length(&t->in.vtable, n)) {
		damaged(t, BR_ALERT_RECORD_OVERFLOW, "a record has an impossible length");
		return 0;
	}
	return HEADER + n;
}

/* The header of a partly arrived record: room for the whole. */
static void make_part(struct tls *t)
{
	size_t size = record_size(t, t->head);
	uint8_t *part = size ? malloc(size) : NULL;

	if (!part) {
		fail(t, "out of memory");
		t->have = 0;
		return;
	}
	memcpy(part, t->head, HEADER);
	t->part = part;
	t->want = (uint16_t)size;
}

/* Takes bytes of a partly arrived record; returns how many. */
static size_t hold(struct tls *t, const uint8_t *in, size_t n)
{
	bool header = t->have < HEADER;
	size_t room = (header ? HEADER : t->want) - t->have;

	n = n < room ? n : room;
	memcpy((header ? t->head : t->part) + t->have, in, n);
	t->have = (uint16_t)(t->have + n);
	if (header && t->have == HEADER)
		make_part(t);
	return n;
}

static uint8_t *take_part(struct tls *t, uint8_t *out)
{
	out = take_record(t, t->part, t->want, out);
	memory_wipe(t->part, t->want);            /* a password, perhaps */
	t->have = 0;
	return out;
}

static uint8_t *take_records(struct tls *t, uint8_t *in, size_t n, uint8_t *out)
{
	while (n && t->state == TLS_OPEN) {
		size_t size = !t->have && n >= HEADER ? record_size(t, in) : n + 1;
		if (size && size <= n)
			out = take_record(t, in, size, out);
		else if (size)
			size = hold(t, in, n);
		if (t->have >= HEADER && t->have == t->want)
			out = take_part(t, out);
		in += size;
		n -= size;
	}
	return out;
}

long tls_input(struct tls *t, uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t *end = out;

	if (t->state == TLS_SHAKING) {
		size_t used = shake(t, in, n);
		in += used;
		n -= used;
	}
	if (t->state == TLS_OPEN)
		end = take_records(t, in, n, out);
	return end > out || t->state <= TLS_OPEN ? end - out : -1;
}

/* Makes a record of the n bytes that stand behind a header's room; returns its length. */
static size_t make_record(struct tls *t, int type, uint8_t *text, size_t n)
{
	t->out.vtable->encrypt(&t->out.vtable, type, VERSION, text, &n);
	return n;
}

/* Where the text of a record at out begins. */
static uint8_t *text_of(struct tls *t, uint8_t *out, size_t *room)
{
	size_t begin = HEADER, end = *room;

	t->out.vtable->max_plaintext(&t->out.vtable, &begin, &end);
	*room = end - begin;
	return out + begin;
}

static size_t make_alert(struct tls *t, uint8_t level, uint8_t alert, uint8_t *out, size_t room)
{
	uint8_t *text = text_of(t, out, &room);

	text[0] = level;
	text[1] = alert;
	return make_record(t, RECORD_ALERT, text, 2);
}

size_t tls_output(struct tls *t, uint8_t *out, size_t room)
{
	struct tls_shake *s = t->shake;

	if (s && s->made > s->taken) {
		room = room < s->made - s->taken ? room : s->made - s->taken;
		memcpy(out, s->answer + s->taken, room);
		s->taken += room;
		return room;
	}
	if (s)
		s->made = s->taken = 0;
	if (s && t->state == TLS_OPEN)
		shaken(t);
	if (!t->alert || t->said_bye)
		return 0;
	t->said_bye = true;
	return make_alert(t, 2, t->alert, out, room);
}

static size_t gather(const struct iovec *v, int count, size_t *at, uint8_t *to, size_t room)
{
	size_t skip = *at, n = 0;

	for (int i = 0; i < count && n < room; i++) {
		if (skip >= v[i].iov_len) {
			skip -= v[i].iov_len;
			continue;
		}
		size_t part = v[i].iov_len - skip < room - n ? v[i].iov_len - skip : room - n;
		memcpy(to + n, (const uint8_t *)v[i].iov_base + skip, part);
		n += part;
		skip = 0;
	}
	*at += n;
	return n;
}

/* A peer that has closed its sending side still gets its reply. */
static bool may_send(const struct tls *t)
{
	return (t->state == TLS_OPEN || t->state == TLS_CLOSED) && !t->said_bye;
}

size_t tls_seal(struct tls *t, const struct iovec *v, int count, size_t *at, uint8_t *out,
	size_t room)
{
	size_t made = 0;

	while (may_send(t) && room - made >= TLS_ROOM) {
		size_t most = room - made;
		uint8_t *text = text_of(t, out + made, &most);
		size_t n = gather(v, count, at, text, most < t->limit ? most : t->limit);
		if (!n)
			break;
		made += make_record(t, RECORD_DATA, text, n);
	}
	return made;
}

size_t tls_bye(struct tls *t, uint8_t *out, size_t room)
{
	if (!may_send(t))
		return 0;
	t->said_bye = true;
	return make_alert(t, 1, BR_ALERT_CLOSE_NOTIFY, out, room);
}

/* --- what the handshake showed ------------------------------------------- */

enum tls_state tls_state(const struct tls *t)
{
	return t->state;
}

const char *tls_error(const struct tls *t)
{
	return t->error;
}

const char *tls_common_name(const struct tls *t)
{
	return t->shown && t->shown->named ? t->shown->name : NULL;
}

bool tls_alpn(const struct tls *t)
{
	return t->alpn;
}

const char *tls_suite(const struct tls *t)
{
	static const struct { uint16_t suite; const char *name; } names[] = {
		{ BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384" },
		{ BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			"ECDHE-ECDSA-CHACHA20-POLY1305" },
		{ BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256" },
		{ BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384" },
		{ BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305" },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].suite == t->suite)
			return names[i].name;
	return "";
}

size_t tls_end_point(const struct tls *t, uint8_t hash[static 64])
{
	const uint8_t *from = t->node ? t->shown ? t->shown->end_point : NULL
		: t->context->end_point;
	size_t n = t->node ? t->shown ? t->shown->end_point_len : 0 : t->context->end_point_len;

	if (n)
		memcpy(hash, from, n);
	return n;
}
