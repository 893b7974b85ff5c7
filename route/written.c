#include "route/written.h"

#include "node.h"

#include <stdlib.h>

enum { MARKS_FIRST = 64 };

void written_free(struct written *w)
{
	static const struct written_mark none;

	free(w->mark);
	w->mark = NULL;
	w->since = 0;
	w->used = w->cap = 0;
	w->last = w->all = none;
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

static bool is_live(const struct written_mark *m, struct written_now now)
{
	return m->sample && now.sampling ? !sample_reached(now.reached, m->sample)
		: m->until > now.ms;
}

static size_t count_live(const struct written *w, struct written_now now)
{
	size_t n = 0;

	for (size_t i = 0; i < w->cap; i++)
		n += w->mark[i].key && is_live(&w->mark[i], now);
	return n;
}

/* Drops expired marks, and makes room for as many again.  false without memory. */
static bool make_room(struct written *w, size_t live, struct written_now now)
{
	size_t cap = MARKS_FIRST;

	while (cap < live * 4)
		cap *= 2;
	struct written_mark *fresh = calloc(cap, sizeof *fresh);
	if (!fresh)
		return false;
	for (size_t i = 0; i < w->cap; i++)
		if (w->mark[i].key && is_live(&w->mark[i], now))
			*find(fresh, cap, w->mark[i].key) = w->mark[i];
	free(w->mark);
	w->mark = fresh;
	w->cap = cap;
	w->used = live;
	return true;
}

/* The key's place; NULL: there is none. */
static struct written_mark *find_place(struct written *w, uint64_t key, struct written_now now,
                                       size_t most)
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

/* Of two protections the longer one; one by a sample is longer than one by time. */
static void extend(struct written_mark *m, uint32_t sample, int64_t until)
{
	if (sample && (!m->sample || sample_reached(sample, m->sample)))
		m->sample = sample;
	if (m->until < until)
		m->until = until;
}

void written_add(struct written *w, uint64_t key, uint32_t sample, struct written_now now,
                 const struct written_limits *l)
{
	struct written_mark *m = find_place(w, key | 1, now, l->marks);
	int64_t end = now.ms + l->ttl;

	if (m && !is_live(m, now)) {
		m->first = now.ms;      /* a new run */
		m->sample = 0;
	}
	if (m && l->longest && end > m->first + l->longest)
		end = m->first + l->longest;
	extend(m ? m : &w->all, sample, end);
	extend(&w->last, sample, end);
}

bool written_any(const struct written *w, struct written_now now)
{
	return is_live(&w->last, now) || w->last.until > now.ms;
}

bool written_lately(const struct written *w, uint64_t key, struct written_now now)
{
	if (!written_any(w, now))
		return false;
	if (is_live(&w->all, now))
		return true;
	return w->cap && is_live(find(w->mark, w->cap, key | 1), now);
}
