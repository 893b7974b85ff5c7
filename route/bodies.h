/* route/bodies.h - what a database's own code may leave in a session.
 *
 * A call does not tell what the code behind it does: the function, its triggers, whatever they
 * call.  So one question per database looks what the bodies of all its functions mention.  Most
 * databases have none that sets a parameter, makes a temporary table or takes a lock; there a call
 * leaves nothing.  It is asked when the first session has to know, over a connection of the
 * proxy's, since it may take a while.  Until then, and after DDL of any client until it is asked
 * anew, code may do anything, and sessions in doubt (see client/doubt.h) wait with their own
 * questions.
 *
 * Code in C does nothing of this, but for some functions that are known by name.  Code in an
 * untrusted language, or that builds statements, may do anything.
 *
 * Custom parameters are in no view, so their names are collected: from the bodies, from the
 * statements of all clients, and by the catalog from the views that these read.
 */
#ifndef ROUTE_BODIES_H
#define ROUTE_BODIES_H

#include "ask.h"

/* What code may leave. */
enum {
	CODE_SETTINGS = 1,
	CODE_TEMPORARY = 2,             /* tables and other objects */
	CODE_CURSOR = 4,                /* WITH HOLD */
	CODE_LISTEN = 8,
	CODE_LOCK = 16,                 /* advisory, of the session */
	CODE_ANYTHING = 31,
	CODE_NAMES = 32,                /* parameters whose names are not in the bodies */
	CODE_HOOKED = 64,               /* with plain writes, too: triggers and the like */
	CODE_UNKNOWN = 128,             /* nobody has answered yet */
	CODE_DDL = 256,                 /* bodies_text() alone tells it */
	CODE_AGED = 512,                /* the answer is older than this code: client/code.c */
};

struct bodies;

/* told is called when the answer to a bodies_ask() is there.  NULL without memory. */
struct bodies *bodies_new(struct servers *all, void (*told)(void *ctx), void *ctx);
void bodies_free(struct bodies *b);                     /* NULL is fine */
void bodies_reload(struct bodies *b);

/* DDL of a client of the account's database has ended. */
void bodies_changed(struct bodies *b, const struct account *a);

/* What the code of the account's database may leave. */
unsigned bodies_can(struct bodies *b, struct account *a);

/* Waits for an answer with at least this number, and asks for it; 0: for any that holds.  false: it
 * is there, or nobody can be asked now.  bodies_next() is the number of one that is not asked for
 * yet. */
bool bodies_ask(struct bodies *b, struct account *a, uint32_t number);
uint32_t bodies_next(struct bodies *b, struct account *a);
uint32_t bodies_told(struct bodies *b, struct account *a);

/* Could there be code by now that the answer does not know? */
bool bodies_aged(struct bodies *b, struct account *a);

/* What this code, of a DO, or a call of set_config() may leave by itself.  The custom
 * parameters in it are kept. */
unsigned bodies_text(struct bodies *b, struct account *a, const char *text, size_t len);

/* A client uses this custom parameter.  false: it cannot be asked for. */
bool bodies_name(struct bodies *b, struct account *a, const char *name);

/* A view sets parameters under names that it computes, or calls code, which may do so; how often
 * that was told. */
void bodies_compute(struct bodies *b, struct account *a);
void bodies_call(struct bodies *b, struct account *a);
unsigned bodies_computed(struct bodies *b, struct account *a);

/* How many custom parameters of the database are known. */
unsigned bodies_count(struct bodies *b, struct account *a);

/* All of the database's; fn is called in no particular order. */
void bodies_names(struct bodies *b, struct account *a, void (*fn)(void *ctx, const char *name),
                  void *ctx);

#endif
