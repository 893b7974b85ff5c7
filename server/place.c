#include "server/place.h"

#include "server.h"

#include <stdlib.h>

enum { PLACES_FIRST = 16 };

static int make_room(struct places *p)
{
	uint32_t room = p->room ? 2 * p->room : PLACES_FIRST;
	struct server **of = realloc(p->of, room * sizeof *of);

	if (!of)
		return -1;
	p->of = of;
	p->room = room;
	return 0;
}

int place_take(struct places *p, struct server *s)
{
	while (p->first < p->n && p->of[p->first])
		p->first++;
	if (p->first == p->room && make_room(p) < 0)
		return -1;
	p->n += p->first == p->n;
	s->place = p->first;
	p->of[p->first++] = s;
	return 0;
}

void place_leave(struct places *p, struct server *s)
{
	p->of[s->place] = NULL;
	if (s->place < p->first)
		p->first = s->place;
}

void places_free(struct places *p)
{
	free(p->of);
	*p = (struct places){ .of = NULL };
}
