#include "route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- rules --------------------------------------------------------------- */

/* The classifier takes plain arrays.  The copies share what regcomp() allocated, which
 * belongs to the configuration: they are never regfree()d. */
static int copy_patterns(const regex_t **to, size_t *n, const struct conf_list *from)
{
	regex_t *list = from->n ? malloc(from->n * sizeof *list) : NULL;

	if (from->n && !list)
		return -1;
	for (size_t i = 0; i < from->n; i++)
		list[i] = from->pattern[i].re;
	*to = list;
	*n = from->n;
	return 0;
}

int route_init(struct route *rt, const struct conf *conf, struct nodes *nodes,
               struct written *written)
{
	struct sql_rules *r = &rt->rules;

	*rt = (struct route){ .conf = conf, .nodes = nodes, .written = written };
	if (copy_patterns(&r->read_only_functions, &r->nread_only,
	                  &conf->read_only_function_list) < 0
	    || copy_patterns(&r->write_functions, &r->nwrite, &conf->write_function_list) < 0
	    || copy_patterns(&r->primary_patterns, &r->npatterns,
	                     &conf->primary_routing_query_pattern_list) < 0) {
		route_free(rt);
		return -1;
	}
	if (conf->disable_load_balance_on_write != DLBOW_DML_ADAPTIVE_GLOBAL)
		written->since = 0;
	else if (!written->since)
		written->since = loop_now(nodes->base->loop);
	return 0;
}

void route_free(struct route *rt)
{
	free((void *)(uintptr_t)rt->rules.read_only_functions);
	free((void *)(uintptr_t)rt->rules.write_functions);
	free((void *)(uintptr_t)rt->rules.primary_patterns);
	rt->rules = (struct sql_rules){ 0 };
}

/* --- may it be balanced? ------------------------------------------------- */

/* Pgpool-II looks at the first letter: a comment before a SELECT is how applications ask for the
 * primary. */
static bool first_letter(const struct conf *conf, const struct sql_facts *f)
{
	if (f->kind != SQL_SELECT && f->kind != SQL_VALUES && f->kind != SQL_EMPTY)
		return true;
	if (conf->allow_sql_comments)
		return true;
	return (f->flags & SQL_FIRST)
	       && !(f->flags & SQL_BLANK && !conf->ignore_leading_white_space);
}

bool route_gate(const struct route *rt, const struct sql_facts *f)
{
	return sql_reads(f) && first_letter(rt->conf, f);
}

/* "name", or "name()" if it is called. */
static bool is_in_list(void *ctx, const char *name, bool called)
{
	char call[128];

	if (route_names_has(ctx, name))
		return true;
	snprintf(call, sizeof call, "%s()", name);
	return called && route_names_has(ctx, call);
}

static bool mentions_list(const struct name_list *l, const char *text, size_t len)
{
	return l && sql_mentions(text, len, is_in_list, (void *)(uintptr_t)l);
}

/* Temporary tables have no schema but pg_temp. */
static bool mentions_temporary(const struct session *s, const char *text, size_t len)
{
	return s->temporary && sql_mentions_bare(text, len, is_in_list, s->temporary);
}

/* We do not know what other sessions wrote before watching began. */
static bool is_cold(const struct route *rt)
{
	return rt->written->since && loop_now(rt->nodes->base->loop) - rt->written->since
	       < rt->conf->track_table_mutation_cold_start_duration;
}

struct lately {
	const struct written *written;
	uint64_t database;
	struct written_now now;
	char name[64];                          /* the first that was written */
};

static bool is_written(void *ctx, const char *name, bool called)
{
	struct lately *l = ctx;
	uint64_t key = written_key(l->database, name);

	if (!written_lately(l->written, key, l->now)
	    && !(called && written_lately(l->written, written_key(key, "()"), l->now)))
		return false;
	snprintf(l->name, sizeof l->name, "%s", name);
	return true;
}

static struct written_now written_now(const struct route *rt)
{
	return (struct written_now){ loop_now(rt->nodes->base->loop), rt->nodes->sampling,
		nodes_reached(rt->nodes) };
}

/* dml_adaptive_global: does it mention a table that any session has written lately? */
static bool mentions_written(const struct route *rt, const char *database, const char *text,
                             size_t len, struct lately *l)
{
	if (!rt->written->since)
		return false;
	l->now = written_now(rt);
	if (!written_any(rt->written, l->now))
		return false;
	l->written = rt->written;
	l->database = written_key(WRITTEN_KEY, database);
	return is_written(l, "", false) || sql_mentions(text, len, is_written, l);
}

/* All statements of the transaction see one snapshot, and it may write or asks for more than a
 * standby has: only the primary serves it. */
static bool is_primarys(const struct session *s)
{
	return s->level == LEVEL_UNSAID || s->level == LEVEL_SERIALIZABLE
	       || (s->level == LEVEL_REPEATABLE_READ && !s->read_only);
}

bool route_reads(const struct route *rt, const struct session *s, const char *database,
                 const char *text, size_t len)
{
	struct lately l;
	enum dlbow mode = rt->conf->disable_load_balance_on_write;

	if (s->default_level == LEVEL_SERIALIZABLE || (mode == DLBOW_ALWAYS && s->wrote_ever))
		return false;
	if (s->in_transaction) {
		if (is_primarys(s) || s->no_replica)
			return false;
		if (mode == DLBOW_TRANSACTION && s->wrote)
			return false;
		if (mode == DLBOW_TRANS_TRANSACTION && s->wrote_before)
			return false;
		if (mode >= DLBOW_DML_ADAPTIVE
		    && (s->wrote_all || mentions_list(s->written, text, len)))
			return false;
	}
	return !mentions_temporary(s, text, len) && !is_cold(rt)
	       && !mentions_written(rt, database, text, len, &l);
}

enum node_reason route_why(const struct route *rt, const struct session *s, const char *database,
	const struct sql_facts *f, const char *text, size_t len, char out[static ROUTE_WORDS])
{
	static const char *const words[REASONS] = {
		[REASON_FUNCTION] = "writing functions are used",
		[REASON_CATALOG] = "systems catalogs are used",
		[REASON_TEMPORARY] = "temporary tables are used",
		[REASON_UNLOGGED] = "unlogged tables are used",
		[REASON_UNKNOWN] = "unknown tables are used",
		[REASON_COLD] = "of track table mutation cold start",
	};
	struct lately l = { .name = "" };
	enum node_reason why = REASON_TRANSACTION;

	*out = '\0';
	if (f->kind != SQL_SELECT || (f->flags & (SQL_LOCKS | SQL_INTO | SQL_MODIFIES)))
		return REASON_WRITE;
	if (f->flags & SQL_FUNCTION)
		why = REASON_FUNCTION;
	else if (f->flags & SQL_CATALOG)
		why = REASON_CATALOG;
	else if ((f->flags & SQL_TEMPORARY) || ((f->flags & SQL_CALLS) && s->temporary)
	         || mentions_temporary(s, text, len))
		why = REASON_TEMPORARY;
	else if (f->flags & SQL_UNLOGGED)
		why = REASON_UNLOGGED;
	else if (f->flags & SQL_UNKNOWN)
		why = REASON_UNKNOWN;
	else if (is_cold(rt))
		why = REASON_COLD;
	if (words[why]) {
		snprintf(out, ROUTE_WORDS, "%s", words[why]);
	} else if (mentions_written(rt, database, text, len, &l)) {
		snprintf(out, ROUTE_WORDS, "table \"%s\" was recently written", l.name);
		why = REASON_WRITTEN;
	}
	return why;
}

bool route_writes(const struct sql_facts *f)
{
	uint16_t does = sql_kind_does[f->kind];

	if (does & KIND_EXPLAINS)
		return f->flags & SQL_MODIFIES;
	return !(does & KIND_NO_WRITE);
}

/* --- what the session remembers ------------------------------------------ */

struct writing {
	struct session *session;
	const struct conf_list *relations;
};

static void add_written(struct writing *w, const char *name, bool function)
{
	if (!route_names_add(&w->session->written, name, function))
		w->session->wrote_all = true;
}

/* The table, and the objects that dml_adaptive_object_relationship_list ties to it. */
static void note_written(void *ctx, enum sql_use use, const char *schema, const char *name)
{
	struct writing *w = ctx;

	(void)schema;
	if (use != SQL_WRITTEN)
		return;
	add_written(w, name, false);
	for (size_t i = 0; i < w->relations->n; i++) {
		const struct conf_relation *r = &w->relations->relation[i];
		if (!r->left_is_function && !strcasecmp(r->left, name))
			add_written(w, r->right, r->right_is_function);
	}
}

static bool is_call_of(void *ctx, const char *name, bool called)
{
	const struct conf_relation *r = ctx;

	return called && !strcmp(name, r->left);
}

static void note_functions(struct writing *w, const char *text, size_t len)
{
	for (size_t i = 0; i < w->relations->n; i++) {
		const struct conf_relation *r = &w->relations->relation[i];

		if (r->left_is_function
		    && sql_mentions(text, len, is_call_of, (void *)(uintptr_t)r))
			add_written(w, r->right, r->right_is_function);
	}
}

/* Statements whose text does not name their tables, or that turn them into others. */
static bool writes_any(const struct session *s, const struct sql_facts *f, const char *text,
                       size_t len, bool strict)
{
	if (!f || f->kind == SQL_COMMIT_PREPARED
	    || (f->kind == SQL_EXPLAIN && f->inner == SQL_EXECUTE))
		return true;
	if (strict && (f->kind == SQL_DO || f->kind == SQL_CALL || f->kind == SQL_SELECT))
		return true;            /* code; of a SELECT that of a function */
	return f->kind == SQL_DDL && !(f->flags & SQL_TEMP) && !session_has_temporary(s, text, len);
}

static void see_call(void *ctx, enum sql_use use, const char *schema, const char *name)
{
	static const char *const harmless[] = { "set_config", "pg_sleep", "pg_advisory_lock",
		"pg_advisory_lock_shared", "pg_advisory_unlock", "pg_advisory_unlock_shared",
		"pg_advisory_unlock_all", "pg_advisory_xact_lock", "pg_try_advisory_lock",
		"pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock" };
	bool *writes = ctx, known = false;

	(void)schema;
	for (size_t i = 0; use == SQL_CALLED && i < sizeof harmless / sizeof *harmless; i++)
		known |= !strcmp(name, harmless[i]);
	*writes |= use == SQL_WRITTEN || (use == SQL_CALLED && !known);
}

/* A SELECT of functions that change the session, not what there is to read. */
static bool writes_data(const struct sql_facts *f, const char *text, size_t len)
{
	bool writes = !f || f->kind != SQL_SELECT
		|| (f->flags & (SQL_FOREIGN | SQL_UNKNOWN | SQL_MODIFIES | SQL_INTO
		                | SQL_UNPARSED));

	if (!writes)
		sql_names(text, len, see_call, &writes);
	return writes;
}

void session_wrote(struct session *s, const struct route *rt, const struct sql_facts *f,
                   const char *text, size_t len)
{
	struct writing w = { s, &rt->conf->dml_adaptive_object_relationship_list };

	s->wrote = s->wrote_ever = true;
	s->unseen |= writes_data(f, text, len);
	s->wrote_before |= s->in_transaction;
	if (rt->conf->disable_load_balance_on_write >= DLBOW_DML_ADAPTIVE) {
		sql_names(text, len, note_written, &w);
		note_functions(&w, text, len);
		s->wrote_all |= writes_any(s, f, text, len,
			rt->conf->load_balance_consistency != CONSISTENCY_OFF);
	}
}

void session_made_temporary(struct session *s, const char *name, bool drops)
{
	struct listed *l = route_names_add(&s->temporary, name, false);

	if (!l)
		return;
	l->dropped = drops;
	s->temporary->unsettled = true;
}

static void all_dropped(struct name_list *l, bool dropped)
{
	for (unsigned i = 0; l && i < l->n; i++)
		l->at[i].dropped = dropped;
}

void session_dropped(struct session *s, const char *name)
{
	struct listed *l = name ? route_names_find(s->temporary, name) : NULL;

	if (!s->temporary || (name && !l))
		return;
	if (l)
		l->dropped = true;
	else
		all_dropped(s->temporary, true);
	s->temporary->unsettled = true;
}

void session_rolled_back_to(struct session *s)
{
	all_dropped(s->temporary, false);
}

void session_settle_temporary(struct session *s, bool committed)
{
	struct name_list *l = s->temporary;
	unsigned n = 0;

	if (!l || !l->unsettled)
		return;
	for (unsigned i = 0; i < l->n; i++) {
		if (committed ? l->at[i].dropped : l->at[i].made)
			free(l->at[i].name);
		else
			l->at[n++] = (struct listed){ .name = l->at[i].name };
	}
	l->n = n;
	l->unsettled = false;
	s->made_code &= n > 0;
	if (!n)
		route_names_clear(&s->temporary);
}

void session_forget_temporary(struct session *s)
{
	route_names_clear(&s->temporary);
}

bool session_has_temporary(const struct session *s, const char *text, size_t len)
{
	return mentions_temporary(s, text, len);
}

void session_ended_transaction(struct session *s)
{
	s->in_transaction = s->wrote = s->read_only = s->seen = s->lost = s->no_replica = false;
	s->queried = s->chained = s->begun_anew = false;
	s->level = LEVEL_UNSAID;
}

void session_forget_written(struct session *s)
{
	s->wrote_all = false;
	if (s->written)
		route_names_clear(&s->written);
}

/* Where no samples tell.  If nobody measures the delay of the standbys, we assume that a second is
 * enough. */
static int64_t protection(const struct route *rt)
{
	int64_t delay = nodes_delay_ms(rt->nodes);
	double ttl = (double)delay * rt->conf->track_table_mutation_ttl_factor;

	if (delay < 0)
		return 1000;
	return ttl < 100 ? 100 : ttl > 3600000 ? 3600000 : (int64_t)ttl;
}

void session_saw_all(struct session *s, const struct route *rt, const char *database)
{
	enum consistency scope = rt->conf->load_balance_consistency;

	s->away = false;
	if (scope == CONSISTENCY_OFF)
		return;
	s->floor = nodes_wrote(rt->nodes);
	if (scope == CONSISTENCY_GLOBAL)
		*written_floor(rt->written, written_key(WRITTEN_KEY, database)) = s->floor;
}

uint32_t session_floor(const struct session *s, const struct route *rt, const char *database)
{
	if (rt->conf->load_balance_consistency != CONSISTENCY_GLOBAL)
		return s->floor;
	uint32_t all = *written_floor(rt->written, written_key(WRITTEN_KEY, database));
	return sample_reached(all, s->floor) ? all : s->floor;
}

void session_committed(struct session *s, const struct route *rt, const char *database)
{
	if (s->unseen)
		session_saw_all(s, rt, database);
	if (!rt->written->since || (!s->written && !s->wrote_all))
		return;
	const struct written_limits limits = { protection(rt),
		rt->conf->track_table_mutation_max_staleness,
		(size_t)rt->conf->track_table_mutation_table_size };
	uint64_t key = written_key(WRITTEN_KEY, database);
	struct written_now now = written_now(rt);
	uint32_t sample = now.sampling ? nodes_wrote(rt->nodes) : 0;
	for (unsigned i = 0; s->written && i < s->written->n; i++)
		written_add(rt->written, written_key(key, s->written->at[i].name), sample,
			now, &limits);
	if (s->wrote_all)
		written_add(rt->written, key, sample, now, &limits);
}

void session_free(struct session *s)
{
	route_names_clear(&s->temporary);
	route_names_clear(&s->written);
}

/* --- which node? --------------------------------------------------------- */

static struct node *redirected(const struct route *rt, const struct conf_redirect *r)
{
	struct nodes *all = rt->nodes;
	struct node *n = NULL;

	if (r->target == TO_PRIMARY)
		n = nodes_primary(all);
	else if (r->target == TO_STANDBY)
		n = nodes_draw(all, true);
	else if (r->node < all->count && rt->conf->node[r->node].used)
		n = &all->node[r->node];
	return n && node_takes_reads(n) ? n : NULL;
}

/* "Otherwise another node is drawn": one not of the preferred kind. */
static struct node *draw_other(const struct route *rt, const struct conf_redirect *r)
{
	struct nodes *all = rt->nodes;

	if (r->target == TO_PRIMARY) {
		struct node *n = nodes_draw(all, true);
		return n ? n : nodes_primary(all);
	}
	return r->target == TO_STANDBY ? nodes_primary(all) : NULL;
}

struct node *route_node(const struct route *rt, struct session *s, const char *user,
                        const char *database, const char *application)
{
	const struct conf *conf = rt->conf;
	const struct conf_redirect *r = NULL, *more;
	struct node *n = NULL;

	bool moves = conf->statement_level_load_balance
	             && conf->load_balance_consistency != CONSISTENCY_MONOTONIC;
	bool keep = s->node && conf->node[s->node->id].used && !moves;
	bool begun = keep && s->in_transaction && s->node->state != NODE_DOWN;
	if ((begun && !node_is_former(s->node)) || (keep && node_takes_reads(s->node)))
		return s->node;
	if ((more = conf_redirect(&conf->user_redirect_preference_list, user)))
		r = more;
	if ((more = conf_redirect(&conf->database_redirect_preference_list, database)))
		r = more;
	if ((more = conf_redirect(&conf->app_name_redirect_preference_list, application)))
		r = more;
	if (r)
		n = nodes_random(rt->nodes) < r->weight ? redirected(rt, r) : draw_other(rt, r);
	if (!n)
		n = nodes_draw(rt->nodes, false);
	if (!n)
		return nodes_primary(rt->nodes);
	if (!keep)
		s->node = n;    /* else another node serves until the session's own is back */
	return n;
}
