/* route/catalog.h - the databases' catalogs on names in statements.
 *
 * A text does not tell what a read may run, or whether a table is temporary or unlogged, but the
 * catalog does.  It is asked in the background.  Until the answer comes, the name is the primary's:
 * a function that is not PostgreSQL's own may write, a relation may be a view that takes a lock, or
 * a sequence, and a replica would not even complain.  So nobody waits, but a transaction whose
 * snapshot is on a replica.  Answers are kept for relcache_expire seconds, or until a DDL statement
 * of any client of the database has ended.  Those that may soon change (no such name, a temporary
 * table, a standby's answer) are kept for SHORT ms.  Then names in use are asked for again at once,
 * not when they are needed.
 *
 * A name without a schema means all relations or functions of that name: the proxy does not know
 * where search_path leads.  Names beyond ASCII are taken for UTF-8.  A client that writes them in
 * another encoding names nothing that is known, so its reads of them stay on the primary.
 *
 * The finding on a statement is remembered beside its facts, with the generation of the database's
 * knowledge at that time: one comparison tells whether it still holds.
 *
 * Doubt.  Somebody's function may make a temporary table that hides a permanent one, and nobody but
 * the session sees it.  A session that has called one doubts all older answers: its reads of names
 * without a schema go to the primary until the catalog has been asked again.  A failed look-up is
 * no answer.
 */
#ifndef ROUTE_CATALOG_H
#define ROUTE_CATALOG_H

#include "server.h"

struct catalog;

/* The knowledge of a database; only these members are visible outside. */
struct knowledge {
	uint32_t generation;
};

struct bodies;

/* told(ctx): names have been answered, or the catalog could not be asked.  bodies are to know the
 * custom parameters of views.  NULL without memory. */
struct catalog *catalog_new(struct servers *all, struct bodies *bodies, void (*told)(void *ctx),
                            void *ctx);
void catalog_free(struct catalog *cat);                 /* NULL is fine */

/* Forgets everything: the configuration has changed. */
void catalog_reload(struct catalog *cat);

/* DDL of a client of the account's database has ended. */
void catalog_changed(struct catalog *cat, const struct account *a);

/* Answers younger than now have a greater number. */
uint32_t catalog_now(const struct catalog *cat);
#define DOUBT_ALL UINT32_MAX                            /* covers all possible answers */

/* The doubt of a session that has read names of this account's database which were unknown, when
 * the number was `since`: all, until they are known; more than before, if one of them was a view
 * that may have made a table. */
uint32_t catalog_doubt(const struct catalog *cat, const struct account *a, uint32_t since,
                       uint32_t doubt);

/* The flags of a statement of this account: f's, corrected by the catalog.  Unknown names are
 * looked up, but those of the session's own tables are not unknown.  doubt: answers up to this
 * number may be wrong; 0: none.  own and v may be NULL. */
struct name_list;
uint32_t catalog_look(struct catalog *cat, struct account *a, const struct sql_facts *f,
                      const char *text, size_t len, uint32_t doubt, const struct name_list *own,
                      struct finding *v);

/* Is an answer on a name in the statement under way, the first or since the last DDL? */
bool catalog_owes(struct catalog *cat, struct account *a, const struct sql_facts *f,
                  const char *text, size_t len);

static inline uint32_t catalog_flags(struct catalog *cat, struct account *a,
                                     const struct sql_facts *f, const char *text, size_t len,
                                     uint32_t doubt, const struct name_list *own,
                                     struct finding *v)
{
	if (v && a->known && v->generation == a->known->generation && v->serial > doubt)
		return v->flags;
	return catalog_look(cat, a, f, text, len, doubt, own, v);
}

#endif
