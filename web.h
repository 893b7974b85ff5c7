/* web.h - the HTTP port: /metrics for Prometheus, /healthz and /readyz for Kubernetes, a page.
 *
 * It listens on metrics_listen_addresses and metrics_port; without addresses there is none.  It
 * answers GET and HEAD of these paths, with keep-alive; over TLS, too, with the server's
 * certificate, when the first byte says so.  A visitor gets one answer at a time: its next request
 * is read when it has taken the last one.  There are at most VISITORS_MAX; at that limit the one
 * that has been silent for longest gives its place up.
 *
 *     /          a page for people
 *     /healthz   200: the program answers
 *     /readyz    200: it would serve a client; 503 says why not
 */
#ifndef WEB_H
#define WEB_H

#include "admin.h"
#include "net.h"

enum { VISITORS_MAX = 32 };

struct visitor;

struct web {
	const struct admin *admin;
	struct base *base;
	const bool *draining;                   /* the program is about to end */

	struct listeners listeners;
	struct visitor *first;                  /* the one that was heard of last */
	unsigned open;
};

/* Listens; the members above the listeners are set.  -1 after saying why in the log. */
int web_open(struct web *w);

void web_close(struct web *w);

#endif
