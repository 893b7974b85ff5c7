#include "client/peer.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct peer_name {
	struct job job;
	struct sockaddr_storage peer;
	void (*told)(void *ctx, const char *name, bool confirmed);
	void *ctx;
	atomic_bool forgotten;                  /* nobody wants to know */
	bool confirmed;
	char name[NI_MAXHOST];
};

static socklen_t length(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr *b)
{
	if (a->ss_family != b->sa_family)
		return false;
	if (b->sa_family == AF_INET)
		return !memcmp(&((const struct sockaddr_in *)a)->sin_addr,
			&((const struct sockaddr_in *)b)->sin_addr, sizeof(struct in_addr));
	return !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
		&((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr));
}

static void look_up(struct job *j)
{
	struct peer_name *p = OWNER(j, struct peer_name, job);
	struct addrinfo hints = { .ai_family = p->peer.ss_family, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;

	if (p->forgotten)
		return;
	if (getnameinfo((struct sockaddr *)&p->peer, length(&p->peer), p->name, sizeof p->name,
	                NULL, 0, NI_NAMEREQD) != 0) {
		p->name[0] = '\0';
		return;
	}
	if (getaddrinfo(p->name, NULL, &hints, &list) != 0)
		return;
	for (const struct addrinfo *a = list; a && !p->confirmed; a = a->ai_next)
		p->confirmed = same_host(&p->peer, a->ai_addr);
	freeaddrinfo(list);
}

static void looked_up(struct job *j)
{
	struct peer_name *p = OWNER(j, struct peer_name, job);

	if (p->told)
		p->told(p->ctx, p->name, p->confirmed);
	free(p);
}

/* IPv4 inside IPv6 is IPv4: name servers know only that. */
static void plain(struct sockaddr_storage *to, const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
	struct sockaddr_in *four = (struct sockaddr_in *)to;

	*to = *from;
	if (from->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		return;
	*four = (struct sockaddr_in){ .sin_family = AF_INET };
	memcpy(&four->sin_addr, six->sin6_addr.s6_addr + 12, 4);
}

struct peer_name *peer_look_up(struct loop *l, const struct sockaddr_storage *peer,
	void (*told)(void *ctx, const char *name, bool confirmed), void *ctx)
{
	struct peer_name *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->job.work = look_up;
	p->job.done = looked_up;
	p->told = told;
	p->ctx = ctx;
	plain(&p->peer, peer);
	if (loop_job(l, LANE_PEERS, &p->job) < 0) {
		free(p);
		return NULL;
	}
	return p;
}

void peer_forget(struct peer_name *p)
{
	if (!p)
		return;
	p->told = NULL;
	p->forgotten = true;
}
