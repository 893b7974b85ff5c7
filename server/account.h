/* server/account.h - who connects, and with what session defaults.
 *
 * An account is one user in one database: PostgreSQL's demand on it at login, the secrets that
 * were derived for it, its idle servers.  A profile is an account with the other parameters of a
 * startup packet (application_name, DateStyle, options, ...): RESET goes back to these.  Clients
 * and servers point to profiles; equal ones are one object, so that a thousand clients of one
 * application cost their settings once.
 *
 * A profile's welcome is the ParameterStatus messages that a client gets at login.  It is
 * taken from the servers that started with, or were moved to, the profile.
 *
 * A server can be moved from one profile to another if they differ in nothing but application_name.
 * A RESET, which code may say, brings back what the server began with.  PostgreSQL reports that of
 * this parameter.  Of most others nothing tells, so with other values a server stays with its own.
 */
#ifndef SERVER_ACCOUNT_H
#define SERVER_ACCOUNT_H

#include "auth.h"
#include "scram.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PostgreSQL's first word at login; when it said so (loop_now()), and which node. */
enum demand { DEMAND_UNKNOWN, DEMAND_NOTHING, DEMAND_CLEAR, DEMAND_MD5, DEMAND_SCRAM };
struct demanded { enum demand demand; int node; int64_t at; };

struct accounts;
struct server;
struct knowledge;

struct account {
	struct accounts *all;
	struct account *chain;
	uint32_t hash;
	unsigned refs;                          /* profiles, and other holders */
	struct profile *profiles;
	struct server *idle;                    /* of all nodes, last used first */

	struct demanded demanded;               /* for sessions; see profile_demanded() */
	char *password;                         /* for logins to PostgreSQL; or NULL */
	int64_t proved;                         /* loop_now() when PostgreSQL accepted it; 0: it
	                                         * did not, or may have changed its mind */
	struct passwd_entry *given;             /* the proxy's own password, in place of the user's
	                                         * entry: such an account is no client's; or NULL */

	bool have_keys;                         /* for backends whose verifier has this salt */
	struct scram_keys keys;
	uint8_t salt[SCRAM_SALT_MAX], salt_len;
	uint32_t iterations;
	struct derivation *deriving;            /* keys for the same, under way */

	struct knowledge *known;                /* catalog.c's: of the database; or NULL */
	enum { STATS_UNKNOWN, STATS_OWN, STATS_ALL } stats;     /* client/privilege.c's: may it see
	                                         * what other users do? */
	int64_t stats_until;                    /* loop_now() up to which that is believed */

	const char *database;                   /* behind the user in the same block */
	char user[];
};

struct profile {
	struct profile *next;
	struct account *account;
	unsigned refs;
	struct demanded demanded;               /* for a walsender; see profile_demanded() */
	uint8_t *welcome;                       /* ParameterStatus messages, or NULL */
	size_t welcome_len;
	bool welcomed;                          /* all of them are there */
	uint8_t level;                          /* default_transaction_isolation, an enum sql_level;
	                                         * LEVEL_UNSAID: nobody has asked yet */
	int64_t level_at;                       /* loop_now() of the question */
	size_t len;                             /* of params */
	const char *application_name;           /* in params, or "" */
	bool replication;                       /* a walsender's: never pooled */
	uint64_t min_lsn;                       /* its PROFILE_MIN_LSN; 0: none */
	char params[];                          /* names and values, zero-terminated */
};

struct accounts *accounts_new(void);
void accounts_free(struct accounts *all);

/* Forgets the demands of all accounts, and those secrets that must not be kept: pool_passwd was
 * read again. */
void accounts_forget_secrets(struct accounts *all,
	bool (*keep)(void *ctx, const struct account *a), void *ctx);

/* The account, made if need be and counted; NULL without memory. */
struct account *account_get(struct accounts *all, const char *user, const char *database);

/* The same for an account of the proxy's own, with this password (copied). */
struct account *account_get_own(struct accounts *all, const char *user, const char *database,
	enum passwd_kind kind, const char *text);
void account_drop(struct account *a);

/* A verified password; copied.  NULL forgets.  proved: PostgreSQL accepted it now, at loop_now();
 * 0: it only fits the user's entry. */
void account_set_password(struct account *a, const char *password, int64_t proved);

/* Has PostgreSQL accepted this password within ACCOUNT_PROOF?  Compares in constant time. */
enum { ACCOUNT_PROOF = 5000 };                  /* ms */
bool account_knows(const struct account *a, const char *password, int64_t now);

/* Sessions of these accounts may begin with other values now. */
void accounts_forget_welcomes(struct accounts *all,
	bool (*which)(const void *ctx, const struct account *a), const void *ctx);

/* Roles have been altered: each password has to be proved again. */
void accounts_doubt(struct accounts *all);

/* The user has another password now: forgets the secrets for logins to PostgreSQL. */
void accounts_forget_user(struct accounts *all, const char *user);

/* The keys for backends whose verifier has this salt and iteration count. */
void account_set_keys(struct account *a, const struct scram_keys *k, const uint8_t *salt,
	uint8_t salt_len, uint32_t iterations);

/* The profile with these parameters: pairs of zero-terminated strings.  Names are in any case, but
 * for the protocol's own: "options" is not "OPTIONS".  The profile is made if need be and counted;
 * NULL without memory. */
struct profile *profile_get(struct account *a, const char *pairs, size_t len);
struct profile *profile_hold(struct profile *p);
void profile_drop(struct profile *p);           /* NULL is fine */

/* PostgreSQL's demand at a login with these parameters.  Its rules look at the user, the database
 * and whether it is a walsender, which "replication" says in several ways. */
static inline struct demanded *profile_demanded(struct profile *p)
{
	return p->replication ? &p->demanded : &p->account->demanded;
}

/* The parameter that keeps reads off replicas which have not replayed up to this position. */
#define PROFILE_MIN_LSN "pgpool.min_lsn"

/* Its value: 0 for ""; UINT64_MAX for what is no position. */
uint64_t profile_position(const char *text);

/* The value of a parameter in the profile, or NULL. */
const char *profile_value(const struct profile *p, const char *name);

/* Defaults may have been altered: the levels of all profiles have to be asked for again. */
void accounts_forget_levels(struct accounts *all);

/* Adds or replaces one ParameterStatus in the welcome, if there is room.  1: it had another value;
 * -1: no memory. */
int profile_report(struct profile *p, const char *name, const char *value);
int profile_copy_welcome(struct profile *to, const struct profile *from);

/* All of its welcome is there. */
void profile_is_welcomed(struct profile *p);

/* Nobody can be asked: makes it of what is known of others.  The profile is not welcomed by that.
 * false: nothing is known. */
bool profile_guess_welcome(struct profile *p);

/* Of an application_name, the zero included: PostgreSQL's NAMEDATALEN. */
enum { APPLICATION_NAME_SIZE = 64 };

/* Do the two differ in nothing but application_name?  Not for walsenders, which are another kind of
 * process. */
bool profile_fits(const struct profile *a, const struct profile *b);

/* The application_name of its sessions; NULL: it is not known yet, or PostgreSQL would take another
 * one for it. */
const char *profile_name(const struct profile *p);

/* Does PostgreSQL take the name as it is?  It cuts long ones, and takes nothing but visible
 * ASCII. */
bool profile_name_stays(const char *name);

#endif
