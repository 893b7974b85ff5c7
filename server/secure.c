#include "server/secure.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void secure_prepare(struct secure *x, const struct base *base, const struct conf_node *n,
                    enum sslmode mode)
{
	size_t len = strlen(n->hostname);

	*x = (struct secure){ .mode = mode, .direct = n->sslnegotiation == SSL_DIRECT,
		.context = &base->tls, .log = base->log };
	/* "db.example." is looked up as it stands, but certificates have it without the dot. */
	if (len && n->hostname[len - 1] == '.')
		len--;
	snprintf(x->host, sizeof x->host, "%.*s", (int)len, n->hostname);
}

static void set(int fd, int option, int64_t value)
{
	int n = (int)value;

	if (n)
		setsockopt(fd, IPPROTO_TCP, option, &n, sizeof n);
}

int secure_connect(const struct conf *conf, const struct sockaddr_storage *at, socklen_t len)
{
	int fd = socket(at->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	if (at->ss_family != AF_UNIX) {
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
		set(fd, TCP_NODELAY, 1);
		set(fd, TCP_KEEPIDLE, conf->tcp_keepalives_idle);
		set(fd, TCP_KEEPINTVL, conf->tcp_keepalives_interval);
		set(fd, TCP_KEEPCNT, conf->tcp_keepalives_count);
		set(fd, TCP_USER_TIMEOUT, conf->tcp_user_timeout);
	}
	if (connect(fd, (const struct sockaddr *)at, len) == 0 || errno == EINPROGRESS)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* The outcome, whatever the mode. */
static enum secured end(struct secure *x, enum secured how, const char *why)
{
	snprintf(x->why, sizeof x->why, "%s", why);
	return how;
}

/* TLS cannot be had: under prefer plain text may do. */
static enum secured fail(struct secure *x, enum secured how, const char *why)
{
	return end(x, x->mode == SSLMODE_PREFER ? SECURE_NOT : how, why);
}

static enum secured shake(struct secure *x, struct net *net, struct conn *c)
{
	enum tls_check check = x->mode == SSLMODE_VERIFY_FULL ? TLS_CHECK_HOST
	                       : x->mode == SSLMODE_VERIFY_CA ? TLS_CHECK_CA : TLS_CHECK_NOTHING;
	struct tls *t = *x->context ? tls_connect(*x->context, check, x->host) : NULL;

	if (!t)
		return fail(x, SECURE_BROKEN, "out of memory");
	conn_start_tls(net, c, t);
	x->shaking = true;
	return SECURE_MORE;
}

enum secured secure_begin(struct secure *x, struct net *net, struct conn *c)
{
	if (x->mode == SSLMODE_DISABLE)
		return SECURE_DONE;
	if (x->direct)
		return shake(x, net, c);
	struct put o = net_build(net, 8);
	put_begin(&o, 0);
	put_u32(&o, WIRE_SSL);
	put_end(&o);
	conn_put(net, c, o.base, o.len);
	return SECURE_MORE;
}

/* The answer is one byte.  Bytes behind it were sent by somebody who does not know the keys
 * (CVE-2021-23222), and so was the text of an error (CVE-2024-10977). */
static enum secured answered(struct secure *x, struct net *net, struct conn *c,
	const uint8_t *p, long n)
{
	log_write(x->log, NULL, LEVEL_DEBUG1, x->host, NULL, "client->server SSL response: %c",
		*p > ' ' && *p <= '~' ? *p : '?');
	if (*p == 'E')
		return fail(x, SECURE_BROKEN, "it answers the request for TLS with an error");
	if (*p != 'S' && *p != 'N')
		return end(x, SECURE_BROKEN, "it does not speak PostgreSQL's protocol");
	if (n > 1)
		return end(x, SECURE_UNSAFE, "received unencrypted data after SSL response");
	if (*p == 'S')
		return shake(x, net, c);
	if (x->mode == SSLMODE_PREFER)
		return end(x, SECURE_DONE, "it does not support TLS");
	return end(x, SECURE_UNSAFE, x->mode == SSLMODE_REQUIRE
		? "it does not support TLS, but backend_sslmode is require"
		: "it does not support TLS, but backend_sslmode is verify-ca or verify-full");
}

/* The connection ended before there was TLS. */
static enum secured broke(struct secure *x, const struct conn *c)
{
	const char *why = conn_error(c);

	if (!why)
		why = x->shaking ? "it closed the connection during the TLS handshake"
			: "it closed the connection when it was asked for TLS";
	return fail(x, x->shaking && tls_error(c->tls) ? SECURE_UNSAFE : SECURE_BROKEN, why);
}

static enum secured shaken(struct secure *x, const struct conn *c)
{
	if (x->direct && !tls_alpn(c->tls))
		return fail(x, SECURE_UNSAFE, "direct TLS, but it does not agree upon ALPN");
	log_write(x->log, NULL, LEVEL_DEBUG1, x->host, NULL, "TLS with the node: TLSv1.2, %s",
		tls_suite(c->tls));
	return SECURE_DONE;
}

enum secured secure_go_on(struct secure *x, struct net *net, struct conn *c)
{
	uint8_t *p;
	long n = conn_fill(net, c, &p);

	if (n < 0)
		return broke(x, c);
	if (!x->shaking)
		return n ? answered(x, net, c, p, n) : SECURE_MORE;
	if (tls_state(c->tls) != TLS_OPEN)
		return SECURE_MORE;
	return n ? end(x, SECURE_BROKEN, "it does not speak PostgreSQL's protocol") : shaken(x, c);
}
