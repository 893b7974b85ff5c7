/* client/own.h - statements of the proxy's own that a session has: SHOW POOL_..., PGPOOL SHOW.
 *
 * They may be prepared, described, bound, and executed in pieces, like any other, and stand
 * anywhere in a request.  No server has them.  tell.h answers them.
 *
 * What they show are tables of admin.c, which hands down own_ops: see client.h.
 */
#ifndef CLIENT_OWN_H
#define CLIENT_OWN_H

#include "client.h"

/* What a statement shows; without a table it is a DEALLOCATE.  The unnamed one is "". */
struct shows {
	struct shows *next;
	struct sql_own says;
	const struct admin_table *table;
	char name[WIRE_NAME_MAX + 1];
};

/* A portal goes through it. */
struct shown {
	struct shown *next;
	struct sql_own says;
	const struct admin_table *table;
	uint32_t binary;                        /* the columns that are wanted so */
	size_t at;                              /* the row to be sent next */
	uint32_t sent;                          /* rows, by this Execute */
	char name[WIRE_NAME_MAX + 1];
};

/* A parameter that the session has set. */
struct set {
	struct set *next;
	char name[64];
	char value[];
};

struct own {
	struct set *sets;
	struct conf *conf;                      /* with them; NULL: there are none */
	struct shows *statements;
	struct shown *portals;
	bool going;                             /* the next message is answered in part */
	bool yields;                            /* one was answered: others have their turn */
	struct shown query;                     /* of a Query: where in a statement it is, */
	bool within;                            /* if it is within one */
	size_t query_at;                        /* where its next statement begins */
	struct report why;                      /* the last refusal */
	char message[WIRE_NAME_MAX + 128];
};

/* Is the statement ours?  Of those that may be. */
bool own_statement(const struct client *c, const char *text, const struct sql_facts *f);

static inline bool own_is(const struct client *c, const char *text, const struct sql_facts *f)
{
	return (sql_kind_does[f->kind] & KIND_OWN) && own_statement(c, text, f);
}

/* Are those of the text?  OWN_BESIDE: some are. */
enum own_text { OWN_NOT, OWN_BESIDE, OWN_ALL };
enum own_text own_text(const struct client *c, const char *text, size_t len);

/* Does this message of the extended protocol use a statement or portal of ours?  (Of a Parse, its
 * name.) */
bool own_used(const struct client *c, struct msg m);

static inline bool own_uses(const struct client *c, const struct msg *m)
{
	return c->own && own_used(c, *m);
}

/* Is it in the middle of a request of such messages, whose Sync has not come? */
static inline bool own_goes_on(const struct client *c)
{
	return c->own && c->own->portals;
}

/* Has one been answered since the last call? */
static inline bool own_yields(struct client *c)
{
	bool yields = c->own && c->own->yields;

	if (yields)
		c->own->yields = false;
	return yields;
}

/* NULL: there is none of this name. */
struct shows *own_find(const struct client *c, const char *name);
struct shown *own_portal(const struct client *c, const char *name);

void own_drop(struct client *c, const char *name);
void own_drop_portal(struct client *c, const char *name);

/* The unnamed statement or portal is another one, or gone; all portals are; all statements are. */
void own_unnamed_gone(struct client *c);
void own_portal_gone(struct client *c);
void own_portals_gone(struct client *c);
void own_statements_gone(struct client *c);

/* The configuration of this session. */
static inline const struct conf *own_conf(const struct client *c)
{
	return c->own && c->own->conf ? c->own->conf : c->all->base->conf;
}

/* PGPOOL SET, and RESET of one (value NULL) or all (name NULL).  false: m was told why, or there is
 * no memory. */
bool own_set(struct client *c, const char *name, const char *value, const struct conf_messages *m);

/* The configuration was exchanged. */
void own_reload(struct client *c);

/* What is being answered ends here. */
void own_canceled(struct client *c);

void own_free(struct client *c);

#endif
