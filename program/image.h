/* program/image.h - what Pgpool-II's container image does around the program.
 *
 * The image is a shell script that makes files out of environment variables and then starts
 * Pgpool-II on them.  Here nothing is written: the same decisions are made in memory, at each load.
 *
 * This applies when the program is started without -f, as the entry point of a container.  With -f
 * FILE it works like Pgpool-II on a host, and the rules below do not exist.
 *
 *   pgpool.conf     of the image's directories, or else PGPOOL_PARAMS_* (conf.h)
 *   pool_hba.conf   of the directories, or else, with enable_pool_hba, two rules: local users are
 *                   trusted, others prove themselves by PGPOOL_PASSWORD_ENCRYPTION_METHOD
 *   pool_passwd     of the directories, and *_USERNAME with *_PASSWORD variables (auth.h)
 *   pcp.conf        of the directories, or else PGPOOL_PCP_USER and PGPOOL_PCP_PASSWORD
 *   tls/            tls.key and tls.crt in it mean ssl = on, and are ssl_key and ssl_cert.  The
 *                   image copies that folder to IMAGE_TLS; names of files there are understood
 *
 * PGPOOL_ENABLE_POOL_PASSWD other than yes, true, on, 1: no users from the environment, the method
 * is password, ssl and enable_pool_hba are on.
 */
#ifndef PROGRAM_IMAGE_H
#define PROGRAM_IMAGE_H

#include "auth.h"
#include "conf.h"

#include <limits.h>

/* Where configuration is mounted; the last one is from the image of Pgpool-II 4.2. */
#define IMAGE_DIRECTORIES "/config", "/usr/local/pgpool-II/etc"

/* Where Pgpool-II's image keeps its copy of the files of TLS. */
#define IMAGE_TLS "/opt/pgpool-II/tls/"

enum {
	IMAGE_EXIT = 1,                 /* the exit status of the image's own errors */
	IMAGE_RULES_MAX = 128
};

/* The file of this name in the first directory that has it, or NULL. */
const char *image_file(const char *name, char out[static PATH_MAX]);

/* Called before anything is read: what is wrong with the variables, or NULL.  conf_file is NULL
 * when the configuration comes from them. */
const char *image_refuses_variables(char *const *environment, const char *conf_file);

/* Switches on what the image switches on regardless of the file, and writes pool_hba.conf into
 * rules ("" if a file of that name decides or none is needed).  c belongs to the caller alone.
 * False: no memory. */
bool image_complete(struct conf *c, char *const *environment, const char *hba_file,
	char rules[static IMAGE_RULES_MAX]);

/* Called when all is read: why the image would not start, or NULL.  h is NULL when there are no
 * rules. */
const char *image_refuses(const struct conf *c, const struct passwd *p, const struct hba *h,
	char *const *environment, const char *hba_file);

#endif
