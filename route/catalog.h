/* route/catalog.h - what the catalogs of the databases say about names in statements.
 *
 * A text does not tell whether a function writes, or a table is temporary or unlogged, but the
 * catalog does.  It is asked in the background: nobody waits.  What is not known yet is taken to
 * be what it would be without this module - a function that is not PostgreSQL's own writes, a
 * relation is an ordinary one - and known the next time.  Answers are kept for relcache_expire
 * seconds, or until a DDL statement of any client of the database has ended; those that may be
 * different in a moment (no such name, a temporary table, a standby's answer) for SHORT ms.
 *
 * A name without a schema means all relations or functions of that name: the proxy does not know
 * where search_path leads.  Names beyond ASCII are not looked up: the client may
 * write them in another encoding.
 *
 * The finding on a statement is remembered beside its facts, with the generation of the database's
 * knowledge that it was made of: one comparison tells that it is still true.
 *
 * Doubt.  Somebody's function may make a temporary table that hides a permanent one, and nobody
 * but the session sees it.  A session that has called one doubts all answers that are not younger:
 * its reads of names without a schema go to the primary until the catalog was asked again.  A
 * look-up that failed is no answer, and a name beyond ASCII never gets one.
 */
#ifndef ROUTE_CATALOG_H
#define ROUTE_CATALOG_H

#include "server.h"

struct catalog;

/* What is known of a database; of which only this is seen outside. */
struct knowledge {
	uint32_t generation;
};

struct catalog *catalog_new(struct servers *all);       /* NULL without memory */
void catalog_free(struct catalog *cat);                 /* NULL is fine */

/* Forgets everything: the configuration is another. */
void catalog_reload(struct catalog *cat);

/* DDL of a client of the account's database has ended. */
void catalog_changed(struct catalog *cat, const struct account *a);

/* Answers that are younger than now have a greater number. */
uint32_t catalog_now(const struct catalog *cat);
#define DOUBT_ALL UINT32_MAX                            /* of all answers there may be */

/* The flags of a statement of this account: f's, and what the catalog adds or takes from
 * them.  What is not known is asked for.  doubt: answers up to this number may be wrong;
 * 0: none.  v may be NULL. */
uint32_t catalog_look(struct catalog *cat, struct account *a, const struct sql_facts *f,
                      const char *text, size_t len, uint32_t doubt, struct finding *v);

static inline uint32_t catalog_flags(struct catalog *cat, struct account *a,
                                     const struct sql_facts *f, const char *text, size_t len,
                                     uint32_t doubt, struct finding *v)
{
	if (v && a->known && v->generation == a->known->generation && v->serial > doubt)
		return v->flags;
	return catalog_look(cat, a, f, text, len, doubt, v);
}

#endif
