/* auth.h - login rules and secrets: pool_passwd entries, pool_hba.conf rules, pcp.conf users.
 *
 * Both are immutable tables, built at start and at each reload.  Their builder frees them when
 * nobody looks into them any more.  Entries and rules point into their table and live as long as
 * it.  The two readers are passwd.c and hba.c; they share auth.c.  Nothing here connects or
 * resolves a name.  Warnings and errors name the file and the line, and where it helps the column.
 * (struct passwd is not that of <pwd.h>: never include both.)
 *
 * pool_passwd.  One "user:password" per line; a backslash takes the next character as it is, so
 * that names and passwords can hold ':' and '\'.  Further fields are ignored, and so is a carriage
 * return before the end of a line.  There are no comments.  The first line of a user wins (others
 * are a warning if they differ).  An unusable line is a warning and is skipped.  A SCRAM verifier,
 * as PostgreSQL prints it, takes the rest of its line.  A missing file counts as empty.  The first
 * characters of the password field give its kind, as in passwd_decode:
 *
 *   md5 and 32 digits      md5(password, user), as PostgreSQL stores it
 *   AES and base64         the password, encrypted (passwd_key.h)
 *   SCRAM-SHA-256$         a verifier, as PostgreSQL stores it
 *   TEXT                   the rest is the password
 *   anything else          is the password
 *
 * The environment gives entries as well: <PREFIX>_USERNAME with <PREFIX>_PASSWORD, any PREFIX.  A
 * user in both has the file's password.
 *
 *   PGPOOL_ENABLE_POOL_PASSWD        yes, true, on, 1 or unset: look for such pairs
 *   PGPOOL_SKIP_PASSWORD_ENCRYPTION  true: a value is read as the file's password field, without
 *                                    escapes; unset: it is the clear text, whatever it looks like
 *
 * pcp.conf.  One "user:hash" per line, hash being 32 hexadecimal digits: md5(password).  Lines that
 * begin with # are comments; there are no escapes.  PGPOOL_PCP_USER with PGPOOL_PCP_PASSWORD is one
 * more; the latter is the hash with PGPOOL_SKIP_PASSWORD_ENCRYPTION, the clear text without.
 *
 * pool_hba.conf.  PostgreSQL's format as far as Pgpool-II takes it; the first record whose columns
 * all match decides.  One bad line makes the whole file unusable.  Records that can never match
 * (+group, samegroup, samerole) and methods that this program lacks (pam, ldap) are warnings.  A
 * list's @file is read by the same rules, relative to the file that names it, at most ten deep; an
 * unreadable one is an error.
 */
#ifndef AUTH_H
#define AUTH_H

#include "auth/entry.h"
#include "auth/passwd_key.h"
#include "auth/verifier.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Where the readers below report.  warn may be NULL; line is 0 if there is none.  Neither text ever
 * holds a password. */
struct auth_report {
	void (*warn)(void *ctx, const char *file, int line, const char *text);
	void *ctx;
	bool strict;                    /* an existing but unreadable file is an error */
	char error[640];                /* why NULL was returned, with file and line */
};

/* ---- what both readers are made from (auth.c) ---- */

/* Formats and hands a warning to r. */
__attribute__((format(printf, 4, 5)))
void auth_warn(struct auth_report *r, const char *file, int line, const char *format, ...);

/* The whole of a regular file of at most 16 MB, with a NUL behind it; the caller frees (and wipes)
 * it.  NULL with errno. */
char *auth_read(const char *path, size_t *len);

/* The next line of a text that ends at end: from *line to the returned pointer, where the caller
 * may put a NUL (over the newline, or over auth_read's).  *at moves behind it. */
char *auth_line(char **at, char *end, char **line);

/* ---- pool_passwd and pcp.conf (passwd.c) ---- */

enum passwd_kind {
	PASSWD_NONE,                    /* never in a table */
	PASSWD_MD5,                     /* text is "md5" and 32 digits: for md5 on both sides */
	PASSWD_CLEAR,                   /* text is the password: good for everything */
	PASSWD_AES,                     /* not decrypted (else it would be PASSWD_CLEAR): good
	                                 * for nothing, there so that the login can say why */
	PASSWD_PCP,                     /* of pcp.conf: text is the 32 digits of md5(password) */
	PASSWD_SCRAM                    /* text is a verifier that scram_verifier_parse takes: good
	                                 * for scram-sha-256 and password on the client's side */
};

struct passwd_entry {
	enum passwd_kind kind;
	uint32_t id;                    /* 0 .. passwd_count()-1, for a table of the caller's */
	const char *user;
	const char *text;               /* NUL-terminated */
	size_t len;                     /* of text */
	int line;                       /* of the file, from 1; or 0, and then ... */
	const char *variable;           /* ... the <PREFIX>_USERNAME=... of the environment */
};

struct passwd;

/* path NULL: no file; key NULL: none, environment NULL: none.  The key is only needed for AES
 * entries; without it each of them is a warning.  Returns NULL only when out of memory. */
struct passwd *passwd_load(const char *path, const struct passwd_key *key,
	char *const *environment, struct auth_report *r);

/* The same for pcp.conf: a table of PASSWD_PCP entries. */
struct passwd *passwd_load_pcp(const char *path, char *const *environment, struct auth_report *r);

enum { PASSWD_WHY = 256 };

/* Decodes a password as in pool_passwd (or sr_check_password), in place: text becomes the text of a
 * struct passwd_entry, which is never longer.  why gets "" or what is wrong with it, to be put
 * behind "password of user ...: ": then the answer is PASSWD_AES or PASSWD_NONE. */
enum passwd_kind passwd_decode(char *text, const struct passwd_key *key,
	char why[static PASSWD_WHY]);

/* NULL when there is no such user, or no table. */
const struct passwd_entry *passwd_find(const struct passwd *p, const char *user);

size_t passwd_count(const struct passwd *p);            /* 0 for NULL */

/* All entries, in no order. */
void passwd_each(const struct passwd *p, void (*fn)(void *ctx, const struct passwd_entry *e),
	void *ctx);

/* Wipes, then frees.  NULL is fine. */
void passwd_free(struct passwd *p);

/* Is this the entry's password?  Needs PASSWD_CLEAR or PASSWD_MD5; false for others.  The time
 * taken reveals nothing about the entry's text. */
bool passwd_check_clear(const struct passwd_entry *e, const char *password, size_t len);

/* Is answer (its NUL included in the caller's check of the message's end) what the entry's
 * password gives for AuthenticationMD5Password with this salt?  Needs PASSWD_MD5 or
 * PASSWD_CLEAR; false for others. */
bool passwd_check_md5(const struct passwd_entry *e, const uint8_t salt[static 4],
	const char *answer);

/* ---- pool_hba.conf (hba.c) ---- */

enum hba_method {
	HBA_TRUST, HBA_REJECT, HBA_CERT, HBA_PASSWORD, HBA_MD5, HBA_SCRAM,
	HBA_PAM, HBA_LDAP               /* known but not supported: such a login fails */
};

struct hba_rule {
	enum hba_method method;
	int line;                       /* in pool_hba.conf, from 1 */
};

struct hba;

/* NULL when the file is unusable: r->error has file, line and reason.  The interface addresses for
 * samehost and samenet are looked up now, not at each login. */
struct hba *hba_load(const char *path, struct auth_report *r);

/* The same from a text in memory; messages use name, and @files are relative to it. */
struct hba *hba_parse(const char *text, const char *name, struct auth_report *r);

/* A client at its login.  peer: AF_UNIX is local; an IPv4 address inside IPv6 (::ffff:a.b.c.d) is
 * IPv4.  host is the client's name in DNS, which the caller has verified: the name of the address,
 * which also leads back to it (in any case of letters, without a dot at the end). */
struct hba_query {
	const struct sockaddr *peer;
	bool tls;                       /* the connection is encrypted */
	const char *database, *user;
	const char *host;               /* NULL: not looked up; "": looked up, has none */
};

enum hba_answer {
	HBA_NONE,                       /* no record matches */
	HBA_FOUND,
	HBA_NEEDS_HOST                  /* host is NULL, and whether the first record that may match
	                                 * does depends on it: look it up, ask again */
};

/* The first record that matches; *rule is NULL without HBA_FOUND. */
enum hba_answer hba_find(const struct hba *h, const struct hba_query *q,
	const struct hba_rule **rule);

/* Is there any hostssl record?  (They never match without ssl = on: worth a log line.) */
bool hba_has_hostssl(const struct hba *h);

/* As written in the file: "scram-sha-256". */
const char *hba_method_name(enum hba_method m);

void hba_free(struct hba *h);

#endif
