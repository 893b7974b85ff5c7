#include "route/catalog.h"

#include "ask.h"
#include "route/bodies.h"
#include "route/names.h"
#include "route/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUCKETS = 512,
	BATCH = 100,                            /* names in one question, and in the next */
	PATIENCE = 10000,                       /* ms for an answer */
	SHORT = 10000,                          /* ms to keep an answer that may change */
	REFRESH = 200,                          /* ms before a name is asked for again */
};

/* What an answer says: the numbers in the question. */
enum {
	FOUND = 1,
	TEMPORARY = 2, UNLOGGED = 4,            /* a relation of that name, or below it */
	WRITES = 8,                             /* a function, or one that it runs */
	FOREIGN = 16,                           /* one of these is somebody's code in SQL or the
	                                         * like */
	FAILED = 32,                            /* the catalog could not be asked for it */
	TELLS = 64,                             /* of the node or the session; or a sequence, a
	                                         * foreign table, a function with cursors */
	TIMES = 128,                            /* it says when the transaction began */
	LOCKS = 256, SETS = 512,                /* a relation: its query itself takes advisory
	                                         * locks; sets parameters, or a seed */
};

/* A name, and the catalog's answer on it. */
struct known {
	struct known *chain;                    /* in its bucket */
	struct known *newer, *older;            /* by use */
	struct known *next;                     /* in a list of its database */
	struct database *db;
	uint64_t hash;
	int64_t asked, expires;                 /* when; 0: never */
	uint32_t serial;                        /* of the question */
	uint16_t answer, before;                /* the one before this */
	bool known, pending;                    /* there is an answer; one is awaited */
	bool used;                              /* since it was asked for */
	bool function;
	const char *schema;                     /* "": any */
	char name[];
};

/* Operators and types that run volatile functions. */
struct hidden {
	unsigned n;
	char (*name)[64];
};

struct database {
	struct knowledge seen;
	struct database *next;
	struct catalog *cat;
	struct account *by;                     /* the last asker; counted */
	struct known *wanted, *asked;           /* to be asked for; in the question under way */
	unsigned nwanted;
	struct hidden hidden, told;             /* what is known; what the answer says */
	struct timer soon;                      /* sends it at the end of the turn */
	struct ask ask;
	int64_t expires;                        /* of the first of the evicted entries; 0: none */
	uint32_t serial;                        /* of the question under way */
	uint32_t answered;                      /* of the last one that is over */
	uint32_t surprise;                      /* the number when an unknown view turned out to
	                                         * run somebody's code */
	bool on_standby;                        /* it is */
	bool outdated;                          /* DDL has ended since it was sent */
	bool own;                               /* sr_check_user cannot ask here, so `by` does */
	bool complained;
	char name[];
};

struct catalog {
	struct servers *servers;
	struct database *databases;
	struct known *bucket[BUCKETS];
	struct known *newest, *oldest;
	int64_t n;
	uint32_t generation, serial;
	struct bodies *bodies;
	void (*told)(void *ctx);
	void *ctx;
	struct timer expiry;                    /* of the first that expires */
	int64_t expires;                        /* then; 0: none does */
};

/* --- known names --------------------------------------------------------- */

static void unlink_known(struct known *e)
{
	struct catalog *cat = e->db->cat;

	*(e->newer ? &e->newer->older : &cat->newest) = e->older;
	*(e->older ? &e->older->newer : &cat->oldest) = e->newer;
}

static void link_newest(struct known *e)
{
	struct catalog *cat = e->db->cat;

	e->newer = NULL;
	e->older = cat->newest;
	*(e->older ? &e->older->newer : &cat->oldest) = e;
	cat->newest = e;
}

static void drop_known(struct known *e)
{
	struct catalog *cat = e->db->cat;
	struct known **at = &cat->bucket[e->hash % BUCKETS];

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	unlink_known(e);
	cat->n--;
	free(e);
}

/* The least recently used go.  Findings made from them stay until they would have expired. */
static void make_room(struct catalog *cat)
{
	for (struct known *e = cat->oldest, *next;
	     e && cat->n >= cat->servers->base->conf->relcache_size; e = next) {
		next = e->newer;
		if (e->pending)
			continue;
		if (e->expires && (!e->db->expires || e->expires < e->db->expires))
			e->db->expires = e->expires;
		drop_known(e);
	}
}

static struct known *add_known(struct database *db, uint64_t hash, bool function,
                               const char *schema, const char *name)
{
	struct catalog *cat = db->cat;
	size_t n = strlen(name) + 1, m = strlen(schema) + 1;
	struct known *e = calloc(1, sizeof *e + n + m);

	if (!e)
		return NULL;
	make_room(cat);
	memcpy(e->name, name, n);
	memcpy(e->name + n, schema, m);
	e->schema = e->name + n;
	e->db = db;
	e->hash = hash;
	e->function = function;
	e->used = true;
	e->chain = cat->bucket[hash % BUCKETS];
	cat->bucket[hash % BUCKETS] = e;
	cat->n++;
	link_newest(e);
	return e;
}

static struct known *find_known(struct database *db, bool function, const char *schema,
                                const char *name)
{
	struct { const struct database *db; char function, text[128]; } key;
	struct catalog *cat = db->cat;

	memset(&key, 0, sizeof key);
	key.db = db;
	key.function = function;
	snprintf(key.text, sizeof key.text, "%s.%s", schema, name);
	uint64_t hash = stmt_hash(cat->servers->stmts, &key, sizeof key);
	for (struct known *e = cat->bucket[hash % BUCKETS]; e; e = e->chain)
		if (e->hash == hash && e->db == db && e->function == function
		    && !strcmp(e->name, name) && !strcmp(e->schema, schema)) {
			unlink_known(e);
			link_newest(e);
			e->used = true;
			return e;
		}
	return add_known(db, hash, function, schema, name);
}

/* --- what is wanted ------------------------------------------------------ */

static void ask_again(struct database *db)
{
	if (db->wanted && !ask_waits(&db->ask))
		timer_set(db->cat->servers->base->loop, &db->soon, 0);
}

static void want(struct known *e)
{
	struct database *db = e->db;

	if (e->pending || db->nwanted >= BATCH)
		return;
	e->pending = true;
	e->next = db->wanted;
	db->wanted = e;
	db->nwanted++;
	ask_again(db);
}

/* A name that was used since it was asked for will be used again: it is asked for at once, so that
 * hardly any read has to do without.  false: it was not, or cannot be. */
static bool want_used(struct known *e)
{
	if (e->used)
		want(e);
	return e->pending;
}

/* --- what is over -------------------------------------------------------- */

/* Earlier findings are no longer believed. */
static void begin_generation(struct database *db)
{
	db->seen.generation = ++db->cat->generation;
}

static void forget(struct database *db)
{
	for (struct known *e = db->cat->oldest, *next; e; e = next) {
		next = e->newer;
		if (e->db != db)
			continue;
		e->known = false;
		if (!want_used(e))
			drop_known(e);
	}
	db->outdated = db->asked != NULL;
	begin_generation(db);
}

static void set_expiry(struct catalog *cat, int64_t at)
{
	int64_t now = loop_now(cat->servers->base->loop);

	if (!at || (cat->expires && cat->expires <= at))
		return;
	cat->expires = at;
	timer_set(cat->servers->base->loop, &cat->expiry, at > now ? at - now : 0);
}

static void expire(struct timer *t)
{
	struct catalog *cat = OWNER(t, struct catalog, expiry);
	int64_t now = loop_now(cat->servers->base->loop), first = 0;

	cat->expires = 0;
	for (struct database *db = cat->databases; db; db = db->next) {
		if (db->expires && db->expires <= now) {
			db->expires = 0;
			begin_generation(db);
		}
		if (db->expires && (!first || db->expires < first))
			first = db->expires;
	}
	for (struct known *e = cat->oldest, *next; e; e = next) {
		next = e->newer;
		if (!e->expires || e->pending)
			continue;
		if (e->expires <= now) {
			begin_generation(e->db);
			if (!want_used(e))      /* else the old answer holds for a moment */
				drop_known(e);
		} else if (!first || e->expires < first) {
			first = e->expires;
		}
	}
	set_expiry(cat, first);
}

/* --- the question -------------------------------------------------------- */

/* PostgreSQL's own functions, behind a view, that tell of the node or the session.  (Those that
 * tell of temporary tables count as code that reads them.) */
#define TELLERS "^(pg_(stat_get_|lock_status|show_all_|cursor|prepared_|listening_|" \
	"get_replication_|is_(in|wal)_|current_(wal|xact)|last_|hba_|ident_|get_backend_memory|" \
	"get_shmem|walfile|replication_origin)|txid_current)"

/* Words in bodies, whatever these claim to be.  What writes is refused by a replica, but it does
 * take locks and set parameters; and a function that reads a sequence is wrong there. */
#define WRITERS "nextval|setval|advisory_|set_config"
#define TELLING_WORDS "pg_is_in_rec|in_hot_standby|read_only|pg_locks|pg_lock_status|pg_stat_|" \
	"pg_cursor|pg_prepared|pg_listening|pg_settings|currval|lastval|last_value|" \
	"txid_current|pg_current_|pg_last_|refcursor"
#define TIME_WORDS "now *[(]|current_(date|time)|localtime|transaction_timestamp|" \
	"''(now|today|tomorrow|yesterday)"

/* An array has a row for each name: f or r, schema, name; or F or R and both in hexadecimal.  All
 * of it is ASCII, since in some values of client_encoding a backslash can be part of a character.
 * The query follows what a read of the
 * relation or a call of the function may run: views' queries, policies and virtual columns of
 * tables, parts of partitioned tables; support functions of aggregates, default arguments, bodies
 * that are parsed; checks of domains.  They are found in the trees that PostgreSQL keeps of these,
 * since pg_depend lacks its own functions and tables.  A body that is text is searched for words.
 *
 * 1299 is now().  The long rows of numbers are strings' bytes: "in_hot_stan", "read_only".
 * Functions of pg_catalog that the classifier does not know as readers are about the node or the
 * session.
 * Languages 12 and 13 are internal and C: code not written in SQL neither makes nor reads tables.
 *
 * The rows of 0 are operators and types that run a volatile function without a call.  Those of -1
 * are custom parameters that views set, those of -2 such whose names they compute.
 */
static const char question_begins[] =
	"WITH RECURSIVE want(i, f, s, n) AS ("
	" SELECT i, a[i][1] IN ('f', 'F'), t[1], t[2]::name FROM (SELECT E'{";
static const char question_ends[] =
	"}'::text[] AS a) x CROSS JOIN LATERAL generate_subscripts(a, 1) i"
	" CROSS JOIN LATERAL (SELECT CASE WHEN a[i][1] IN ('f', 'r')"
	" THEN ARRAY[a[i][2], a[i][3]] WHEN getdatabaseencoding() = 'UTF8'"
	" THEN ARRAY[convert_from(decode(a[i][2], 'hex'), 'UTF8'),"
	" convert_from(decode(a[i][3], 'hex'), 'UTF8')] END) n(t)),"
	" seen(i, c, o) AS (("
	" SELECT w.i, 'r', c.oid FROM want w"
	" JOIN pg_class c ON c.relname = w.n AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
	" JOIN pg_namespace s ON s.oid = c.relnamespace AND (w.s = '' OR s.nspname = w.s)"
	" WHERE NOT w.f"
	" UNION ALL SELECT w.i, 'f', p.oid FROM want w JOIN pg_proc p ON p.proname = w.n"
	" JOIN pg_namespace s ON s.oid = p.pronamespace AND (w.s = '' OR s.nspname = w.s)"
	" WHERE w.f)"
	" UNION SELECT v.i, x.c, x.o FROM seen v CROSS JOIN LATERAL ("
	" SELECT 'r', h.inhrelid FROM pg_inherits h WHERE v.c = 'r' AND h.inhparent = v.o"
	" UNION ALL SELECT 't', y.typbasetype FROM pg_type y WHERE v.c = 't' AND y.oid = v.o"
	" UNION ALL SELECT 'f', unnest(ARRAY[a.aggtransfn, a.aggfinalfn, a.aggmtransfn,"
	" a.aggminvtransfn, a.aggmfinalfn]::oid[])"
	" FROM pg_aggregate a WHERE v.c = 'f' AND a.aggfnoid = v.o"
	" UNION ALL SELECT CASE WHEN m[3] IS NOT NULL THEN 'p' WHEN m[1] = 'relid' THEN 'r'"
	" WHEN m[1] = 'resulttype' THEN 't' ELSE 'f' END,"
	" CASE WHEN m[3] IS NOT NULL OR (m[1] = 'SQLVALUEFUNCTION :op' AND m[2]::oid > 8::oid)"
	" THEN 0::oid WHEN m[1] = 'SQLVALUEFUNCTION :op' THEN 1299::oid ELSE m[2]::oid END"
	" FROM (SELECT r.ev_action::text FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class"
	" WHERE v.c = 'r' AND r.ev_class = v.o AND r.ev_type = '1' AND c.relkind = 'v'"
	" UNION ALL SELECT q.polqual::text FROM pg_policy q"
	" WHERE v.c = 'r' AND q.polrelid = v.o AND q.polcmd IN ('r', '*')"
	" UNION ALL SELECT d.adbin::text FROM pg_attrdef d"
	" JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum"
	" WHERE v.c = 'r' AND d.adrelid = v.o AND to_jsonb(a) ->> 'attgenerated' = 'v'"
	" UNION ALL SELECT k.conbin::text FROM pg_constraint k"
	" WHERE v.c = 't' AND k.conrelid = 0 AND k.contypid = v.o"
	" UNION ALL SELECT concat(p.proargdefaults::text, to_jsonb(p) ->> 'prosqlbody')"
	" FROM pg_proc p WHERE v.c = 'f' AND p.oid = v.o) n(t),"
	" regexp_matches(n.t, '(relid|funcid|aggfnoid|winfnoid|opfuncid|resulttype|"
	"SQLVALUEFUNCTION :op) ([0-9]+)|(105 110 95 104 111 116 95 115 116 97 110|"
	"114 101 97 100 95 111 110 108 121)', 'g') m) x(c, o)"
	" WHERE v.c = 'r' OR v.o >= 16384::oid)"
	" SELECT i, bit_or(b)::text FROM ("
	" SELECT v.i, 1 | CASE c.relpersistence WHEN 't' THEN 2 WHEN 'u' THEN 4 ELSE 0 END"
	" | CASE WHEN c.relkind IN ('S', 'f') THEN 64 ELSE 0 END"
	" FROM seen v JOIN pg_class c ON c.oid = v.o WHERE v.c = 'r'"
	" UNION ALL SELECT v.i, 64 FROM seen v WHERE v.c = 'p'"
	" UNION ALL SELECT v.i, 1"
	" | CASE WHEN p.oid < 16384::oid AND NOT w.f AND p.proname ~ '" TELLERS "' THEN 64"
	" WHEN p.provolatile = 'v' OR (w.f AND p.proname = w.n AND p.pronamespace = 11::oid)"
	" OR (x AND p.prosrc ~* '" WRITERS "') THEN 8 ELSE 0 END"
	" | CASE WHEN x OR p.proname IN ('pg_is_other_temp_schema', 'pg_my_temp_schema')"
	" THEN 16 ELSE 0 END"
	" | CASE WHEN x AND p.prosrc ~* '" TELLING_WORDS "'"
	" OR ARRAY[p.prorettype] || p.proargtypes::oid[] || p.proallargtypes"
	" && ARRAY[1790, 2201]::oid[] THEN 64 ELSE 0 END"
	" | CASE WHEN x AND p.prosrc ~* '" TIME_WORDS "' OR (p.oid < 16384::oid"
	" AND (p.proname IN ('now', 'transaction_timestamp') OR (p.proname = 'age'"
	" AND p.pronargs = 1))) THEN 128 ELSE 0 END"
	" | CASE WHEN p.oid >= 16384::oid OR w.f THEN 0 WHEN p.proname ~ 'advisory' THEN 256"
	" WHEN p.proname IN ('set_config', 'setseed') THEN 512 ELSE 0 END"
	" FROM seen v JOIN want w USING (i) JOIN pg_proc p ON p.oid = v.o"
	" CROSS JOIN LATERAL (SELECT p.oid >= 16384::oid AND p.prolang NOT IN (12, 13)) l(x)"
	" WHERE v.c = 'f') y(i, b) GROUP BY i"
	" UNION ALL SELECT 0, o.oprname::text FROM pg_operator o"
	" JOIN pg_proc p ON p.oid = o.oprcode WHERE o.oid >= 16384::oid AND p.provolatile = 'v'"
	" UNION ALL SELECT 0, y.typname::text FROM pg_cast c JOIN pg_proc p ON p.oid = c.castfunc"
	" JOIN pg_type y ON y.oid = c.casttarget WHERE y.oid >= 16384::oid AND p.provolatile = 'v'"
	" UNION ALL SELECT 0, y.typname::text FROM pg_constraint k"
	" JOIN pg_type y ON k.contypid IN (y.oid, y.typbasetype)"
	" WHERE k.conrelid = 0 AND k.contypid >= 16384::oid AND EXISTS (SELECT FROM"
	" regexp_matches(k.conbin::text, 'funcid ([0-9]+)', 'g') m"
	" JOIN pg_proc p ON p.oid = m[1]::oid AND p.provolatile = 'v')"
	" UNION ALL SELECT CASE WHEN s IS NULL THEN -2 ELSE -1 END, s FROM"
	" (SELECT DISTINCT v.o FROM seen v JOIN seen x USING (i) JOIN pg_class c ON c.oid = v.o"
	" WHERE v.c = 'r' AND c.relkind = 'v' AND x.c = 'f' AND x.o = 2078::oid) v"
	" JOIN pg_rewrite r ON r.ev_class = v.o, " TREE_CALLS("r.ev_action::text") ","
	" LATERAL (SELECT " TREE_NAME ") s(s) WHERE s IS NULL OR s ~ '[.]'";

/* Nothing beyond ASCII. */
static bool is_ascii(const char *text)
{
	while (*text > 0)
		text++;
	return !*text;
}

static bool is_utf8(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	for (unsigned n; *p && (n = wire_utf8(p)); )
		p += n;
	return !*p;
}

/* A text in an array in a string: at most four bytes for each. */
static char *put_element(char *at, const char *text)
{
	*at++ = '"';
	for (; *text; text++) {
		at = stpcpy(at, *text == '"' ? "\\\\" : *text == '\\' ? "\\\\\\"
			: *text == '\'' ? "'" : "");
		*at++ = *text;
	}
	*at++ = '"';
	return at;
}

static char *put_hex(char *at, const char *text)
{
	*at++ = '"';
	for (; *text; text++)
		at += sprintf(at, "%02x", (uint8_t)*text);
	*at++ = '"';
	return at;
}

/* NULL without memory. */
static char *make_question(const struct database *db)
{
	char *sql = malloc(sizeof question_begins + sizeof question_ends
		+ BATCH * (2 * 64 * 4 + 16));
	char *at = sql;

	if (!sql)
		return NULL;
	at = stpcpy(at, question_begins);
	for (const struct known *e = db->asked; e; e = e->next) {
		at = stpcpy(at, e == db->asked ? "{" : ",{");
		bool ascii = is_ascii(e->schema) && is_ascii(e->name);
		at = stpcpy(at, ascii ? e->function ? "f," : "r," : e->function ? "F," : "R,");
		at = (ascii ? put_element : put_hex)(at, e->schema);
		*at++ = ',';
		at = (ascii ? put_element : put_hex)(at, e->name);
		*at++ = '}';
	}
	strcpy(at, question_ends);
	return sql;
}

static struct node *node_to_ask(struct database *db)
{
	struct nodes *nodes = db->cat->servers->nodes;
	bool standby = db->cat->servers->base->conf->relcache_query_target == RELCACHE_BALANCED
	               || nodes_primary(nodes)->state == NODE_DOWN;
	struct node *n = standby ? nodes_draw(nodes, true) : NULL;

	db->on_standby = n && n != nodes_primary(nodes);
	return n ? n : nodes_primary(nodes);
}

static void take_batch(struct database *db)
{
	for (int n = 0; db->wanted && n < BATCH; n++) {
		struct known *e = db->wanted;
		db->wanted = e->next;
		db->nwanted--;
		e->next = db->asked;
		db->asked = e;
		db->cat->servers->names++;
		e->asked = loop_now(db->cat->servers->base->loop);
		e->used = false;
	}
}

/* Those that were asked are to be asked again. */
static void take_back(struct database *db)
{
	for (struct known *e = db->asked, *next; e; e = next) {
		next = e->next;
		e->next = db->wanted;
		db->wanted = e;
		db->nwanted++;
	}
	db->asked = NULL;
}

static void send_question(struct timer *t)
{
	struct database *db = OWNER(t, struct database, soon);
	struct catalog *cat = db->cat;
	const struct conf *conf = cat->servers->base->conf;
	bool own = db->own || !*conf->sr_check_user;
	struct identity as = { own ? db->by->user : conf->sr_check_user, db->name,
		own ? NULL : conf->sr_check_password, own ? NULL : "pgpool catalog" };

	if (!db->wanted || ask_waits(&db->ask))
		return;
	take_batch(db);
	db->outdated = false;
	db->serial = ++cat->serial;
	char *sql = make_question(db);
	if (!sql) {
		take_back(db);
		timer_set(cat->servers->base->loop, &db->soon, REFRESH);
		return;         /* no memory */
	}
	ask_node(&db->ask, node_to_ask(db), &as, sql, NULL, PATIENCE);
	free(sql);
}

/* --- the answer ---------------------------------------------------------- */

/* Whether it may be different in a moment without anybody's telling. */
static int64_t keep_until(const struct database *db, const struct known *e)
{
	int64_t now = loop_now(db->cat->servers->base->loop);
	int64_t seconds = db->cat->servers->base->conf->relcache_expire;

	if (!(e->answer & FOUND) || (e->answer & TEMPORARY) || db->on_standby)
		return now + SHORT;
	return seconds && seconds < INT64_MAX / 2000 ? now + seconds * 1000 : 0;
}

/* Without memory it is not remembered: the next question may find it. */
static void add_hidden(struct hidden *h, const char *name)
{
	void *more = realloc(h->name, (h->n + 1) * sizeof h->name[0]);

	if (!more)
		return;
	h->name = more;
	snprintf(h->name[h->n++], sizeof h->name[0], "%s", name);
}

static void take_hidden(struct database *db)
{
	struct hidden old = db->hidden;

	db->hidden = db->told;
	db->told = (struct hidden){ 0 };
	if (old.n != db->hidden.n
	    || (old.n && memcmp(old.name, db->hidden.name, old.n * sizeof old.name[0])))
		begin_generation(db);
	free(old.name);
}

static void take_rows(struct database *db, struct answer *r)
{
	const char *field[2];

	db->complained = false;
	for (struct known *e = db->asked; e; e = e->next) {
		e->before = e->answer;
		e->answer = 0;
	}
	while (answer_row(r, field, 2) == 2) {
		struct known *e = db->asked;
		int i = field[0] ? atoi(field[0]) : 0;
		if (i == 0 && field[1])
			add_hidden(&db->told, field[1]);
		else if (i == -1 && field[1])
			i = bodies_name(db->cat->bodies, db->by, field[1]) ? i : -2;
		if (i == -2)
			bodies_compute(db->cat->bodies, db->by);
		for (; i > 1 && e; i--)
			e = e->next;
		if (i == 1 && e && field[1])
			e->answer = (uint16_t)atoi(field[1]);
	}
	take_hidden(db);
}

static void take_answer(const struct database *db, struct known *e, bool failed)
{
	e->pending = false;
	if (failed && e->known)
		return;                 /* an older answer is better than none */
	if (e->known && e->answer != e->before)
		begin_generation(e->db);
	if (!e->known && !e->function && (e->answer & WRITES) && (e->answer & FOREIGN)) {
		e->db->surprise = e->db->cat->serial;
		bodies_call(db->cat->bodies, db->by);
	}
	e->known = true;
	e->answer = failed ? FAILED : e->answer;
	/* Of temporary tables it may not know yet. */
	e->serial = db->on_standby ? 1 : db->serial;
	e->expires = keep_until(db, e);
}

static void take_answers(struct database *db, bool failed)
{
	db->answered = db->serial;
	while (db->asked) {
		struct known *e = db->asked;
		db->asked = e->next;
		take_answer(db, e, failed);
		set_expiry(db->cat, e->expires);
	}
	db->cat->told(db->cat->ctx);
}

static void complain(struct database *db, const char *why)
{
	struct log *log = db->cat->servers->base->log;

	if (!db->complained)
		log_write(log, NULL, LEVEL_LOG, why, "Until it works, functions that are not"
			" built in and reads of tables go to the primary. Check sr_check_user and"
			" sr_check_password.",
			"could not look names up in the catalog of database \"%s\"", db->name);
	db->complained = true;
}

static void answered(struct ask *a, struct answer *r)
{
	struct database *db = OWNER(a, struct database, ask);
	const struct conf *conf = db->cat->servers->base->conf;

	if (db->outdated || (r->why && r->no_server && !db->own && *conf->sr_check_user)) {
		/* sr_check_user cannot log in here: the session's user can. */
		db->own |= !db->outdated;
		take_back(db);
		send_question(&db->soon);
		return;
	}
	if (r->why)
		complain(db, r->why);
	else
		take_rows(db, r);
	take_answers(db, r->why != NULL);
	send_question(&db->soon);
}

/* --- a look at a statement ------------------------------------------------ */

struct look {
	struct database *db;
	const struct conf *conf;
	const struct name_list *own;            /* tables that the session has made */
	uint32_t doubt;
	bool reads;                             /* it does if the catalog says no more */
	bool complete;                          /* nothing is to be asked for */
	bool owed;                              /* an answer: nobody has told yet */
	uint32_t flags;
	uint32_t serial;
};

static void refresh(const struct look *l, struct known *e)
{
	if (loop_now(l->db->cat->servers->base->loop) - e->asked >= REFRESH)
		want(e);
}

/* A temporary table that nobody else sees may hide the relation that the answer is about. */
static void see_hidden(struct look *l, struct known *e)
{
	if (l->serial > e->serial)
		l->serial = e->serial;
	if (!l->doubt || e->serial > l->doubt)
		return;
	l->flags |= SQL_TEMPORARY;
	if (l->doubt != DOUBT_ALL)
		refresh(l, e);
}

/* Temporary tables come and go unseen: no finding is kept, lest the answer outlive the table. */
static void see_temporary(struct look *l, struct known *e)
{
	see_hidden(l, e);
	if (!(e->answer & TEMPORARY))
		return;
	l->flags |= SQL_TEMPORARY;
	l->complete = false;
	refresh(l, e);
}

static void see_table(struct look *l, struct known *e)
{
	if (l->conf->check_temp_table == CHECK_TEMP_CATALOG && !*e->schema)
		see_temporary(l, e);
	if (l->conf->check_unlogged_table && (e->answer & UNLOGGED))
		l->flags |= SQL_UNLOGGED;
}

static uint32_t code_flags(const struct known *e)
{
	bool writes = e->answer & WRITES, foreign = e->answer & FOREIGN;

	return (writes ? SQL_FUNCTION : 0) | (writes && foreign ? SQL_FOREIGN : 0)
	       | (foreign ? SQL_CALLS : 0) | (e->answer & TELLS ? SQL_CATALOG : 0)
	       | (e->answer & TIMES ? SQL_TIME : 0) | (e->answer & LOCKS ? SQL_ADVISORY : 0)
	       | (e->answer & SETS ? SQL_SETS : 0);
}

/* The classifier knows those of pg_catalog by their names. */
static bool is_own(const char *schema, const char *name)
{
	return !strncmp(*schema ? schema : name, "pg_", 3);
}

/* Whatever the statement, a view runs its own code. */
static void see_relation(struct look *l, struct known *e)
{
	if (e->known && (e->answer & FOUND)) {
		if (l->reads)
			see_table(l, e);
		l->flags |= code_flags(e);
	} else if (!is_own(e->schema, e->name) && !(l->own && route_names_has(l->own, e->name))) {
		l->flags |= SQL_UNKNOWN;
	}
}

static void see_function(struct look *l, struct known *e)
{
	bool found = e->known && (e->answer & FOUND);

	l->flags |= found ? code_flags(e) : SQL_FUNCTION | SQL_FOREIGN;
}

static void see_name(void *ctx, enum sql_use use, const char *schema, const char *name)
{
	struct look *l = ctx;

	if (use != SQL_READ && use != SQL_CALLED)
		return;
	bool asks = is_utf8(schema) && is_utf8(name);
	struct known *e = asks ? find_known(l->db, use == SQL_CALLED, schema, name) : NULL;
	if (!e) {
		l->complete &= !asks;           /* no memory: not for ever */
		l->flags |= use == SQL_CALLED ? SQL_FUNCTION | SQL_FOREIGN : SQL_UNKNOWN;
		return;
	}
	if (!e->known) {
		l->complete = false;
		l->owed = true;
		want(e);
	}
	if (use == SQL_CALLED)
		see_function(l, e);
	else
		see_relation(l, e);
}

/* --- outside ------------------------------------------------------------- */

static struct database *find_database(const struct catalog *cat, const struct account *a)
{
	struct database *db = cat->databases;

	if (a->known)
		return OWNER(a->known, struct database, seen);
	while (db && strcmp(db->name, a->database))
		db = db->next;
	return db;
}

static struct database *database_of(struct catalog *cat, struct account *a)
{
	struct database *db = find_database(cat, a);
	size_t n = strlen(a->database) + 1;

	if (!db && (db = calloc(1, sizeof *db + n))) {
		memcpy(db->name, a->database, n);
		db->cat = cat;
		db->soon.fire = send_question;
		db->ask.servers = cat->servers;
		db->ask.answered = answered;
		db->next = cat->databases;
		cat->databases = db;
		begin_generation(db);
	}
	if (db && db->by != a) {
		if (db->by)
			account_drop(db->by);
		db->by = a;
		a->refs++;
	}
	a->known = db ? &db->seen : NULL;
	return db;
}

static bool is_hidden(void *ctx, const char *name)
{
	const struct hidden *h = ctx;

	for (unsigned i = 0; i < h->n; i++)
		if (!strcmp(h->name[i], name))
			return true;
	return false;
}

#define FROM_CATALOG (uint32_t)(SQL_FUNCTION | SQL_UNLOGGED | SQL_TEMPORARY | SQL_FOREIGN \
	| SQL_CALLS | SQL_UNKNOWN)

static bool reads_otherwise(const struct sql_facts *f)
{
	switch (f->kind) {
	case SQL_SELECT: case SQL_VALUES: case SQL_COPY_TO: case SQL_PREPARE:
		return !(f->flags & SQL_NOT_READ & ~FROM_CATALOG);
	}
	return false;
}

static void see_names(struct look *l, const struct sql_facts *f, const char *text, size_t len)
{
	l->reads = reads_otherwise(f);
	if (f->flags & SQL_NAMES)
		sql_names(text, len, see_name, l);
}

bool catalog_owes(struct catalog *cat, struct account *a, const struct sql_facts *f,
                  const char *text, size_t len)
{
	struct look l = { .conf = cat->servers->base->conf };

	if (nodes_balance(cat->servers->nodes) && (l.db = database_of(cat, a)))
		see_names(&l, f, text, len);
	return l.owed;
}

uint32_t catalog_look(struct catalog *cat, struct account *a, const struct sql_facts *f,
                      const char *text, size_t len, uint32_t doubt, const struct name_list *own,
                      struct finding *v)
{
	const struct conf *conf = cat->servers->base->conf;
	bool lists = conf->read_only_function_list.n || conf->write_function_list.n;
	struct look l = { .conf = conf, .own = own, .doubt = doubt, .complete = true,
		.serial = UINT32_MAX };

	if (!nodes_balance(cat->servers->nodes) || !(l.db = database_of(cat, a)))
		return f->flags;
	see_names(&l, f, text, len);
	if (l.db->hidden.n && sql_runs(text, len, is_hidden, &l.db->hidden))
		l.flags |= SQL_FUNCTION | SQL_FOREIGN | SQL_CALLS;
	if (lists)
		l.flags = (l.flags & ~(uint32_t)SQL_FUNCTION) | (f->flags & SQL_FUNCTION);
	l.flags |= f->flags & ~FROM_CATALOG;
	if (v && l.complete && l.serial > doubt)
		*v = (struct finding){ l.db->seen.generation, l.serial, l.flags };
	return l.flags;
}

void catalog_changed(struct catalog *cat, const struct account *a)
{
	struct database *db = find_database(cat, a);

	if (db)
		forget(db);
}

uint32_t catalog_now(const struct catalog *cat)
{
	return cat->serial;
}

uint32_t catalog_doubt(const struct catalog *cat, const struct account *a, uint32_t since,
                       uint32_t doubt)
{
	const struct database *db = find_database(cat, a);

	if (!db)
		return doubt;
	if ((db->wanted || db->asked) && db->answered <= since)
		return DOUBT_ALL;
	return db->surprise >= since && db->surprise > doubt ? db->surprise : doubt;
}

void catalog_reload(struct catalog *cat)
{
	for (struct database *db = cat->databases; db; db = db->next) {
		db->own = db->complained = false;
		forget(db);
	}
}

struct catalog *catalog_new(struct servers *all, struct bodies *bodies, void (*told)(void *ctx),
                            void *ctx)
{
	struct catalog *cat = calloc(1, sizeof *cat);

	if (!cat)
		return NULL;
	cat->servers = all;
	cat->bodies = bodies;
	cat->told = told;
	cat->ctx = ctx;
	cat->serial = 1;                /* 0 means no doubt */
	cat->expiry.fire = expire;
	return cat;
}

void catalog_free(struct catalog *cat)
{
	if (!cat)
		return;
	timer_stop(cat->servers->base->loop, &cat->expiry);
	while (cat->newest)
		drop_known(cat->newest);
	for (struct database *db = cat->databases, *next; db; db = next) {
		next = db->next;
		timer_stop(cat->servers->base->loop, &db->soon);
		ask_stop(&db->ask);
		if (db->by)
			account_drop(db->by);
		free(db->hidden.name);
		free(db);
	}
	free(cat);
}
