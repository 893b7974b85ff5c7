/* program/setup.h - the whole configuration of the program, loaded at once.
 *
 * A start, a reload, --check and the show commands see the same: one call reads pgpool.conf (or
 * the environment), pool_passwd, pool_hba.conf, pcp.conf and the files of TLS, and tells what is
 * wrong with them.
 */
#ifndef PROGRAM_SETUP_H
#define PROGRAM_SETUP_H

#include "program/image.h"
#include "tls.h"

enum { SETUP_EXIT = 3 };                /* the exit status of a start that fails */

/* The files that the command line names, absolute; "" for those it does not name.  Without a
 * pgpool.conf the rules of the container image apply (image.h); with one, the other files lie
 * beside it.  key is the file that passwd_key_file() chose.  At a reload, now and tls are in force:
 * the name of pool_passwd and a certificate made at start are kept. */
struct sources {
	char conf[PATH_MAX], hba[PATH_MAX], pcp[PATH_MAX], key[PATH_MAX];
	const struct conf *now;
	const struct tls_context *tls;
};

/* The result.  The caller may take its members; setup_free frees the rest. */
struct setup {
	struct conf *conf;
	struct passwd *passwd;
	struct passwd *pcp;             /* users of PCP */
	struct hba *hba;                /* NULL without enable_pool_hba, or when it is unusable */
	struct tls_context *tls;        /* NULL without TLS on either side */
	char conf_file[PATH_MAX];       /* where it came from; "" is the environment */
	char passwd_file[PATH_MAX];     /* pool_passwd; "" is none */
	char hba_file[PATH_MAX];        /* pool_hba.conf; "" is none */
	char rules[IMAGE_RULES_MAX];    /* pool_hba.conf as the image makes it, or "" */
	bool hba_unusable;
};

/* Where messages go.  For a start, all but log is zero. */
struct telling {
	struct log *log;
	bool reload;                    /* then nothing is fatal */
	bool quiet;                     /* reports only fatal errors */
	char errors[1024];              /* the errors, a line each, as far as they fit */
};

/* Returns 0.  Or else, after saying why, the exit status of a start; then there is nothing to
 * free. */
int setup_load(struct setup *s, const struct sources *from, struct telling *t);

/* Says where the configuration and the rules came from. */
void setup_tell_files(const struct setup *s, struct telling *t);

/* Loads only pgpool.conf: its place and its content. */
int setup_load_conf(struct setup *s, const struct sources *from, struct telling *t);

/* The file's name, which is relative to the configuration's directory unless it is absolute. */
void setup_path(const struct setup *s, const char *name, char out[static PATH_MAX]);

/* Where conf.h's messages arrive; its context is a struct telling. */
void setup_tell(void *telling, enum level severity, const char *file, int line, int column,
	const char *text);

void setup_free(struct setup *s);

#endif
