#include "net.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SEGMENTS = 64 };

struct kept {
	size_t r, w, cap;                       /* r <= w <= cap */
	uint8_t data[];
};

struct segment {
	struct conn *conn;
	const uint8_t *p;
	size_t len;
};

struct net {
	struct loop *loop;
	size_t built;
	unsigned nsegments;
	struct segment segments[SEGMENTS];
	unsigned steps;                         /* of handshakes, in this turn of the loop */
	struct task turn;                       /* its end */
	struct net_count count[NET_SIDES];
	uint8_t build[NET_BUILD];
	uint8_t sealed[NET_SEALED];             /* records on their way out */
	uint8_t scratch[NET_KEEP + NET_RECV + TLS_HELD];
};

static void turned(struct task *t)
{
	((struct net *)((char *)t - offsetof(struct net, turn)))->steps = 0;
}

struct net *net_new(struct loop *l)
{
	struct net *n = malloc(sizeof *n);

	if (!n)
		return NULL;
	n->loop = l;
	n->nsegments = 0;
	n->built = 0;
	n->steps = 0;
	n->turn = (struct task){ .run = turned };
	memset(n->count, 0, sizeof n->count);
	return n;
}

const struct net_count *net_counted(const struct net *n, enum net_side side)
{
	return &n->count[side];
}

void net_free(struct net *n)
{
	free(n);
}

/* Adds bytes to a kept block, making or growing it; -1 without memory.  A new one is no larger than
 * the bytes: clients that have not logged in may fill thousands. */
static int kept_add(struct kept **kp, const uint8_t *p, size_t len)
{
	struct kept *k = *kp;

	if (k && k->r) {
		memmove(k->data, k->data + k->r, k->w - k->r);
		k->w -= k->r;
		k->r = 0;
	}
	size_t have = k ? k->w : 0;
	if (!k || k->cap - have < len) {
		size_t cap = have ? (have + len) * 3 / 2 : len;
		struct kept *bigger = realloc(k, sizeof *k + cap);
		if (!bigger)
			return -1;
		*kp = k = bigger;
		k->r = 0;
		k->w = have;
		k->cap = cap;
	}
	memcpy(k->data + k->w, p, len);
	k->w += len;
	return 0;
}

static size_t kept_len(const struct kept *k)
{
	return k ? k->w - k->r : 0;
}

static void kept_free(struct kept **kp)
{
	free(*kp);
	*kp = NULL;
}

static void transmit(struct net *n, struct conn *c, struct iovec *v, int count);

int conn_open(struct net *n, struct conn *c, int fd, short events,
              void (*ready)(struct watch *, short), enum net_side side)
{
	*c = (struct conn){ .watch.ready = ready, .side = (uint8_t)side };
	if (watch_start(n->loop, &c->watch, fd, events) == 0)
		return 0;
	close(fd);
	return -1;
}

static void say_bye(struct net *n, struct conn *c)
{
	size_t len = tls_bye(c->tls, n->sealed, sizeof n->sealed);

	if (len)
		transmit(n, c, &(struct iovec){ n->sealed, len }, 1);
}

void conn_close(struct net *n, struct conn *c)
{
	if (!conn_is_open(c))
		return;
	net_flush(n);
	if (c->tls)
		say_bye(n, c);
	tls_free(c->tls);
	c->tls = NULL;
	watch_stop(n->loop, &c->watch);
	close(c->watch.fd);
	kept_free(&c->in);
	kept_free(&c->out);
}

void conn_shut(struct net *n, struct conn *c)
{
	net_flush(n);
	if (c->tls)
		say_bye(n, c);
	shutdown(c->watch.fd, SHUT_WR);
}

long conn_refill(struct net *n, struct conn *c, uint8_t **p)
{
	size_t have = kept_len(c->in);

	*p = n->scratch;
	if (!have)
		return 0;
	memcpy(n->scratch, c->in->data + c->in->r, have);
	kept_free(&c->in);
	return (long)have;
}

/* As conn_fill(). */
static long receive(struct net *n, struct conn *c, uint8_t *to, size_t room)
{
	ssize_t got;

	do
		got = recv(c->watch.fd, to, room, 0);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		errno = 0;
	if (got <= 0)
		return got < 0 && errno == EAGAIN ? 0 : -1;
	n->count[c->side].received += (size_t)got;
	return got;
}

static long ended(const struct conn *c)
{
	errno = tls_error(c->tls) ? EPROTO : 0;
	return -1;
}

/* The handshake's output, and alerts. */
static void send_answers(struct net *n, struct conn *c)
{
	for (size_t len; (len = tls_output(c->tls, n->sealed, sizeof n->sealed)); )
		transmit(n, c, &(struct iovec){ n->sealed, len }, 1);
}

static void count_handshake(struct net *n, const struct conn *c)
{
	struct net_count *count = &n->count[c->side];

	++*(tls_state(c->tls) == TLS_FAILED ? &count->unshaken : &count->shaken);
}

/* Moves input out of the way of plain text.  Behind the decrypted bytes there is room to
 * receive. */
__attribute__((noinline))
static long receive_tls(struct net *n, struct conn *c, uint8_t *to, size_t room)
{
	bool shaking = tls_state(c->tls) == TLS_SHAKING;

	if (shaking && n->steps == NET_STEPS)
		return 0;
	long got = receive(n, c, to + TLS_HELD, room);
	n->count[c->side].unshaken += shaking && got < 0;
	if (got <= 0)
		return got < 0 && tls_error(c->tls) ? ended(c) : got;
	if (shaking && !n->steps++)
		loop_defer(n->loop, &n->turn);
	got = tls_input(c->tls, to + TLS_HELD, (size_t)got, to);
	if (shaking && tls_state(c->tls) != TLS_SHAKING)
		count_handshake(n, c);
	send_answers(n, c);
	if (got < 0)
		return ended(c);
	/* The end came behind this text: the descriptor must report it once more. */
	if (got && tls_state(c->tls) > TLS_OPEN)
		shutdown(c->watch.fd, SHUT_RD);
	return got;
}

long conn_fill(struct net *n, struct conn *c, uint8_t **p)
{
	size_t have = kept_len(c->in), room = sizeof n->scratch - have;
	long got;

	if (room > NET_RECV)
		room = NET_RECV;

	*p = n->scratch;
	got = c->tls ? receive_tls(n, c, n->scratch + have, room)
	             : receive(n, c, n->scratch + have, room);
	if (got <= 0)
		return got;
	if (have) {
		memcpy(n->scratch, c->in->data + c->in->r, have);
		kept_free(&c->in);
	}
	return (long)have + got;
}

void conn_start_tls(struct net *n, struct conn *c, struct tls *t)
{
	net_flush(n);
	c->tls = t;
	send_answers(n, c);
}

const char *conn_error(const struct conn *c)
{
	const char *why = c->tls ? tls_error(c->tls) : NULL;

	return why ? why : errno ? strerror(errno) : NULL;
}

int conn_keep(struct conn *c, const uint8_t *p, size_t len)
{
	if (!len)
		return 0;
	if (kept_len(c->in) + len > NET_KEEP)
		return -1;
	return kept_add(&c->in, p, len);
}

int conn_unread(struct conn *c, size_t at, const uint8_t *p, size_t len)
{
	if (!len)
		return 0;
	if (kept_len(c->in) + len > NET_KEEP || kept_add(&c->in, p, len) < 0)
		return -1;
	uint8_t *from = c->in->data + c->in->r + at;
	memmove(from + len, from, kept_len(c->in) - at - len);
	memcpy(from, p, len);
	return 0;
}

size_t conn_kept(const struct conn *c)
{
	return kept_len(c->in);
}

void conn_reading(struct net *n, struct conn *c, bool on)
{
	watch_want(n->loop, &c->watch, (short)((c->watch.events & POLLOUT) | (on ? POLLIN : 0)));
}

void conn_hearing_end(struct net *n, struct conn *c)
{
	watch_want(n->loop, &c->watch, (short)((c->watch.events & POLLOUT) | POLLRDHUP));
}

bool conn_stirs(const struct conn *c)
{
	char byte;

	return recv(c->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0
	       || (errno != EAGAIN && errno != EINTR);
}

int conn_peek(const struct conn *c)
{
	uint8_t byte;

	return recv(c->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1 ? byte : -1;
}

size_t conn_pending(const struct conn *c)
{
	return kept_len(c->out);
}

struct put net_build(struct net *n, size_t want)
{
	if (want > NET_BUILD)
		want = NET_BUILD;       /* an overlong message marks itself full */
	if (NET_BUILD - n->built < want)
		net_flush(n);
	struct put o = { .base = n->build + n->built, .cap = want };
	n->built += want;
	return o;
}

void conn_put(struct net *n, struct conn *c, const void *p, size_t len)
{
	struct segment *last = n->nsegments ? &n->segments[n->nsegments - 1] : NULL;

	if (!len || c->broken)
		return;
	if (last && last->conn == c && last->p + last->len == p) {
		last->len += len;
		return;
	}
	if (n->nsegments == SEGMENTS)
		net_flush(n);
	n->segments[n->nsegments++] = (struct segment){ c, p, len };
}

int conn_put_message(struct net *n, struct conn *c, char type, const void *body, size_t len)
{
	bool fits = len + WIRE_HEADER <= NET_BUILD;
	uint8_t *block = fits ? NULL : malloc(len + WIRE_HEADER);
	struct put o = fits ? net_build(n, len + WIRE_HEADER)
	                    : (struct put){ .base = block, .cap = len + WIRE_HEADER };

	if (!fits && !block)
		return -1;
	put_message(&o, type, body, len);
	conn_put(n, c, o.base, o.len);
	if (!fits)
		net_flush(n);
	free(block);
	return 0;
}

static void broke(struct conn *c)
{
	c->broken = true;
	kept_free(&c->out);
}

static void keep_rest(struct net *n, struct conn *c, const struct iovec *v, int count, size_t sent)
{
	for (int i = 0; i < count; i++) {
		size_t skip = sent < v[i].iov_len ? sent : v[i].iov_len;
		sent -= skip;
		if (v[i].iov_len > skip
		    && kept_add(&c->out, (uint8_t *)v[i].iov_base + skip,
		                v[i].iov_len - skip) < 0) {
			broke(c);
			shutdown(c->watch.fd, SHUT_RDWR);
			return;
		}
	}
	if (c->out)
		watch_want(n->loop, &c->watch, (short)(c->watch.events | POLLOUT));
}

static void transmit(struct net *n, struct conn *c, struct iovec *v, int count)
{
	size_t total = 0;
	ssize_t sent = 0;

	for (int i = 0; i < count; i++)
		total += v[i].iov_len;
	if (!c->out && !c->broken) {
		struct msghdr m = { .msg_iov = v, .msg_iovlen = (size_t)count };
		do
			sent = count == 1
			       ? send(c->watch.fd, v[0].iov_base, v[0].iov_len, MSG_NOSIGNAL)
			       : sendmsg(c->watch.fd, &m, MSG_NOSIGNAL);
		while (sent < 0 && errno == EINTR);
		if (sent < 0 && errno != EAGAIN)
			broke(c);
		if (sent < 0)
			sent = 0;
		n->count[c->side].sent += (size_t)sent;
	}
	if (!c->broken && (size_t)sent < total)
		keep_rest(n, c, v, count, (size_t)sent);
}

__attribute__((noinline))
static void transmit_sealed(struct net *n, struct conn *c, const struct iovec *v, int count)
{
	size_t at = 0;

	for (size_t len; (len = tls_seal(c->tls, v, count, &at, n->sealed, sizeof n->sealed)); )
		transmit(n, c, &(struct iovec){ n->sealed, len }, 1);
}

/* Segments of one connection go out together, in their order. */
void net_flush(struct net *n)
{
	for (unsigned i = 0; i < n->nsegments; i++) {
		struct conn *c = n->segments[i].conn;
		struct iovec v[SEGMENTS];
		int count = 0;

		if (!c)
			continue;
		for (unsigned k = i; k < n->nsegments; k++) {
			struct segment *s = &n->segments[k];
			if (s->conn != c)
				continue;
			v[count++] = (struct iovec){ (void *)(uintptr_t)s->p, s->len };
			s->conn = NULL;
		}
		if (c->tls)
			transmit_sealed(n, c, v, count);
		else
			transmit(n, c, v, count);
	}
	n->nsegments = 0;
	n->built = 0;
}

size_t conn_drain(struct net *n, struct conn *c)
{
	while (c->out) {
		struct kept *k = c->out;
		ssize_t sent = send(c->watch.fd, k->data + k->r, k->w - k->r, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			return k->w - k->r;
		if (sent < 0) {
			broke(c);
			break;
		}
		n->count[c->side].sent += (size_t)sent;
		k->r += (size_t)sent;
		if (k->r == k->w)
			kept_free(&c->out);
	}
	watch_want(n->loop, &c->watch, (short)(c->watch.events & ~POLLOUT));
	return 0;
}
