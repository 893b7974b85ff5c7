#include "server/stmt.h"

#include "wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_BUCKETS = 64, FIRST_SLOTS = 8 };

struct stmts {
	uint64_t seed[2];
	struct stmt **bucket;
	uint32_t nbuckets, count;
};

/* --- the hash: multiply and fold, eight bytes at a time ------------------ */

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 wide = (unsigned __int128)a * b;

	return (uint64_t)wide ^ (uint64_t)(wide >> 64);
}

static uint64_t load(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

uint64_t stmt_hash(const struct stmts *all, const void *at, size_t n)
{
	const uint8_t *p = at;
	uint64_t h = all->seed[0] ^ n;

	for (; n > 16; p += 16, n -= 16)
		h = fold(load(p, 8) ^ all->seed[1], load(p + 8, 8) ^ h);
	uint64_t a = load(p, n < 8 ? n : 8), b = n > 8 ? load(p + 8, n - 8) : 0;
	return fold(fold(a ^ all->seed[1], b ^ h), all->seed[0] | 1);
}

/* --- texts --------------------------------------------------------------- */

struct stmts *stmts_new(void)
{
	struct stmts *all = calloc(1, sizeof *all);

	if (!all)
		return NULL;
	all->bucket = calloc(FIRST_BUCKETS, sizeof *all->bucket);
	all->nbuckets = FIRST_BUCKETS;
	if (!all->bucket || getrandom(all->seed, sizeof all->seed, 0) != sizeof all->seed) {
		stmts_free(all);
		return NULL;
	}
	return all;
}

void stmts_free(struct stmts *all)
{
	if (!all)
		return;
	for (uint32_t i = 0; all->bucket && i < all->nbuckets; i++)
		for (struct stmt *s = all->bucket[i], *next; s; s = next) {
			next = s->chain;
			free(s);
		}
	free(all->bucket);
	free(all);
}

static void grow_buckets(struct stmts *all)
{
	uint32_t n = all->nbuckets * 4;
	struct stmt **bucket = calloc(n, sizeof *bucket);

	if (!bucket)
		return;         /* longer chains, nothing worse */
	for (uint32_t i = 0; i < all->nbuckets; i++)
		for (struct stmt *s = all->bucket[i], *next; s; s = next) {
			next = s->chain;
			s->chain = bucket[s->hash & (n - 1)];
			bucket[s->hash & (n - 1)] = s;
		}
	free(all->bucket);
	all->bucket = bucket;
	all->nbuckets = n;
}

static bool same(const struct stmt *a, const struct stmt *b, const void *text)
{
	return a->hash == b->hash && a->len == b->len && a->sql == b->sql && a->shape == b->shape
	       && a->settings == b->settings && !memcmp(a->text, text, a->len);
}

/* The one like this, with this text. */
static struct stmt *intern(struct stmts *all, struct stmt like, const void *text)
{
	like.hash = stmt_hash(all, text, like.len) + like.sql + like.shape
	            + (like.settings ? like.settings->hash : 0);
	for (struct stmt *s = all->bucket[like.hash & (all->nbuckets - 1)]; s; s = s->chain)
		if (same(s, &like, text))
			return stmt_hold(s);
	if (all->count > all->nbuckets)
		grow_buckets(all);
	struct stmt *s = malloc(sizeof *s + like.len + 1);
	if (!s)
		return NULL;
	struct stmt **at = &all->bucket[like.hash & (all->nbuckets - 1)];
	like.chain = *at;
	like.refs = 1;
	*s = like;
	memcpy(s->text, text, s->len);
	s->text[s->len] = 0;
	s->query_len = (uint32_t)strlen(s->text);
	if (s->settings)
		stmt_hold(s->settings);
	*at = s;
	all->count++;
	return s;
}

struct stmt *stmt_get(struct stmts *all, bool sql, const void *text, size_t len,
                      const struct sql_facts *facts)
{
	return intern(all, (struct stmt){ .facts = *facts, .len = (uint32_t)len, .sql = sql },
		text);
}

struct stmt *stmt_described(struct stmts *all, const struct stmt *st, struct stmt *settings,
                            uint64_t shape, const void *types, size_t types_len)
{
	struct stmt like = { .facts = st->facts, .len = st->len, .sql = st->sql,
		.settings = settings, .shape = shape };
	size_t query = st->query_len + 1;

	if (st->sql || !types || query > st->len
	    || (st->len == query + types_len && !memcmp(st->text + query, types, types_len)))
		return intern(all, like, st->text);
	like.len = (uint32_t)(query + types_len);
	char *text = malloc(like.len);
	if (!text)
		return NULL;
	memcpy(text, st->text, query);
	memcpy(text + query, types, types_len);
	struct stmt *s = intern(all, like, text);
	free(text);
	return s;
}

/* Of a column: its name, and behind its table and number there its type, length and modifier.  A
 * table that was made anew has the same shape. */
uint64_t stmt_shape(const struct stmts *all, char type, const void *body, size_t len)
{
	enum { PLACE = 6, TYPE = 10, FORMAT = 2 };
	struct msg m = { .type = type, .at = body, .end = (const uint8_t *)body + len };
	uint64_t h = (uint8_t)type + (uint64_t)msg_u16(&m) * 256;

	while (m.at < m.end) {
		const char *name = msg_text(&m);
		if (m.broken || m.end - m.at < PLACE + TYPE + FORMAT)
			break;
		h = fold(h ^ stmt_hash(all, name, strlen(name)), all->seed[1] | 1)
		    ^ stmt_hash(all, m.at + PLACE, TYPE);
		m.at += PLACE + TYPE + FORMAT;
	}
	return h | 1;
}

struct stmt *stmt_hold(struct stmt *s)
{
	s->refs++;
	return s;
}

void stmt_drop(struct stmts *all, struct stmt *s)
{
	if (!s || --s->refs)
		return;
	struct stmt **at = &all->bucket[s->hash & (all->nbuckets - 1)];
	while (*at != s)
		at = &(*at)->chain;
	*at = s->chain;
	all->count--;
	stmt_drop(all, s->settings);
	free(s);
}

/* --- names --------------------------------------------------------------- */

static char gone[] = "";        /* the mark of a name that was removed */

/* Keyed, since clients choose the names: nobody can make them collide on purpose. */
static uint32_t name_hash(const struct names *m, const char *name)
{
	uint32_t h = m->seed;

	for (const char *end = name + WIRE_NAME_MAX; name < end && *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h ^ h >> 15;
}

static struct stmt_name *find(const struct names *m, const char *name, uint32_t hash)
{
	if (!m->cap)
		return NULL;
	for (uint32_t i = hash & (m->cap - 1); m->slot[i].name; i = (i + 1) & (m->cap - 1))
		if (m->slot[i].hash == hash && m->slot[i].name != gone
		    && wire_same_name(m->slot[i].name, name))
			return &m->slot[i];
	return NULL;
}

struct stmt *names_find(const struct names *m, const char *name)
{
	if (!m->used)
		return NULL;
	const struct stmt_name *n = find(m, name, name_hash(m, name));
	return n ? n->stmt : NULL;
}

static void insert(struct names *m, struct stmt_name n)
{
	uint32_t i = n.hash & (m->cap - 1);

	while (m->slot[i].name)
		i = (i + 1) & (m->cap - 1);
	m->slot[i] = n;
	m->used++;
}

/* Keeps at least a quarter of the slots free, and forgets the marks. */
static int make_room(struct names *m)
{
	if (m->cap && (m->used + m->marks + 1) * 4 <= m->cap * 3)
		return 0;
	struct names bigger = { .cap = FIRST_SLOTS, .seed = m->seed };
	while (bigger.cap < (m->used + 1) * 2)
		bigger.cap *= 2;
	bigger.slot = calloc(bigger.cap, sizeof *bigger.slot);
	if (!bigger.slot)
		return -1;
	for (uint32_t i = 0; i < m->cap; i++)
		if (m->slot[i].name && m->slot[i].name != gone)
			insert(&bigger, m->slot[i]);
	free(m->slot);
	*m = bigger;
	return 0;
}

int names_set(struct stmts *all, struct names *m, const char *name, struct stmt *s)
{
	if (!m->cap)
		m->seed = (uint32_t)all->seed[0];
	uint32_t hash = name_hash(m, name);
	struct stmt_name *n = find(m, name, hash);

	if (n) {
		stmt_hold(s);
		stmt_drop(all, n->stmt);
		n->stmt = s;
		return 0;
	}
	char *copy = strndup(name, WIRE_NAME_MAX);
	if (!copy || make_room(m) < 0) {
		free(copy);
		return -1;
	}
	insert(m, (struct stmt_name){ copy, stmt_hold(s), hash });
	return 0;
}

int names_add(struct stmts *all, struct names *to, const struct names *from)
{
	for (uint32_t i = 0; i < from->cap; i++) {
		const struct stmt_name *n = &from->slot[i];
		if (n->stmt && !names_find(to, n->name) && names_set(all, to, n->name, n->stmt) < 0)
			return -1;
	}
	return 0;
}

bool names_remove(struct stmts *all, struct names *m, const char *name)
{
	struct stmt_name *n = find(m, name, name_hash(m, name));

	if (!n)
		return false;
	stmt_drop(all, n->stmt);
	free(n->name);
	*n = (struct stmt_name){ .name = gone };
	m->used--;
	m->marks++;
	return true;
}

void names_clear(struct stmts *all, struct names *m)
{
	for (uint32_t i = 0; i < m->cap; i++)
		if (m->slot[i].name && m->slot[i].name != gone) {
			stmt_drop(all, m->slot[i].stmt);
			free(m->slot[i].name);
		}
	free(m->slot);
	*m = (struct names){ 0 };
}
