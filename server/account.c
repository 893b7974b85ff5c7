#include "server/account.h"

#include "sql.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BUCKETS = 256, SPARE_PROFILES = 64, WELCOME_MAX = 16 * 1024 };    /* bytes */

struct accounts {
	struct account *bucket[BUCKETS];
	unsigned spare;                         /* unused profiles, kept for their welcome */
	uint8_t *welcome;                       /* the last one of any profile; or NULL */
	size_t welcome_len;
};

struct accounts *accounts_new(void)
{
	return calloc(1, sizeof(struct accounts));
}

void account_set_password(struct account *a, const char *password, int64_t proved)
{
	char *copy = password ? strdup(password) : NULL;

	memory_wipe_text(a->password);
	a->password = copy;
	a->proved = copy ? proved : 0;
}

bool account_knows(const struct account *a, const char *password, int64_t now)
{
	size_t n = strlen(password);

	if (!a->proved || now - a->proved >= ACCOUNT_PROOF)
		return false;
	return strlen(a->password) == n && scram_equal(a->password, password, n);
}

void account_set_keys(struct account *a, const struct scram_keys *k, const uint8_t *salt,
                      uint8_t salt_len, uint32_t iterations)
{
	a->keys = *k;
	memcpy(a->salt, salt, salt_len);
	a->salt_len = salt_len;
	a->iterations = iterations;
	a->have_keys = true;
}

static void forget_proofs(struct account *a)
{
	account_set_password(a, NULL, 0);
	explicit_bzero(&a->keys, sizeof a->keys);
	a->have_keys = false;
}

void accounts_forget_secrets(struct accounts *all,
                             bool (*keep)(void *ctx, const struct account *a), void *ctx)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct account *a = all->bucket[i]; a; a = a->chain) {
			if (!keep(ctx, a))
				forget_proofs(a);
			a->deriving = NULL;     /* it is for the logins that wait for it */
			a->demanded.demand = DEMAND_UNKNOWN;
			for (struct profile *p = a->profiles; p; p = p->next)
				p->demanded.demand = DEMAND_UNKNOWN;
		}
}

void accounts_doubt(struct accounts *all)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct account *a = all->bucket[i]; a; a = a->chain)
			a->proved = 0;
}

void accounts_forget_welcomes(struct accounts *all,
                              bool (*which)(const void *ctx, const struct account *a),
                              const void *ctx)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct account *a = all->bucket[i]; a; a = a->chain)
			for (struct profile *p = which(ctx, a) ? a->profiles : NULL; p; p = p->next)
				p->welcomed = false;
}

void accounts_forget_levels(struct accounts *all)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct account *a = all->bucket[i]; a; a = a->chain)
			for (struct profile *p = a->profiles; p; p = p->next)
				p->level = 0;
}

void accounts_forget_user(struct accounts *all, const char *user)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct account *a = all->bucket[i]; a; a = a->chain)
			if (!a->given && !strcmp(a->user, user)) {
				forget_proofs(a);
				a->deriving = NULL;
			}
}

static void free_profile(struct profile *p)
{
	free(p->welcome);
	free(p);
}

static void free_account(struct account *a)
{
	forget_proofs(a);
	if (a->given)
		memory_wipe(a->given, sizeof *a->given + a->given->len);
	free(a);
}

void accounts_free(struct accounts *all)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct account *a = all->bucket[i], *next; a; a = next) {
			next = a->chain;
			for (struct profile *p = a->profiles, *after; p; p = after) {
				after = p->next;
				free_profile(p);
			}
			free_account(a);
		}
	free(all->welcome);
	free(all);
}

/* --- accounts ------------------------------------------------------------ */

static uint32_t hash_names(const char *user, const char *database)
{
	uint32_t h = 2166136261u;

	for (; *user; user++)
		h = (h ^ (uint8_t)*user) * 16777619u;
	for (h *= 16777619u; *database; database++)
		h = (h ^ (uint8_t)*database) * 16777619u;
	return h ^ h >> 16;
}

/* With the password in the same block. */
static struct passwd_entry *copy_entry(enum passwd_kind kind, const char *text)
{
	size_t len = strlen(text);
	struct passwd_entry *e = malloc(sizeof *e + len + 1);

	if (!e)
		return NULL;
	*e = (struct passwd_entry){ .kind = kind, .text = memcpy(e + 1, text, len + 1),
		.len = len };
	return e;
}

static struct account *add_account(struct accounts *all, uint32_t hash, const char *user,
                                   const char *database)
{
	struct account **bucket = &all->bucket[hash % BUCKETS];
	size_t ulen = strlen(user) + 1, dlen = strlen(database) + 1;
	struct account *a = calloc(1, sizeof *a + ulen + dlen);
	if (!a)
		return NULL;
	a->all = all;
	a->hash = hash;
	a->refs = 1;
	memcpy(a->user, user, ulen);
	memcpy(a->user + ulen, database, dlen);
	a->database = a->user + ulen;
	a->chain = *bucket;
	*bucket = a;
	return a;
}

static struct account *find_account(struct accounts *all, uint32_t hash, const char *user,
                                    const char *database, enum passwd_kind kind, const char *text)
{
	struct account *a = all->bucket[hash % BUCKETS];

	for (; a; a = a->chain)
		if (a->hash == hash && !strcmp(a->user, user) && !strcmp(a->database, database)
		    && (a->given ? text && a->given->kind == kind && !strcmp(a->given->text, text)
		                 : !text)) {
			a->refs++;
			break;
		}
	return a;
}

struct account *account_get(struct accounts *all, const char *user, const char *database)
{
	uint32_t hash = hash_names(user, database);
	struct account *a = find_account(all, hash, user, database, PASSWD_NONE, NULL);

	return a ? a : add_account(all, hash, user, database);
}

struct account *account_get_own(struct accounts *all, const char *user, const char *database,
                                enum passwd_kind kind, const char *text)
{
	uint32_t hash = hash_names(user, database);
	struct account *a = find_account(all, hash, user, database, kind, text);

	if (a)
		return a;
	struct passwd_entry *given = copy_entry(kind, text);
	a = given ? add_account(all, hash, user, database) : NULL;
	if (!a) {
		free(given);
		return NULL;
	}
	given->user = a->user;
	a->given = given;
	return a;
}

void account_drop(struct account *a)
{
	if (--a->refs)
		return;
	struct account **at = &a->all->bucket[a->hash % BUCKETS];
	while (*at != a)
		at = &(*at)->chain;
	*at = a->chain;
	free_account(a);
}

/* --- profiles ------------------------------------------------------------ */

static const char NAME[] = "application_name";

/* The protocol's own words have their meaning in lower case only.  To PostgreSQL "USER" is a
 * parameter that does not exist. */
static bool reserved(const char *name)
{
	return !strcasecmp(name, "user") || !strcasecmp(name, "database")
	       || !strcasecmp(name, "options") || !strcasecmp(name, "replication")
	       || !strncasecmp(name, "_pq_.", 5);
}

/* Parameters in lower case, in the order in which PostgreSQL takes them: the last of equal ones
 * counts, but one value of DateStyle is one part of it, and names may be others' aliases.  Half a
 * pair is none. */
static size_t pack(const char *pairs, size_t len, char *out)
{
	const char *end = pairs + len;
	size_t at = 0;

	for (const char *name = pairs, *value; name < end; name = value + strlen(value) + 1) {
		value = name + strlen(name) + 1;
		if (value >= end)
			break;
		bool literal = reserved(name);
		for (const char *c = name; c < value; c++)
			out[at++] = literal ? *c : (char)tolower((unsigned char)*c);
		memcpy(out + at, value, strlen(value) + 1);
		at += strlen(value) + 1;
	}
	return at;
}

const char *profile_value(const struct profile *p, const char *name)
{
	const char *last = NULL;

	for (const char *at = p->params, *end = at + p->len; at < end; ) {
		const char *value = at + strlen(at) + 1;
		if (!strcmp(at, name))
			last = value;
		at = value + strlen(value) + 1;
	}
	return last;
}

uint64_t profile_position(const char *text)
{
	uint64_t lsn = wire_lsn(text);

	return lsn || text[strspn(text, "0/")] == '\0' ? lsn : UINT64_MAX;
}

/* Is this place behind "-c", white space or not, or "--"? */
static bool begins_option(const char *options, const char *p)
{
	while (p > options && isspace((unsigned char)p[-1]))
		p--;
	return p - options >= 2 && p[-2] == '-' && (p[-1] == 'c' || p[-1] == '-');
}

/* Behind "-c " or "--", where a name may have "-" for "_". */
static const char *option_value(const char *options, const char *name)
{
	const char *last = NULL;

	for (const char *p = options; *p; p++) {
		size_t i = 0;
		while (name[i] && (tolower((unsigned char)p[i]) == name[i]
		                   || (p[i] == '-' && name[i] == '_')))
			i++;
		if (!name[i] && p[i] == '=' && begins_option(options, p))
			last = p + i + 1;
	}
	return last;
}

/* The parameters' PROFILE_MIN_LSN; options come first. */
static uint64_t minimum(const struct profile *p)
{
	const char *value = profile_value(p, PROFILE_MIN_LSN);
	const char *options = profile_value(p, "options");
	char word[32];

	if (value || !options || !(value = option_value(options, PROFILE_MIN_LSN)))
		return value ? profile_position(value) : 0;
	snprintf(word, sizeof word, "%.*s", (int)strcspn(value, " \t\n"), value);
	return profile_position(word);
}

struct profile *profile_get(struct account *a, const char *pairs, size_t len)
{
	char *packed = malloc(len + 1);
	size_t n = packed ? pack(len ? pairs : "", len, packed) : 0;
	struct profile *p = NULL;

	if (!packed)
		return NULL;
	for (p = a->profiles; p; p = p->next)
		if (p->len == n && !memcmp(p->params, packed, n)) {
			if (!p->refs)
				a->all->spare--;
			profile_hold(p);
			goto out;
		}
	p = calloc(1, sizeof *p + n + 1);
	if (!p)
		goto out;
	p->account = a;
	p->refs = 1;
	p->len = n;
	memcpy(p->params, packed, n);
	const char *app = profile_value(p, NAME);
	p->application_name = app ? app : "";
	p->replication = profile_value(p, "replication") != NULL;
	p->min_lsn = minimum(p);
	p->next = a->profiles;
	a->profiles = p;
	a->refs++;
out:
	free(packed);
	return p;
}

struct profile *profile_hold(struct profile *p)
{
	p->refs++;
	return p;
}

/* A profile that nobody uses is kept if it has a welcome, so that the next client of its
 * kind need not ask a server; but not without limit. */
void profile_drop(struct profile *p)
{
	if (!p || --p->refs)
		return;
	struct account *a = p->account;
	if (p->welcomed && a->all->spare < SPARE_PROFILES) {
		a->all->spare++;
		return;
	}
	struct profile **at = &a->profiles;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	free_profile(p);
	account_drop(a);
}

/* --- welcomes ------------------------------------------------------------ */

/* Finds a ParameterStatus; its value, and where the message begins and ends. */
static const char *status_find(const uint8_t *at, size_t len, const char *name,
                               size_t *from, size_t *to)
{
	struct msg m;

	for (size_t pos = 0; pos < len; ) {
		long n = wire_next(&m, at + pos, len - pos, len);
		if (n <= 0)
			break;
		const char *key = msg_text(&m), *value = msg_text(&m);
		if (!strcasecmp(key, name)) {
			*from = pos;
			*to = pos + (size_t)n;
			return value;
		}
		pos += (size_t)n;
	}
	return NULL;
}

/* A node cannot make it grow for ever: what has no room is not told to later clients. */
int profile_report(struct profile *p, const char *name, const char *value)
{
	const uint8_t *was = p->welcome ? p->welcome : (const uint8_t *)"";
	size_t from = p->welcome_len, to = from;
	size_t size = 1 + 4 + strlen(name) + 1 + strlen(value) + 1;

	const char *had = status_find(was, p->welcome_len, name, &from, &to);
	bool news = had && strcmp(had, value) != 0;
	bool fits = p->welcome_len - (to - from) + size <= WELCOME_MAX;
	if (!fits && !had)
		return 0;
	uint8_t *w = malloc(p->welcome_len + size);
	if (!w)
		return -1;
	struct put o = { .base = w, .cap = p->welcome_len + size };
	put_bytes(&o, was, from);
	if (fits) {
		put_begin(&o, 'S');
		put_text(&o, name);
		put_text(&o, value);
		put_end(&o);
	}
	put_bytes(&o, was + to, p->welcome_len - to);
	free(p->welcome);
	p->welcome = w;
	p->welcome_len = o.len;
	return news;
}

static int copy_bytes(uint8_t **to, size_t *to_len, const uint8_t *from, size_t len)
{
	uint8_t *copy = malloc(len + 1);

	if (!copy)
		return -1;
	memcpy(copy, from, len);
	free(*to);
	*to = copy;
	*to_len = len;
	return 0;
}

int profile_copy_welcome(struct profile *to, const struct profile *from)
{
	return from->welcome ? copy_bytes(&to->welcome, &to->welcome_len, from->welcome,
	                                  from->welcome_len) : -1;
}

void profile_is_welcomed(struct profile *p)
{
	struct accounts *all = p->account->all;

	p->welcomed = true;
	if (p->welcome)
		copy_bytes(&all->welcome, &all->welcome_len, p->welcome, p->welcome_len);
}

/* What the startup packet says is most likely what PostgreSQL will report. */
bool profile_guess_welcome(struct profile *p)
{
	const struct accounts *all = p->account->all;
	size_t from, to;

	if (p->welcome)
		return true;            /* it was true once */
	if (!all->welcome
	    || copy_bytes(&p->welcome, &p->welcome_len, all->welcome, all->welcome_len) < 0)
		return false;
	profile_report(p, "session_authorization", p->account->user);
	profile_report(p, "is_superuser", "off");
	profile_report(p, NAME, p->application_name);
	for (const char *at = p->params, *value; at < p->params + p->len;
	     at = value + strlen(value) + 1) {
		value = at + strlen(at) + 1;
		if (status_find(p->welcome, p->welcome_len, at, &from, &to))
			profile_report(p, (const char *)p->welcome + from + WIRE_HEADER, value);
	}
	return true;
}

/* --- the name of the application ----------------------------------------- */

/* The next parameter but the application's name, from here on; the end if there is none. */
static const char *other(const struct profile *p, const char *at)
{
	while (at < p->params + p->len && !strcmp(at, NAME)) {
		at += sizeof NAME;
		at += strlen(at) + 1;
	}
	return at;
}

bool profile_fits(const struct profile *a, const struct profile *b)
{
	const char *end_a = a->params + a->len, *end_b = b->params + b->len;
	const char *pa = other(a, a->params), *pb = other(b, b->params);

	if (a->replication || b->replication)
		return false;
	while (pa < end_a && pb < end_b && !strcmp(pa, pb)) {
		const char *va = pa + strlen(pa) + 1, *vb = pb + strlen(pb) + 1;
		if (strcmp(va, vb))
			break;
		pa = other(a, va + strlen(va) + 1);
		pb = other(b, vb + strlen(vb) + 1);
	}
	return pa == end_a && pb == end_b;
}

bool profile_name_stays(const char *name)
{
	size_t len = 0;

	while (name[len] >= ' ' && name[len] <= '~')
		len++;
	return !name[len] && len < APPLICATION_NAME_SIZE;
}

/* Without the parameter it may be a role's, or in the options. */
const char *profile_name(const struct profile *p)
{
	const char *name = profile_value(p, NAME);
	size_t from, to;

	if (!name && p->welcomed)
		name = status_find(p->welcome, p->welcome_len, NAME, &from, &to);
	return name && profile_name_stays(name) ? name : NULL;
}
