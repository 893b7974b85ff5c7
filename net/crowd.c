#include "net/crowd.h"

#include <netinet/in.h>
#include <stddef.h>

static uint8_t hash(const uint8_t *p, size_t n)
{
	uint32_t h = 2166136261u;

	while (n--)
		h = (h ^ *p++) * 16777619u;
	return (uint8_t)(h ^ h >> 8 ^ h >> 16 ^ h >> 24);
}

uint8_t crowd_address(const struct sockaddr_storage *peer)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;

	if (peer->ss_family == AF_INET)
		return hash((const uint8_t *)&v4->sin_addr, 4);
	return peer->ss_family == AF_INET6 ? hash(v6->sin6_addr.s6_addr, 8) : 0;
}

void crowd_join(struct crowd *c, struct member *m)
{
	m->next = NULL;
	m->previous = c->last;
	*(c->last ? &c->last->next : &c->first) = m;
	c->last = m;
	c->n++;
	c->of[m->address]++;
}

void crowd_leave(struct crowd *c, struct member *m)
{
	*(m->previous ? &m->previous->next : &c->first) = m->next;
	*(m->next ? &m->next->previous : &c->last) = m->previous;
	c->n--;
	c->of[m->address]--;
}

struct member *crowd_pick(const struct crowd *c)
{
	struct member *m = c->first;
	unsigned most = 0;

	for (int i = 0; i < CROWD_ADDRESSES; i++)
		if (c->of[i] > most)
			most = c->of[i];
	while (m && c->of[m->address] != most)
		m = m->next;
	return m;
}

bool crowd_dropped(struct crowd *c, int64_t now)
{
	c->dropped++;
	if (c->told && now - c->told < CROWD_QUIET)
		return false;
	c->told = now;
	return true;
}
