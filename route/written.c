#include "route/written.h"

#include <stdlib.h>

enum { MARKS_FIRST = 64 };

void written_free(struct written *w)
{
	free(w->mark);
	*w = (struct written){ 0 };
}

/* FNV-1a. */
uint64_t written_key(uint64_t key, const char *text)
{
	for (; *text; text++) {
		char c = *text >= 'A' && *text <= 'Z' ? (char)(*text + ('a' - 'A')) : *text;
		key = (key ^ (unsigned char)c) * UINT64_C(1099511628211);
	}
	return key;
}

/* The key's place, or where it would go.  There is always a free place. */
static struct written_mark *find(struct written_mark *mark, size_t cap, uint64_t key)
{
	size_t at = (key ^ key >> 32) & (cap - 1);

	while (mark[at].key && mark[at].key != key)
		at = (at + 1) & (cap - 1);
	return &mark[at];
}

static size_t count_live(const struct written *w, int64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < w->cap; i++)
		n += w->mark[i].key && w->mark[i].until > now;
	return n;
}

/* Drops expired marks, and makes room for as many again.  false without memory. */
static bool make_room(struct written *w, size_t live, int64_t now)
{
	size_t cap = MARKS_FIRST;

	while (cap < live * 4)
		cap *= 2;
	struct written_mark *fresh = calloc(cap, sizeof *fresh);
	if (!fresh)
		return false;
	for (size_t i = 0; i < w->cap; i++)
		if (w->mark[i].key && w->mark[i].until > now)
			*find(fresh, cap, w->mark[i].key) = w->mark[i];
	free(w->mark);
	w->mark = fresh;
	w->cap = cap;
	w->used = live;
	return true;
}

/* The key's place; NULL: there is none. */
static struct written_mark *find_place(struct written *w, uint64_t key, int64_t now, size_t most)
{
	struct written_mark *m = w->cap ? find(w->mark, w->cap, key) : NULL;

	if (m && m->key)
		return m;
	if (w->used >= most || w->used >= w->cap / 2) {
		size_t live = count_live(w, now);
		if (live >= most || !make_room(w, live, now))
			return NULL;
		m = find(w->mark, w->cap, key);
	}
	w->used++;
	m->key = key;
	return m;
}

void written_add(struct written *w, uint64_t key, int64_t now, const struct written_limits *l)
{
	struct written_mark *m = find_place(w, key | 1, now, l->marks);
	int64_t *until = m ? &m->until : &w->all_until, end = now + l->ttl;

	if (m && m->until <= now)
		m->first = now;         /* a new run */
	if (m && l->longest && end > m->first + l->longest)
		end = m->first + l->longest;
	if (*until < end)
		*until = end;
	if (w->until < end)
		w->until = end;
}

bool written_lately(const struct written *w, uint64_t key, int64_t now)
{
	if (now >= w->until)
		return false;
	if (now < w->all_until)
		return true;
	return w->cap && find(w->mark, w->cap, key | 1)->until > now;
}
