/* server/cancel.c - cancel requests on their way to PostgreSQL.
 *
 * Each is sent on a connection of its own, to the address that its server is connected to, and with
 * TLS if the server has it.  Nobody else may read the key in it, or receive it. */
#include "server/inside.h"

#include "server/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { CANCEL_TIMEOUT = 5000 };                 /* ms */

struct cancel {
	struct conn conn;
	struct timer timer;
	struct task bury;
	struct secure secure;
	struct server *server;
	struct borrower *by;                    /* who asked for it; NULL: nobody waits */
	struct cancel *next, **at;              /* of all that are on their way */
};

static void bury_cancel(struct task *t)
{
	free(OWNER(t, struct cancel, bury));
}

static void end_cancel(struct cancel *c)
{
	struct servers *all = c->server->all;
	struct borrower *by = c->by;

	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	timer_stop(all->base->loop, &c->timer);
	conn_close(all->base->net, &c->conn);
	loop_defer(all->base->loop, &c->bury);
	server_canceled(c->server);
	if (by)
		by->ops->eased(by);
	net_flush(all->base->net);
}

static void cancel_late(struct timer *t)
{
	end_cancel(OWNER(t, struct cancel, timer));
}

/* Its answer is the end of the connection: the signal was sent, to the process and then to its
 * group. */
static void cancel_sent(struct watch *w, short revents)
{
	struct cancel *c = OWNER(w, struct cancel, conn.watch);

	if (revents & ~POLLOUT)
		end_cancel(c);
	else
		conn_drain(c->server->all->base->net, &c->conn);
}

static void send_cancel(struct cancel *c)
{
	struct server *s = c->server;
	struct put o = net_build(s->all->base->net, 12 + sizeof s->key);

	put_begin(&o, 0);
	put_u32(&o, WIRE_CANCEL);
	put_u32(&o, s->pid);
	put_bytes(&o, s->key, s->key_len);
	put_end(&o);
	c->conn.watch.ready = cancel_sent;
	conn_put(s->all->base->net, &c->conn, o.base, o.len);
	net_flush(s->all->base->net);
}

static void cancel_secured(struct cancel *c, enum secured how)
{
	struct server *s = c->server;

	if (how == SECURE_DONE) {
		send_cancel(c);
	} else if (how != SECURE_MORE) {
		log_write(s->all->base->log, NULL, LEVEL_LOG, c->secure.why, NULL,
			"a cancel request could not be sent to node %d", s->node->id);
		end_cancel(c);
	} else {
		net_flush(s->all->base->net);
	}
}

static void cancel_securing(struct watch *w, short revents)
{
	struct cancel *c = OWNER(w, struct cancel, conn.watch);
	struct net *net = c->server->all->base->net;

	if (revents & POLLOUT)
		conn_drain(net, &c->conn);
	if (revents & ~POLLOUT)
		cancel_secured(c, secure_go_on(&c->secure, net, &c->conn));
}

static void cancel_connected(struct watch *w, short revents)
{
	struct cancel *c = OWNER(w, struct cancel, conn.watch);
	struct servers *all = c->server->all;

	if (revents & ~POLLOUT) {
		end_cancel(c);
		return;
	}
	watch_want(all->base->loop, w, POLLIN);
	w->ready = cancel_securing;
	cancel_secured(c, secure_begin(&c->secure, all->base->net, &c->conn));
}

bool server_cancel(struct server *s, struct borrower *by)
{
	struct cancel *c = s->key_len ? calloc(1, sizeof *c) : NULL;
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;

	if (!c)
		return false;
	c->server = s;
	c->by = by;
	c->timer.fire = cancel_late;
	c->bury.run = bury_cancel;
	secure_prepare(&c->secure, s->all->base, node_conf(s->node),
		s->secured.mode ? s->secured.mode : SSLMODE_DISABLE);
	if (s->secured.tls) {
		c->secure.context = &s->secured.tls;
		c->secure.direct = s->secured.direct;
	}
	if (s->secured.host)
		snprintf(c->secure.host, sizeof c->secure.host, "%s", s->secured.host);
	int fd = getpeername(s->conn.watch.fd, (struct sockaddr *)&peer, &len) == 0
	         ? secure_connect(s->all->base->conf, &peer, len) : -1;
	if (fd < 0 || conn_open(s->all->base->net, &c->conn, fd, POLLOUT, cancel_connected,
	                        NET_NODE) < 0) {
		free(c);
		return false;
	}
	timer_set(s->all->base->loop, &c->timer, CANCEL_TIMEOUT);
	s->cancels++;
	c->at = &s->all->cancels;
	c->next = *c->at;
	if (c->next)
		c->next->at = &c->next;
	*c->at = c;
	return true;
}

void cancels_forget(struct servers *all, const struct borrower *by)
{
	for (struct cancel *c = all->cancels; c; c = c->next)
		if (c->by == by)
			c->by = NULL;
}

void cancels_end(struct servers *all)
{
	while (all->cancels)
		end_cancel(all->cancels);
}
