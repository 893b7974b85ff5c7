#include "web.h"

#include "web/http.h"
#include "web/metrics.h"
#include "web/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PATIENCE = 10000,                       /* ms for a request, or to take its answer */
	KEEP_ALIVE = 60000,                     /* between two requests */
	BACKLOG = 32,
	TLS_FIRST_BYTE = 0x16,                  /* of a handshake; HTTP begins with a letter */
};

/* One connection.  It is GONE when its last answer has been sent, or cannot be. */
struct visitor {
	struct conn conn;
	struct web *web;
	struct visitor *next, **at;
	bool gone;
	bool last;                              /* its answer is: the connection ends */
	struct timer timer;
	struct task task;                       /* goes on with kept bytes, or buries */
};

/* --- a visitor's life ---------------------------------------------------- */

static void bury(struct visitor *v)
{
	struct web *w = v->web;

	timer_stop(w->base->loop, &v->timer);
	conn_close(w->base->net, &v->conn);
	*v->at = v->next;
	if (v->next)
		v->next->at = v->at;
	w->open--;
	free(v);
}

static void leave(struct visitor *v)
{
	v->gone = true;
	loop_defer(v->web->base->loop, &v->task);
}

static void join(struct visitor *v)
{
	struct web *w = v->web;

	v->at = &w->first;
	v->next = w->first;
	if (v->next)
		v->next->at = &v->next;
	w->first = v;
}

/* To the head of the list: it was heard of. */
static void heard(struct visitor *v)
{
	*v->at = v->next;
	if (v->next)
		v->next->at = v->at;
	join(v);
}

/* --- answers ------------------------------------------------------------- */

static void answer(struct visitor *v, const struct http_request *r, int code, const char *type,
                   const struct text *body)
{
	struct net *net = v->web->base->net;
	struct text head = { .at = NULL };

	text_add(&head, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s%s"
		"Cache-Control: no-store\r\n\r\n", http_status(code), type, body->len,
		code == 405 ? "Allow: GET, HEAD\r\n" : "",
		r->keep_alive ? "" : "Connection: close\r\n");
	if (head.failed || body->failed) {
		leave(v);
	} else {
		conn_put(net, &v->conn, head.at, head.len);
		if (r->method != HTTP_HEAD)
			conn_put(net, &v->conn, body->at, body->len);
		net_flush(net);
	}
	free(head.at);
}

static void answer_line(struct visitor *v, const struct http_request *r, int code, const char *line)
{
	struct text body = { .at = NULL };

	text_add(&body, "%s\n", line);
	answer(v, r, code, "text/plain; charset=utf-8", &body);
	free(body.at);
}

static void metrics(struct visitor *v, const struct http_request *r)
{
	struct text body = { .at = NULL };

	metrics_write(&body, v->web->admin, r->open_metrics);
	answer(v, r, 200, r->open_metrics
	       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
	       : "text/plain; version=0.0.4; charset=utf-8", &body);
	free(body.at);
}

static void page(struct visitor *v, const struct http_request *r)
{
	struct text body = { .at = NULL };

	page_write(&body, v->web->admin);
	answer(v, r, 200, "text/html; charset=utf-8", &body);
	free(body.at);
}

static void health(struct visitor *v, const struct http_request *r)
{
	answer_line(v, r, 200, "alive");
}

/* Why clients should not come; NULL: they should. */
static const char *unready(const struct web *w)
{
	struct nodes *nodes = w->admin->clients->servers->nodes;

	if (*w->draining)
		return "not ready: the program is about to end";
	if (!nodes->worked)
		return "not ready: no node has answered since the start";
	const struct node *primary = nodes_primary(nodes);
	if (w->base->conf->readiness == READINESS_PRIMARY
	    && (primary->state != NODE_UP || primary->role == ROLE_STANDBY
	        || nodes_searching(nodes)))
		return "not ready: the primary is not there (readiness = primary)";
	return NULL;
}

static void readiness(struct visitor *v, const struct http_request *r)
{
	const char *why = unready(v->web);

	if (why)
		nodes_try(v->web->admin->clients->servers->nodes);
	answer_line(v, r, why ? 503 : 200, why ? why : "ready");
}

static const struct {
	const char *path;
	void (*answer)(struct visitor *v, const struct http_request *r);
} paths[] = {
	{ "/", page }, { "/metrics", metrics }, { "/healthz", health }, { "/readyz", readiness },
};

static void answer_request(struct visitor *v, const struct http_request *r)
{
	if (r->error) {
		answer_line(v, r, r->error, http_status(r->error));
		return;
	}
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		if (strlen(paths[i].path) != r->path_len
		    || memcmp(paths[i].path, r->path, r->path_len))
			continue;
		if (r->method == HTTP_OTHER)
			answer_line(v, r, 405, "GET and HEAD are all there is");
		else
			paths[i].answer(v, r);
		return;
	}
	answer_line(v, r, 404, "there are /, /metrics, /healthz and /readyz");
}

/* --- events -------------------------------------------------------------- */

/* One request; more of them wait until its answer has been taken. */
static void use_input(struct visitor *v, const uint8_t *p, size_t n)
{
	struct loop *loop = v->web->base->loop;
	char copy[HTTP_HEAD_MAX];
	struct http_request r;
	size_t len = n < sizeof copy ? n : sizeof copy;

	memcpy(copy, p, len);           /* an answer uses the scratch block */
	size_t used = http_parse(&r, copy, len);
	if (conn_keep(&v->conn, p + used, n - used) < 0) {
		leave(v);
		return;
	}
	heard(v);
	if (!used) {
		conn_reading(v->web->base->net, &v->conn, true);
		timer_set(loop, &v->timer, PATIENCE);
		return;
	}
	v->last = !r.keep_alive;
	answer_request(v, &r);
	bool slow = conn_pending(&v->conn) > 0;
	timer_set(loop, &v->timer, slow ? PATIENCE : KEEP_ALIVE);
	if (v->conn.broken || (v->last && !slow)) {
		leave(v);
		return;
	}
	conn_reading(v->web->base->net, &v->conn, !slow && !conn_kept(&v->conn));
	if (!slow && conn_kept(&v->conn))
		loop_defer(loop, &v->task);
}

/* A socket closed with bytes unread is reset, and its answer may never be seen. */
static void finish(struct visitor *v)
{
	struct net *net = v->web->base->net;
	uint8_t *p;

	conn_shut(net, &v->conn);
	net_flush(net);
	for (int i = 0; i < 4 && conn_fill(net, &v->conn, &p) > 0; i++)
		;
	bury(v);
}

static void go_on(struct task *t)
{
	struct visitor *v = OWNER(t, struct visitor, task);
	struct net *net = v->web->base->net;
	uint8_t *p;

	if (v->gone) {
		finish(v);
	} else if (conn_kept(&v->conn) && !conn_pending(&v->conn)) {
		long n = conn_refill(net, &v->conn, &p);
		use_input(v, p, (size_t)n);
		net_flush(net);
	}
}

/* The answer has been taken. */
static void drained(struct visitor *v)
{
	if (v->last) {
		leave(v);
		return;
	}
	timer_set(v->web->base->loop, &v->timer, KEEP_ALIVE);
	conn_reading(v->web->base->net, &v->conn, !conn_kept(&v->conn));
	if (conn_kept(&v->conn))
		loop_defer(v->web->base->loop, &v->task);
}

static bool start_tls(struct visitor *v)
{
	struct tls_context *x = v->web->base->tls;
	struct tls *t = tls_serves(x) ? tls_accept(x) : NULL;

	if (t)
		conn_start_tls(v->web->base->net, &v->conn, t);
	return t != NULL;
}

static void ready(struct watch *watch, short revents)
{
	struct visitor *v = OWNER(watch, struct visitor, conn.watch);
	struct net *net = v->web->base->net;
	uint8_t *p;

	if (v->gone)
		return;
	if ((revents & POLLOUT) && conn_pending(&v->conn) && conn_drain(net, &v->conn) == 0)
		drained(v);
	if (!(revents & ~POLLOUT) || v->gone)
		return;
	if (conn_pending(&v->conn)) {   /* only an end is reported then */
		v->conn.broken = true;
		leave(v);
		return;
	}
	if (!v->conn.tls && !conn_kept(&v->conn) && conn_peek(&v->conn) == TLS_FIRST_BYTE
	    && !start_tls(v)) {
		leave(v);
		return;
	}
	long n = conn_fill(net, &v->conn, &p);
	if (n > 0)
		use_input(v, p, (size_t)n);
	else if (n < 0)
		leave(v);
	net_flush(net);
}

static void due(struct timer *t)
{
	struct visitor *v = OWNER(t, struct visitor, timer);

	v->conn.broken |= conn_pending(&v->conn) > 0;
	leave(v);
}

/* --- listening ----------------------------------------------------------- */

static bool drop_oldest(struct web *w)
{
	struct visitor *oldest = NULL;

	for (struct visitor *v = w->first; v; v = v->next)
		oldest = v->gone ? oldest : v;
	if (oldest)
		leave(oldest);
	return oldest != NULL;
}

static bool yield(void *web)
{
	return drop_oldest(web);
}

/* At the limit one gives its place up: in the next turn somebody is accepted. */
static unsigned room(void *ctx)
{
	struct web *w = ctx;

	if (w->open < VISITORS_MAX)
		return VISITORS_MAX - w->open;
	drop_oldest(w);
	return 0;
}

static void accepted(void *ctx, int fd, const struct sockaddr_storage *peer)
{
	struct web *w = ctx;
	struct visitor *v = calloc(1, sizeof *v);

	(void)peer;
	if (!v) {
		close(fd);
		return;
	}
	v->web = w;
	v->timer.fire = due;
	v->task.run = go_on;
	if (conn_open(w->base->net, &v->conn, fd, POLLIN, ready, NET_OTHER) < 0) {
		free(v);
		return;
	}
	join(v);
	w->open++;
	timer_set(w->base->loop, &v->timer, PATIENCE);
}

int web_open(struct web *w)
{
	const struct conf *c = w->base->conf;
	static const struct conf_list nowhere;

	if (!c->metrics_listen_addresses.n)
		return 0;
	w->listeners = (struct listeners){ .base = w->base, .room = room, .yield = yield,
		.accepted = accepted, .ctx = w };
	return listeners_open(&w->listeners, &(struct addresses){
		.hosts = &c->metrics_listen_addresses, .directories = &nowhere,
		.port = (int)c->metrics_port, .backlog = BACKLOG, .group = "" });
}

void web_close(struct web *w)
{
	listeners_close(&w->listeners);
	while (w->first)
		bury(w->first);
}
