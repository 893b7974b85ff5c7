#include "program/image.h"

#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

const char *image_file(const char *name, char out[static PATH_MAX])
{
	static const char *const directories[] = { IMAGE_DIRECTORIES };

	for (size_t i = 0; i < COUNT(directories); i++) {
		int n = snprintf(out, PATH_MAX, "%s/%s", directories[i], name);

		/* An unreadable file counts as there: its reader will complain. */
		if (n >= PATH_MAX)
			continue;
		source_note(out);
		if (access(out, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))
			return out;
	}
	return NULL;
}

/* --- the variables ------------------------------------------------------- */

/* "" when it is not set, as in the image. */
static const char *variable(char *const *environment, const char *name)
{
	size_t n = strlen(name);

	for (; *environment; environment++)
		if (!strncmp(*environment, name, n) && (*environment)[n] == '=')
			return *environment + n + 1;
	return "";
}

static bool has_users(char *const *environment)
{
	const char *value = variable(environment, "PGPOOL_ENABLE_POOL_PASSWD");

	return !*value || !strcmp(value, "yes") || !strcmp(value, "true") || !strcmp(value, "on") ||
		!strcmp(value, "1");
}

/* The method for clients; NULL for an unknown word. */
static const char *method_of(char *const *environment)
{
	static const char *const methods[] = { "scram-sha-256", "md5" };
	const char *word = variable(environment, "PGPOOL_PASSWORD_ENCRYPTION_METHOD");

	if (!has_users(environment))
		return "password";
	if (!*word)
		return methods[0];
	for (size_t i = 0; i < COUNT(methods); i++)
		if (!strcmp(word, methods[i]))
			return methods[i];
	return NULL;
}

const char *image_refuses_variables(char *const *environment, const char *conf_file)
{
	if (!conf_file && !*variable(environment, "PGPOOL_PARAMS_BACKEND_HOSTNAME0"))
		return "PGPOOL_PARAMS_BACKEND_HOSTNAME0 environment variable is not set, "
			"exiting...";
	if (!method_of(environment))
		return "PGPOOL_PASSWORD_ENCRYPTION_METHOD is neither scram-sha-256 nor md5, "
			"exiting...";
	return NULL;
}

/* --- the whole ----------------------------------------------------------- */

static bool set(char **parameter, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return false;
	free(*parameter);
	*parameter = copy;
	return true;
}

/* A name in the image's own folder means the place that the image copies it from.  A missing
 * certificate and its key are made; files of trusted certificates must exist. */
static bool find_mounted(char **parameter, bool may_lack)
{
	enum { PREFIX = sizeof IMAGE_TLS - 1 };
	char name[PATH_MAX], path[PATH_MAX];

	if (strncmp(*parameter, IMAGE_TLS, PREFIX))
		return true;
	snprintf(name, sizeof name, "tls/%s", *parameter + PREFIX);
	if (image_file(name, path))
		return set(parameter, path);
	return !may_lack || set(parameter, "");
}

/* A mounted certificate takes precedence over one that the configuration names. */
static bool complete_tls(struct conf *c)
{
	char key[PATH_MAX], certificate[PATH_MAX];
	bool mounted = image_file("tls/tls.key", key) && image_file("tls/tls.crt", certificate);

	c->ssl |= mounted;
	if (mounted && !(set(&c->ssl_key, key) && set(&c->ssl_cert, certificate)))
		return false;
	return find_mounted(&c->ssl_key, true) && find_mounted(&c->ssl_cert, true)
		&& find_mounted(&c->ssl_ca_cert, false) && find_mounted(&c->ssl_ca_cert_dir, false)
		&& find_mounted(&c->ssl_crl_file, false);
}

bool image_complete(struct conf *c, char *const *environment, const char *hba_file,
	char rules[static IMAGE_RULES_MAX])
{
	if (!has_users(environment))
		c->ssl = c->enable_pool_hba = true;
	*rules = '\0';
	if (!hba_file && c->enable_pool_hba)
		snprintf(rules, IMAGE_RULES_MAX, "local all all trust\n%s all all all %s\n",
			c->ssl ? "hostssl" : "host", method_of(environment));
	/* after the rules, as in the image: a certificate alone does not make TLS mandatory */
	return complete_tls(c);
}

/* One of the two checks that connect as a user of their own. */
static bool lacks_password(const struct passwd *p, const char *user, const char *password)
{
	return !*password && !passwd_find(p, user);
}

const char *image_refuses(const struct conf *c, const struct passwd *p, const struct hba *h,
	char *const *environment, const char *hba_file)
{
	const struct conf_node *health = &c->node[CONF_NODES];

	if (hba_file && h && !has_users(environment) && !hba_has_hostssl(h))
		return "If pool_passwd is disabled, password authentication will be used. You must "
			"add hostssl lines in pool_hba.conf to secure all connections.";
	if (c->sr_check_period && !*c->sr_check_user)
		return "sr_check_user is not set, exiting...";
	if (c->sr_check_period && lacks_password(p, c->sr_check_user, c->sr_check_password))
		return "password of sr_check_user is not set. Set sr_check_password or environment "
			"variable. exiting...";
	if (health->health_check_period && !*health->health_check_user)
		return "health_check_user is not set, exiting...";
	if (health->health_check_period && lacks_password(p, health->health_check_user,
		health->health_check_password))
		return "password of health_check_user is not set. Set health_check_password or "
			"environment variable. exiting...";
	if (!c->nnodes || !c->node[0].hostname || !*c->node[0].hostname)
		return "backend_hostname0 is not set, exiting...";
	return NULL;
}
