#include "route/bodies.h"

#include "route/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	NAMES_MAX = 200,                        /* custom parameters of a database */
	AGE = 200,                              /* ms */
	PATIENCE = 10000,                       /* ms for an answer */
	AGAIN = 1000,                           /* ms after a failure */
	NAME_MAX_LEN = 127,
};

struct code {
	struct code *next;
	struct bodies *all;
	int64_t learned;                        /* loop_now() */
	int64_t expires;                        /* the same; 0: never */
	uint32_t generation;
	unsigned can;
	bool known;
	unsigned computed, calling;             /* told of so many views that do */
	struct ask ask;
	uint32_t asked;                         /* its generation */
	uint32_t number, told;                  /* of the last question; of the last answer */
	int64_t again;                          /* it failed: not before */
	struct account *by;                     /* the asker; counted */
	bool own;                               /* sr_check_user could not ask */
	bool odd;                               /* there are names that cannot be asked for */
	unsigned nnames;
	char *name[NAMES_MAX];
	char database[];
};

struct bodies {
	struct servers *servers;
	struct code *first;
	void (*told)(void *ctx);
	void *ctx;
};

/* --- the question -------------------------------------------------------- */

/* The bodies' own texts are looked at, strings and comments included.  "set" counts where a
 * statement may begin: not in UPDATE t SET.  EXECUTE of a literal, or of format() with quoted names
 * and literals only, says in its text what it does; any other may do anything. */
#define SET_BEGINS "(^|[;'\"/>$]|--[^\\n]*\\n|\\m(begin|then|else|loop|do|atomic)\\M)\\s*set\\M"
#define FORMAT "format\\s*\\(\\s*'([^'%]|''|%[IL%]|%\\d+\\$[IL])*'\\s*(,[^;|]*)?\\)"
#define BUILDS "\\mexecute\\s+(?!(function|procedure|on)\\M|('([^']|'')*'|" FORMAT ")" \
	"\\s*(;|into\\M|using\\M))"
#define CONFIGURES "\\mset_config\\s*\\(\\s*"
#define NAMED CONFIGURES "'([a-z_]\\w*(?:\\.\\w+)+)'"
#define COMPUTED "\\mset_config(?!\\s*\\(\\s*'[a-z_]\\w*(?:\\.\\w+)*'\\s*,)" \
	"|\\m(?:set|local|session)\\s+\"?\\w[\\w$]*\"?\\s*\\." \
	"(?!\\s*\"?\\w+\"?\\s*(?:=|to\\M))"
#define CUSTOM "\\m(?:set|local|session)\\s+\"?([a-z_]\\w*)\"?\\s*\\.\\s*\"?(\\w+)\"?" \
	"\\s*(?:=|to\\M)"

/* Patterns stand between dollars, whatever standard_conforming_strings says. */
#define HAS(pattern) "s.t ~* $p$" pattern "$p$"
#define BITS(pattern, bits) " | (CASE WHEN " HAS(pattern) " THEN " bits " ELSE 0 END)"
#define CLASS(name) "d.classid = '" name "'::regclass"
#define MATCHES(pattern) "regexp_matches(s.t, $p$" pattern "$p$, 'gi') m(m)"

/* What is not a text, but calls, maybe when somebody writes: rules (of views, too), defaults,
 * checks, policies, conditions of triggers, default arguments, bodies that are parsed.  They are
 * found in the trees that PostgreSQL keeps, without a lock: see tree.h.  2880 to 2892 are the
 * advisory locks of sessions.  A rule or a body may write pg_settings, which views only read. */
#define WRITABLE "'%:fromlist ({RANGETBLREF :rtindex _}) :quals%'"      /* of one table */
#define SETTERS "'%funcid 2078 %', concat('rule%relid ', 'pg_settings'::regclass::oid, ' %')"
#define LOCKERS "'%funcid 288_ %', '%funcid 2890 %', '%funcid 2891 %', '%funcid 2892 %'"

/* A row is 'can', a number; or 'name', a custom parameter. */
static const char question[] = "SET LOCAL statement_timeout = 0;WITH s AS MATERIALIZED ("
	"SELECT p.prosrc AS t, l.lanpltrusted AS trusted"
	" FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang"
	" WHERE l.lanname NOT IN ('c', 'internal') AND p.oid >= 16384::oid),"
	" h(t) AS MATERIALIZED (SELECT t FROM ("
	"SELECT concat(CASE WHEN r.ev_type <> '1' THEN 'rule' END, r.ev_qual::text,"
	" r.ev_action::text) FROM pg_rewrite r WHERE r.ev_class >= 16384::oid"
	" UNION ALL SELECT adbin::text FROM pg_attrdef"
	" UNION ALL SELECT conbin::text FROM pg_constraint"
	" UNION ALL SELECT concat(polqual::text, polwithcheck::text) FROM pg_policy"
	" UNION ALL SELECT tgqual::text FROM pg_trigger"
	" UNION ALL SELECT typdefaultbin::text FROM pg_type"
	" UNION ALL SELECT concat('rule', p.proargdefaults::text, to_jsonb(p) ->> 'prosqlbody')"
	" FROM pg_proc p WHERE p.oid >= 16384::oid) trees(t)"
	" WHERE t LIKE ANY (ARRAY[" SETTERS ", " LOCKERS "])),"
	" called(name) AS MATERIALIZED (SELECT " TREE_NAME " FROM h, " TREE_CALLS("h.t") "),"
	" names(name) AS ("
	"SELECT m.m[1] FROM s, " MATCHES(NAMED)
	" UNION ALL SELECT concat(m.m[1], '.', m.m[2]) FROM s, " MATCHES(CUSTOM)
	" UNION ALL SELECT name FROM called WHERE name ~ '[.]')"
	" (SELECT DISTINCT 'name', left(lower(name COLLATE \"C\"), 128) FROM names LIMIT 200)"
	" UNION ALL SELECT 'can', ((SELECT COALESCE(bit_or((CASE WHEN s.trusted THEN 0 ELSE 31 END)"
	BITS("\\m(set_config|reset|discard|pg_settings)\\M|" SET_BEGINS, "1")
	BITS("\\m(temp|temporary|pg_temp\\w*)\\M", "2")
	BITS("\\mhold\\M", "4")
	BITS("\\m(un)?listen\\M", "8")
	BITS("advisory", "16")
	BITS(BUILDS, "31")
	BITS(COMPUTED, "32")
	" | (CASE WHEN " HAS(BUILDS) " AND " HAS(SET_BEGINS) " THEN 32 ELSE 0 END)), 0) FROM s)"
	" | (SELECT COALESCE(bit_or(64"
	" | (CASE WHEN t LIKE ANY (ARRAY[" SETTERS "]) THEN 1 ELSE 0 END)"
	" | (CASE WHEN t LIKE ANY (ARRAY[" LOCKERS "]) THEN 16 ELSE 0 END)), 0) FROM h)"
	" | (CASE WHEN EXISTS (SELECT FROM called WHERE name IS NULL) THEN 32 ELSE 0 END)"
	" | (CASE WHEN EXISTS (SELECT FROM pg_depend d"
	" LEFT JOIN pg_type y ON " CLASS("pg_type") " AND y.oid = d.objid"
	" AND y.typdefaultbin IS NOT NULL"
	" LEFT JOIN pg_rewrite r ON " CLASS("pg_rewrite") " AND r.oid = d.objid"
	" AND (r.ev_type <> '1' OR r.ev_action::text LIKE " WRITABLE ")"
	" WHERE d.refobjid >= 16384::oid"
	" AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)"
	" AND (y.oid IS NOT NULL OR r.oid IS NOT NULL OR " CLASS("pg_policy")
	" OR " CLASS("pg_trigger") " OR " CLASS("pg_attrdef") " OR " CLASS("pg_constraint")
	" OR " CLASS("pg_class") " OR " CLASS("pg_event_trigger") ")) THEN 64 ELSE 0 END))::text";

/* --- outside ------------------------------------------------------------- */

/* Letters beyond ASCII mean something else in each encoding. */
static bool add_name(struct code *c, const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789_$.");

	if (name[n] || n > NAME_MAX_LEN)
		return false;
	for (unsigned i = 0; i < c->nnames; i++)
		if (!strcasecmp(c->name[i], name))
			return true;
	char *copy = c->nnames < NAMES_MAX ? strdup(name) : NULL;
	if (copy)
		c->name[c->nnames++] = copy;
	return copy;
}

static struct code *find(const struct bodies *b, const struct account *a)
{
	struct code *c = b->first;

	while (c && strcmp(c->database, a->database))
		c = c->next;
	return c;
}

/* NULL without memory. */
static struct code *code_of(struct bodies *b, struct account *a)
{
	struct code *c = find(b, a);
	size_t n = strlen(a->database) + 1;

	if (c || !(c = calloc(1, sizeof *c + n)))
		return c;
	memcpy(c->database, a->database, n);
	c->all = b;
	c->next = b->first;
	b->first = c;
	return c;
}

unsigned bodies_can(struct bodies *b, struct account *a)
{
	struct code *c = nodes_balance(b->servers->nodes) ? code_of(b, a) : NULL;

	if (!c)
		return CODE_ANYTHING | CODE_HOOKED;
	if (c->known && c->expires && c->expires <= loop_now(b->servers->base->loop))
		c->known = false;
	if (!c->known)
		return CODE_ANYTHING | CODE_HOOKED | CODE_UNKNOWN;
	return c->can | (c->odd || c->nnames == NAMES_MAX ? CODE_NAMES : 0);
}

bool bodies_aged(struct bodies *b, struct account *a)
{
	const struct code *c = find(b, a);

	return c && c->known && loop_now(b->servers->base->loop) - c->learned >= AGE;
}

uint32_t bodies_next(struct bodies *b, struct account *a)
{
	const struct code *c = code_of(b, a);

	return c ? c->number + 1 : 0;
}

uint32_t bodies_told(struct bodies *b, struct account *a)
{
	const struct code *c = find(b, a);

	return c ? c->told : 0;
}

static void learn(struct code *c, unsigned can)
{
	int64_t seconds = c->all->servers->base->conf->relcache_expire;

	c->can = can;
	c->known = true;
	c->told = c->number;
	c->learned = loop_now(c->all->servers->base->loop);
	c->expires = seconds && seconds < INT64_MAX / 2000 ? c->learned + seconds * 1000 : 0;
}

bool bodies_name(struct bodies *b, struct account *a, const char *name)
{
	struct code *c = strchr(name, '.') ? code_of(b, a) : NULL;

	return !c || add_name(c, name);
}

static void answered(struct ask *ask, struct answer *r)
{
	struct code *c = OWNER(ask, struct code, ask);
	const char *field[2];

	while (answer_row(r, field, 2) == 2) {
		if (!field[0] || !field[1])
			continue;
		if (!strcmp(field[0], "name"))
			c->odd |= !bodies_name(c->all, c->by, field[1]);
		else if (c->asked == c->generation)
			learn(c, (unsigned)atoi(field[1]));
	}
	c->again = r->why && c->own ? loop_now(c->all->servers->base->loop) + AGAIN : 0;
	c->own = r->why != NULL;
	account_drop(c->by);
	c->by = NULL;
	c->all->told(c->all->ctx);
}

bool bodies_ask(struct bodies *b, struct account *a, uint32_t number)
{
	struct node *primary = nodes_primary(b->servers->nodes);
	struct code *c = code_of(b, a);

	if (!c || (!(bodies_can(b, a) & CODE_UNKNOWN) && c->told >= number))
		return false;
	if (ask_waits(&c->ask))
		return true;
	if (primary->state == NODE_DOWN || c->again > loop_now(b->servers->base->loop))
		return false;
	c->ask.servers = b->servers;
	c->ask.answered = answered;
	c->asked = c->generation;
	c->number++;
	b->servers->bodies++;
	c->by = a;
	a->refs++;
	const struct conf *conf = b->servers->base->conf;
	struct identity own = { a->user, a->database, NULL, NULL }, as = { conf->sr_check_user,
		a->database, conf->sr_check_password, "pgpool catalog" };
	ask_node(&c->ask, primary, c->own || !*conf->sr_check_user ? &own : &as, question, NULL,
		PATIENCE);
	return true;
}

void bodies_compute(struct bodies *b, struct account *a)
{
	struct code *c = code_of(b, a);

	if (c)
		c->computed++;
}

void bodies_call(struct bodies *b, struct account *a)
{
	struct code *c = code_of(b, a);

	if (c)
		c->calling++;
}

unsigned bodies_computed(struct bodies *b, struct account *a)
{
	const struct code *c = find(b, a);

	return c ? c->computed + (bodies_can(b, a) & CODE_NAMES ? c->calling : 0) : 0;
}

unsigned bodies_count(struct bodies *b, struct account *a)
{
	const struct code *c = find(b, a);

	return c ? c->nnames : 0;
}

void bodies_names(struct bodies *b, struct account *a, void (*fn)(void *ctx, const char *name),
                  void *ctx)
{
	const struct code *c = find(b, a);

	for (unsigned i = 0; c && i < c->nnames; i++)
		fn(ctx, c->name[i]);
}

static void outdate(struct code *c)
{
	c->known = false;
	c->generation++;
}

void bodies_changed(struct bodies *b, const struct account *a)
{
	struct code *c = find(b, a);

	if (c)
		outdate(c);
}

void bodies_reload(struct bodies *b)
{
	for (struct code *c = b->first; c; c = c->next)
		outdate(c);
}

struct bodies *bodies_new(struct servers *all, void (*told)(void *ctx), void *ctx)
{
	struct bodies *b = calloc(1, sizeof *b);

	if (b)
		*b = (struct bodies){ .servers = all, .told = told, .ctx = ctx };
	return b;
}

void bodies_free(struct bodies *b)
{
	for (struct code *c = b ? b->first : NULL, *next; c; c = next) {
		next = c->next;
		ask_stop(&c->ask);
		if (c->by)
			account_drop(c->by);
		for (unsigned i = 0; i < c->nnames; i++)
			free(c->name[i]);
		free(c);
	}
	free(b);
}

/* --- one text ------------------------------------------------------------ */

static bool in_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
	       || c == '_' || c & 0x80;
}

static bool is(const char *p, size_t len, const char *word)
{
	return strlen(word) == len && !strncasecmp(p, word, len);
}

static size_t blanks(const char *text, size_t at, size_t len)
{
	while (at < len && (text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r')))
		at++;
	return at;
}

static size_t word(const char *text, size_t at, size_t len)
{
	while (at < len && in_word(text[at]))
		at++;
	return at;
}

static void keep_name(struct code *c, const char *name, size_t len)
{
	char copy[128];

	if (!c || len >= sizeof copy || !memchr(name, '.', len))
		return;
	memcpy(copy, name, len);
	copy[len] = 0;
	add_name(c, copy);
}

/* Behind set_config: ('name', .  A name that is not written out cannot be asked for. */
static unsigned configures(struct code *c, const char *text, size_t at, size_t len)
{
	at = blanks(text, at, len);
	if (at < len && text[at] == '(')
		at = blanks(text, at + 1, len);
	size_t from = at + 1, end = from;
	if (at >= len || text[at] != '\'')
		return CODE_SETTINGS | CODE_NAMES;
	while (end < len && (in_word(text[end]) || text[end] == '.'))
		end++;
	at = end < len && text[end] == '\'' ? blanks(text, end + 1, len) : len;
	if (at >= len || text[at] != ',')
		return CODE_SETTINGS | CODE_NAMES;
	keep_name(c, text + from, end - from);
	return CODE_SETTINGS;
}

/* Behind SET: [LOCAL] a.b. */
static unsigned sets(struct code *c, const char *text, size_t at, size_t len)
{
	size_t from = blanks(text, at, len), end = word(text, from, len);

	if (is(text + from, end - from, "local") || is(text + from, end - from, "session")) {
		from = blanks(text, end, len);
		end = word(text, from, len);
	}
	while (end < len && text[end] == '.')
		end = word(text, end + 1, len);
	keep_name(c, text + from, end - from);
	return CODE_SETTINGS;
}

static unsigned word_can(const char *p, size_t len)
{
	static const struct { const char *word; unsigned can; } words[] = {
		{ "reset", CODE_SETTINGS }, { "discard", CODE_SETTINGS },
		{ "pg_settings", CODE_SETTINGS }, { "temp", CODE_TEMPORARY },
		{ "temporary", CODE_TEMPORARY }, { "pg_temp", CODE_TEMPORARY },
		{ "hold", CODE_CURSOR }, { "listen", CODE_LISTEN }, { "unlisten", CODE_LISTEN },
		{ "execute", CODE_ANYTHING | CODE_DDL }, { "create", CODE_DDL },
		{ "alter", CODE_DDL }, { "drop", CODE_DDL }, { "refresh", CODE_DDL },
	};
	unsigned can = memmem(p, len, "advisory", 8) ? CODE_LOCK : 0;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		can |= is(p, len, words[i].word) ? words[i].can : 0;
	return can;
}

/* "set" counts unless UPDATE and a table stand before it. */
unsigned bodies_text(struct bodies *b, struct account *a, const char *text, size_t len)
{
	struct code *c = code_of(b, a);
	unsigned can = 0;
	bool updates = false;

	for (size_t at = 0, end; at < len; at = end) {
		end = word(text, at, len);
		const char *p = text + at;
		if (end == at) {
			updates &= *p != ';' && *p != '\'';
			end++;
		} else if (is(p, end - at, "set_config")) {
			can |= configures(c, text, end, len);
		} else if (is(p, end - at, "set")) {
			can |= updates ? 0 : sets(c, text, end, len);
			updates = false;
		} else {
			can |= word_can(p, end - at);
			updates |= is(p, end - at, "update");
		}
	}
	return can;
}
