/* net_test.c - bytes through a socket pair: what the kernel does not take, what is kept for
 * later, what is put back; the same encrypted. */
#include "net.c"
#include "loop.c"

#include "t.h"

enum { BIG = 3 << 20 };

static struct loop *loop;
static struct net *net;
static struct conn conn;
static int peer;
static uint8_t *in;

static void ready(struct watch *w, short revents) { (void)w, (void)revents; }

static void open_pair(void)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		_exit(1);
	peer = fd[1];
	if (conn_open(net, &conn, fd[0], POLLIN, ready, NET_OTHER) < 0)
		_exit(1);
}

static void close_pair(void)
{
	conn_close(net, &conn);
	close(peer);
}

static void tell(const char *s)
{
	if (write(peer, s, strlen(s)) != (ssize_t)strlen(s))
		_exit(1);
}

/* What the peer has been sent, up to size bytes. */
static size_t hear(uint8_t *to, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n < size && (got = read(peer, to + n, size - n)) > 0)
		n += (size_t)got;
	return n;
}

static bool heard(const char *want)
{
	uint8_t got[256];
	size_t n = hear(got, sizeof got);

	return n == strlen(want) && !memcmp(got, want, n);
}

static bool filled(long n, const char *want)
{
	return n == (long)strlen(want) && !memcmp(in, want, (size_t)n);
}

/* --- receiving --- */

static void test_fill(void)
{
	open_pair();
	say(conn_is_open(&conn) && conn_fill(net, &conn, &in) == 0, "nothing is there");
	say(conn_refill(net, &conn, &in) == 0, "or kept");
	tell("one");
	say(filled(conn_fill(net, &conn, &in), "one"), "received");
	say(conn_keep(&conn, in + 1, 2) == 0 && conn_kept(&conn) == 2, "a part is kept");
	say(conn_fill(net, &conn, &in) == 0 && conn_kept(&conn) == 2, "nothing new: it stays kept");
	tell("two");
	say(filled(conn_fill(net, &conn, &in), "netwo") && !conn.in,
	    "and stands in front of what comes");
	conn_keep(&conn, in, 2);
	conn_keep(&conn, in + 2, 0);
	conn_keep(&conn, in + 3, 2);
	say(filled(conn_refill(net, &conn, &in), "newo"), "kept twice, taken without receiving");
	conn_keep(&conn, (const uint8_t *)"rest", 4);
	close(peer);
	errno = EIO;
	say(conn_fill(net, &conn, &in) == -1 && errno == 0, "the peer's end");
	say(filled(conn_refill(net, &conn, &in), "rest"), "does not take what was kept");
	conn_keep(&conn, (const uint8_t *)"rest", 4);
	peer = dup(0);
	close_pair();
	say(!conn_is_open(&conn) && !conn.in && loop->n == 1, "closed");
	conn_close(net, &conn);
}

static void test_keep_limit(void)
{
	static uint8_t much[NET_KEEP + 1];
	static char more[NET_RECV + 1];

	open_pair();
	say(conn_keep(&conn, much, sizeof much) == -1 && !conn.in, "too much to keep");
	memset(much, 'k', NET_KEEP);
	say(conn_keep(&conn, much, NET_KEEP) == 0 && conn_keep(&conn, much, 1) == -1,
	    "just enough");
	int size = 4 * NET_RECV;
	setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	memset(more, 'm', sizeof more - 1);
	tell(more);
	long n = conn_fill(net, &conn, &in);
	say(n > NET_KEEP && n <= NET_KEEP + NET_RECV, "and %ld bytes behind it", n - NET_KEEP);
	say(in[0] == 'k' && in[NET_KEEP - 1] == 'k' && in[NET_KEEP] == 'm' && in[n - 1] == 'm',
	    "in order");
	close_pair();
}

static void test_unread(void)
{
	open_pair();
	say(conn_unread(&conn, 0, (const uint8_t *)"cd", 2) == 0 && conn_kept(&conn) == 2,
	    "into nothing");
	conn_unread(&conn, 0, (const uint8_t *)"a", 1);
	conn_unread(&conn, 1, (const uint8_t *)"b", 1);
	conn_unread(&conn, 4, (const uint8_t *)"ef", 2);
	say(filled(conn_refill(net, &conn, &in), "abcdef"), "in front, between, behind");
	conn_keep(&conn, (const uint8_t *)"kept ", 5);
	conn_unread(&conn, 0, (const uint8_t *)"put back, ", 10);
	tell("new");
	say(filled(conn_fill(net, &conn, &in), "put back, kept new"), "before what comes");
	uint8_t block[3000];
	memset(block, 'x', sizeof block);
	conn_keep(&conn, (const uint8_t *)"12", 2);
	conn_unread(&conn, 1, block, sizeof block);
	long n = conn_refill(net, &conn, &in);
	say(n == 3002 && in[0] == '1' && in[3001] == '2' && !memcmp(in + 1, block, sizeof block),
	    "a lot");
	close_pair();
}

/* --- sending --- */

static void test_put(void)
{
	static const char text[] = "abcdefgh";

	open_pair();
	conn_put(net, &conn, text, 0);
	say(net->nsegments == 0, "nothing to send");
	conn_put(net, &conn, text, 2);
	conn_put(net, &conn, text + 2, 3);
	say(net->nsegments == 1 && net->segments[0].len == 5, "neighbours are one segment");
	conn_put(net, &conn, text, 1);
	conn_put(net, &conn, text + 6, 2);
	say(net->nsegments == 3 && heard(""), "others are not; and nothing goes before the flush");
	net_flush(net);
	say(net->nsegments == 0 && heard("abcdeagh") && !conn_pending(&conn),
	    "all of it, in order");
	net_flush(net);
	say(heard(""), "once");
	for (int i = 0; i < SEGMENTS + 2; i++)
		conn_put(net, &conn, text + 2 * (i % 2), 1);
	say(net->nsegments == 2, "the list of segments is full: flushed");
	conn_close(net, &conn);
	uint8_t got[SEGMENTS + 3];
	say(hear(got, sizeof got) == SEGMENTS + 2 && !memcmp(got, "acacac", 6),
	    "the rest goes at the end");
	close(peer);
}

/* Bytes of two connections, one after another, go to each in their order. */
static void test_two(void)
{
	struct conn first = { .broken = false };
	int fd[2];

	open_pair();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
		_exit(1);
	say(conn_open(net, &first, fd[0], POLLIN, ready, NET_OTHER) == 0, "a second connection");
	for (const char *s = "aAbBcC"; *s; s++)
		conn_put(net, *s < 'a' ? &conn : &first, s, 1);
	net_flush(net);
	say(heard("ABC"), "to the one");
	close(peer);
	peer = fd[1];
	say(heard("abc"), "to the other");
	conn_close(net, &first);
	close_pair();
}

static void test_build(void)
{
	open_pair();
	struct put a = net_build(net, 10), b = net_build(net, 10);
	say(b.base == a.base + 10 && a.cap == 10 && !a.len, "two blocks to build in");
	put_ready(&a, 'I');
	conn_put(net, &conn, a.base, a.len);
	struct put c = net_build(net, NET_BUILD);
	uint8_t got[10];
	say(hear(got, sizeof got) == 6 && !memcmp(got, "Z\0\0\0\5I", 6),
	    "no room: what was put is sent");
	say(c.base == net->build && c.cap == NET_BUILD, "and all of the room is there again");
	net_flush(net);
	close_pair();
}

/* More than the kernel takes: each byte arrives once and in order, whatever is put meanwhile. */
static void test_pending(void)
{
	uint8_t *sent = malloc(BIG), *got = malloc(BIG);
	size_t n = 0, at = BIG / 2;

	for (size_t i = 0; i < BIG; i++)
		sent[i] = (uint8_t)(i * 7 + i / 251);
	open_pair();
	conn_put(net, &conn, sent, at / 2);
	conn_put(net, &conn, sent + at / 2, at - at / 2);
	net_flush(net);
	say(conn_pending(&conn) > 0 && conn_pending(&conn) < at, "%zu bytes are left",
	    conn_pending(&conn));
	say(conn.watch.events == (POLLIN | POLLOUT), "it waits for room");
	conn_reading(net, &conn, false);
	say(conn.watch.events == POLLOUT, "also when it does not read");
	conn_reading(net, &conn, true);
	size_t left = conn_pending(&conn);
	say(conn_drain(net, &conn) == left, "no room yet");
	while (n < BIG) {
		size_t part = at < BIG ? 50000 : 0;
		part = part > BIG - at ? BIG - at : part;
		n += hear(got + n, 30000);
		conn_put(net, &conn, sent + at, part);
		net_flush(net);
		at += part;
		conn_drain(net, &conn);
	}
	say(!memcmp(sent, got, BIG), "all arrive in order");
	say(conn_drain(net, &conn) == 0 && !conn.out && conn.watch.events == POLLIN,
	    "nothing is left");
	close_pair();
	free(sent);
	free(got);
}

static void test_broken(void)
{
	static uint8_t much[BIG];

	open_pair();
	conn_put(net, &conn, much, BIG);
	net_flush(net);
	close(peer);
	say(conn_pending(&conn) && conn_drain(net, &conn) == 0 && conn.broken,
	    "the peer is gone while it is drained");
	say(!conn.out && !(conn.watch.events & POLLOUT), "nothing is kept for it");
	conn_put(net, &conn, much, 10);
	say(net->nsegments == 0, "nothing more is put");
	peer = dup(0);
	close_pair();
	open_pair();
	close(peer);
	conn_put(net, &conn, much, 10);
	net_flush(net);
	say(conn.broken && !conn_pending(&conn), "or before");
	peer = dup(0);
	close_pair();
}

/* --- encrypted --- */

enum { CROWD = NET_STEPS + 3 };

static struct tls_context *context;
static struct tls *tls;                         /* the peer's end */
static uint8_t wire[BIG], text[BIG + TLS_HELD];

static void say_it(void *ctx, enum level severity, const char *what)
{
	(void)ctx, (void)severity, (void)what;
}

static struct tls_context *load(void)
{
	static const struct tls_files files = { "", "", "", "", "", "", "DEFAULT", "prime256v1", false,
		"localhost", NULL };

	return tls_context_load(&files, say_it, NULL);
}

/* What the peer's engine has to say goes to its socket. */
static void speak(void)
{
	for (size_t n; (n = tls_output(tls, wire, sizeof wire)); )
		if (write(peer, wire, n) != (ssize_t)n)
			_exit(1);
}

/* And what has come there goes to it; the text's length. */
static long listen_to(uint8_t *to)
{
	return tls_input(tls, wire, hear(wire, sizeof wire), to);
}

static void open_tls(void)
{
	open_pair();
	tls = tls_connect(context, TLS_CHECK_NOTHING, "localhost");
	conn_start_tls(net, &conn, tls_accept(context));
	for (int i = 0; i < 3 && tls_state(tls) == TLS_SHAKING; i++) {
		speak();
		conn_fill(net, &conn, &in);
		net->steps = 0;
		listen_to(text);
	}
}

static void close_tls(void)
{
	close_pair();
	tls_free(tls);
}

static size_t sealed(const char *s, uint8_t *to)
{
	struct iovec v = { (void *)(uintptr_t)s, strlen(s) };
	size_t at = 0;

	return tls_seal(tls, &v, 1, &at, to, TLS_ROOM);
}

static void tell_tls(const char *s)
{
	size_t n = sealed(s, wire);

	if (write(peer, wire, n) != (ssize_t)n)
		_exit(1);
}

static void test_tls(void)
{
	open_tls();
	say(tls_state(conn.tls) == TLS_OPEN && tls_state(tls) == TLS_OPEN, "hands are shaken");
	say(conn_peek(&conn) == -1 && !conn_stirs(&conn), "nothing is there");
	tell_tls("one");
	say(conn_peek(&conn) == 23 && conn_stirs(&conn), "something is");
	say(filled(conn_fill(net, &conn, &in), "one") && conn_fill(net, &conn, &in) == 0, "decrypted");
	conn_keep(&conn, (const uint8_t *)"kept ", 5);
	tell_tls("two, ");
	tell_tls("three");
	say(filled(conn_fill(net, &conn, &in), "kept two, three"), "behind what was kept");
	size_t n = sealed("four", wire + 100);
	conn_keep(&conn, (const uint8_t *)"kept ", 5);
	bool quiet = true;
	for (size_t i = 0; i + 1 < n; i++)
		quiet = write(peer, wire + 100 + i, 1) == 1 && conn_fill(net, &conn, &in) == 0 && quiet;
	say(quiet && conn_kept(&conn) == 5, "a part of a record is nothing yet");
	say(write(peer, wire + 100 + n - 1, 1) == 1 && filled(conn_fill(net, &conn, &in), "kept four"),
	    "all of it is");
	close_tls();
}

static void test_tls_put(void)
{
	open_tls();
	conn_put(net, &conn, "abc", 3);
	conn_put(net, &conn, "defg", 4);
	net_flush(net);
	size_t n = hear(wire, sizeof wire);
	say(n == 7 + 5 + 24 || n == 7 + 5 + 16, "two segments, one record");
	say(tls_input(tls, wire, n, text) == 7 && !memcmp(text, "abcdefg", 7), "encrypted");
	uint8_t *much = malloc(BIG);
	for (size_t i = 0; i < BIG; i++)
		much[i] = (uint8_t)(i * 7 + i / 251);
	conn_put(net, &conn, much, BIG / 2);
	net_flush(net);
	say(conn_pending(&conn) > 0 && (conn.watch.events & POLLOUT), "what the kernel does not take is kept");
	conn_put(net, &conn, much + BIG / 2, BIG - BIG / 2);
	net_flush(net);
	size_t got = 0;
	for (long k; got < BIG && (k = listen_to(text + got)) >= 0; got += (size_t)k)
		conn_drain(net, &conn);
	say(got == BIG && !memcmp(text, much, BIG) && !conn_pending(&conn), "and comes in order");
	free(much);
	close_tls();
}

static void test_tls_end(void)
{
	open_tls();
	size_t n = sealed("last", wire);
	n += tls_bye(tls, wire + n, TLS_ROOM);
	say(write(peer, wire, n) == (ssize_t)n && filled(conn_fill(net, &conn, &in), "last"),
	    "text with the end behind it");
	say(conn_stirs(&conn) && conn_peek(&conn) == -1, "the end is seen by who waits for the descriptor");
	say(conn_fill(net, &conn, &in) == -1 && !conn_error(&conn), "and told");
	conn_put(net, &conn, "answer", 6);
	conn_shut(net, &conn);
	say(listen_to(text) == 6 && tls_state(tls) == TLS_CLOSED && !tls_error(tls),
	    "the answer still goes, then our end");
	say(read(peer, wire, 1) == 0, "and that of the socket");
	close_tls();

	open_tls();
	conn_close(net, &conn);
	say(listen_to(text) == -1 && tls_state(tls) == TLS_CLOSED, "closing says so, too");
	close_tls();

	open_tls();
	n = sealed("good", wire);
	size_t bad = sealed("bad", wire + n);
	wire[n + bad - 1] ^= 1;
	say(write(peer, wire, n + bad) == (ssize_t)(n + bad) && filled(conn_fill(net, &conn, &in), "good"),
	    "what was good before damage");
	say(conn_fill(net, &conn, &in) == -1 && errno == EPROTO && strstr(conn_error(&conn), "damaged"),
	    "then the damage");
	say(listen_to(text) == -1 && strstr(tls_error(tls), "bad record mac"), "of which the peer is told");
	conn_put(net, &conn, "text", 4);
	net_flush(net);
	say(heard("") && !conn_pending(&conn), "and nothing else");
	close_tls();

	open_pair();
	conn_start_tls(net, &conn, tls_accept(context));
	tls = NULL;
	conn_put(net, &conn, "text", 4);
	net_flush(net);
	say(heard(""), "nothing is said in plain text");
	close(peer);
	say(conn_fill(net, &conn, &in) == -1 && errno == 0, "the peer is gone before it began");
	peer = dup(0);
	close_tls();
}

/* Handshakes of many at once: so many steps in a turn of the loop. */
static void test_tls_crowd(void)
{
	static struct conn crowd[CROWD];
	int fd[2], peers[CROWD], answered = 0;

	for (int i = 0; i < CROWD; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
			_exit(1);
		peers[i] = peer = fd[1];
		conn_open(net, &crowd[i], fd[0], 0, ready, NET_OTHER);
		conn_start_tls(net, &crowd[i], tls_accept(context));
		tls = tls_connect(context, TLS_CHECK_NOTHING, "localhost");
		speak();
		tls_free(tls);
	}
	for (int i = 0; i < CROWD; i++)
		say(conn_fill(net, &crowd[i], &in) == 0, "no text yet");
	for (int i = 0; i < CROWD; i++)
		answered += read(peers[i], wire, sizeof wire) > 0;
	say(answered == NET_STEPS, "%d of %d are answered", answered, CROWD);
	say(conn_stirs(&crowd[CROWD - 1]), "the others' descriptors stay ready");
	loop_turn(loop);
	for (int i = 0; i < CROWD; i++)
		conn_fill(net, &crowd[i], &in);
	for (int i = 0; i < CROWD; i++)
		answered += read(peers[i], wire, sizeof wire) > 0;
	say(answered == CROWD, "in the next turn");
	for (int i = 0; i < CROWD; i++) {
		conn_close(net, &crowd[i]);
		close(peers[i]);
	}
}

int main(void)
{
	loop = loop_new();
	net = net_new(loop);
	test_fill();
	test_keep_limit();
	test_unread();
	test_put();
	test_two();
	test_build();
	test_pending();
	test_broken();
	context = load();
	test_tls();
	test_tls_put();
	test_tls_end();
	test_tls_crowd();
	tls_context_drop(context);
	net_free(net);
	loop_free(loop);
	return done();
}
