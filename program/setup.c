#include "program/setup.h"

#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* --- messages ------------------------------------------------------------ */

/* Keeps the errors, for the one that asked for the reload. */
static void note_error(struct telling *t, const char *place, const char *text)
{
	size_t have = strlen(t->errors);

	snprintf(t->errors + have, sizeof t->errors - have, "%s%s%s", have ? "\n" : "", place,
		text);
}

void setup_tell(void *telling, enum level severity, const char *file, int line, int column,
	const char *text)
{
	struct telling *t = telling;
	char place[PATH_MAX + 32] = "";

	if (file && column)
		snprintf(place, sizeof place, "%s:%d:%d: ", file, line, column);
	else if (file && line)
		snprintf(place, sizeof place, "%s:%d: ", file, line);
	else if (file)
		snprintf(place, sizeof place, "%s: ", file);
	if (severity >= LEVEL_ERROR)
		note_error(t, place, text);
	else if (t->quiet)
		return;
	if (t->reload && severity > LEVEL_WARNING)
		severity = LEVEL_WARNING;
	log_write(t->log, NULL, severity, NULL, NULL, "%s%s", place, text);
}

static void warn(void *telling, const char *file, int line, const char *text)
{
	setup_tell(telling, LEVEL_WARNING, file, line, 0, text);
}

/* --- files --------------------------------------------------------------- */

static bool is_image(const struct sources *from)
{
	return !*from->conf;
}

void setup_path(const struct setup *s, const char *name, char out[static PATH_MAX])
{
	const char *slash = strrchr(s->conf_file, '/');

	if (*name == '/' || !slash)
		snprintf(out, PATH_MAX, "%s", name);
	else
		snprintf(out, PATH_MAX, "%.*s/%s", (int)(slash - s->conf_file), s->conf_file, name);
}

/* A file that the command line may name, else the configuration's file of this name; NULL if the
 * image has none. */
static const char *find(const struct setup *s, const struct sources *from, const char *given,
	const char *name, char out[static PATH_MAX])
{
	if (*given)
		return given;
	if (*name != '/' && is_image(from))
		return image_file(name, out);
	setup_path(s, name, out);
	return out;
}

/* --- loading ------------------------------------------------------------- */

/* A password from a parameter, for the proxy itself: AES becomes TEXT, which is never longer, so
 * that the key is no longer needed. */
static void open_password(char *text, const char *name, const struct passwd_key *key,
	struct telling *t)
{
	static const char form[] = "TEXT";
	size_t size = strlen(text) + 1;
	char *copy = *text ? strdup(text) : NULL, why[PASSWD_WHY], line[PASSWD_WHY + 64];

	if (!copy)
		return;
	enum passwd_kind kind = passwd_decode(copy, key, why);
	if (kind == PASSWD_SCRAM)
		snprintf(why, sizeof why, "the proxy cannot log in with a SCRAM verifier");
	if (*why && name) {
		snprintf(line, sizeof line, "parameter \"%s\": %s", name, why);
		setup_tell(t, LEVEL_WARNING, NULL, 0, 0, line);
	}
	if (kind == PASSWD_CLEAR && !strncmp(text, "AES", 3)
	    && strlen(copy) + sizeof form <= size) {
		explicit_bzero(text, size);
		snprintf(text, size, "%s%s", form, copy);
	}
	memory_wipe(copy, size);
}

static void open_passwords(struct conf *c, const struct passwd_key *key, struct telling *t)
{
	char *common = c->node[CONF_NODES].health_check_password, name[64];

	open_password(c->sr_check_password, "sr_check_password", key, t);
	for (int i = 0; i < c->nnodes; i++) {
		char *text = c->node[i].health_check_password;
		snprintf(name, sizeof name, "health_check_password%d", i);
		open_password(text, common && !strcmp(text, common) ? NULL : name, key, t);
	}
	if (common)
		open_password(common, "health_check_password", key, t);
}

static struct passwd *load_passwd(struct setup *s, const struct sources *from,
	struct telling *t)
{
	struct auth_report report = { .warn = warn, .ctx = t, .strict = t->reload };
	char path[PATH_MAX];
	const char *name = from->now ? from->now->pool_passwd : s->conf->pool_passwd;
	const char *file = *name ? find(s, from, "", name, path) : NULL;
	struct passwd_key key;

	snprintf(s->passwd_file, sizeof s->passwd_file, "%s", file ? file : "");
	passwd_key_load(&key, from->key);
	struct passwd *p = passwd_load(file, &key, environ, &report);
	open_passwords(s->conf, &key, t);
	explicit_bzero(&key, sizeof key);
	if (!p)
		setup_tell(t, LEVEL_FATAL, NULL, 0, 0, report.error);
	return p;
}

static struct passwd *load_pcp(const struct setup *s, const struct sources *from,
	struct telling *t)
{
	struct auth_report report = { .warn = warn, .ctx = t, .strict = t->reload };
	char path[PATH_MAX];
	const char *file = find(s, from, from->pcp, "pcp.conf", path);
	struct passwd *p = passwd_load_pcp(file, environ, &report);

	if (!p)
		setup_tell(t, LEVEL_FATAL, NULL, 0, 0, report.error);
	return p;
}

static void load_hba(struct setup *s, const char *file, struct telling *t)
{
	struct auth_report report = { .warn = warn, .ctx = t };

	if (!s->conf->enable_pool_hba)
		return;
	s->hba = *s->rules ? hba_parse(s->rules, "generated rules", &report)
		: hba_load(file, &report);
	s->hba_unusable = !s->hba;
	if (!s->hba)
		note_error(t, "", report.error);
	if (!s->hba && !t->quiet)
		log_write(t->log, NULL, LEVEL_WARNING, report.error, t->reload
			? "the rules in force are kept" : "every login fails until it is corrected",
			"missing or erroneous pool_hba.conf file");
}

static void tell_tls(void *telling, enum level severity, const char *text)
{
	setup_tell(telling, severity, NULL, 0, 0, text);
}

/* Clients see a certificate only when ssl is on; nodes may be asked for TLS without it. */
static bool load_tls(struct setup *s, const struct sources *from, struct telling *t)
{
	enum { CERT, KEY, CA, CA_DIR, CRL, FILES };
	const struct conf *c = s->conf;
	const char *name[FILES] = { [CERT] = c->ssl_cert, [KEY] = c->ssl_key, [CA] = c->ssl_ca_cert,
		[CA_DIR] = c->ssl_ca_cert_dir, [CRL] = c->ssl_crl_file };
	char path[FILES][PATH_MAX], host[256] = "";

	if (!conf_needs_tls(c))
		return true;
	for (int i = 0; i < FILES; i++) {
		*path[i] = '\0';
		if (*name[i])
			setup_path(s, name[i], path[i]);
	}
	if (c->ssl && (gethostname(host, sizeof host - 1) < 0 || !*host))
		snprintf(host, sizeof host, "pgpool");
	s->tls = tls_context_load(&(struct tls_files){ .cert = path[CERT], .key = path[KEY],
		.ca = path[CA], .ca_dir = path[CA_DIR], .crl = path[CRL],
		.passphrase_command = c->ssl_passphrase_command, .ciphers = c->ssl_ciphers,
		.curve = c->ssl_ecdh_curve, .prefer_server_ciphers = c->ssl_prefer_server_ciphers,
		.host = host, .old = from->tls }, tell_tls, t);
	return s->tls;
}

void setup_tell_files(const struct setup *s, struct telling *t)
{
	char text[2 * PATH_MAX + 64];

	snprintf(text, sizeof text, "configuration: %s; access rules: %s",
		*s->conf_file ? s->conf_file : "PGPOOL_PARAMS_* variables",
		!s->conf->enable_pool_hba ? "none (enable_pool_hba is off)"
		: *s->rules ? "generated" : s->hba_file);
	setup_tell(t, LEVEL_LOG, NULL, 0, 0, text);
}

static int refuse(struct setup *s, struct telling *t, const char *why, int status)
{
	setup_tell(t, status == IMAGE_EXIT ? LEVEL_ERROR : LEVEL_FATAL, NULL, 0, 0, why);
	setup_free(s);
	return status;
}

/* Users of Pgpool-II on a host expect these to be read. */
static void tell_unread(struct telling *t)
{
	static const char *const usual[] = { "/etc/pgpool2/pgpool.conf",
		"/etc/pgpool-II/pgpool.conf", "/usr/local/etc/pgpool.conf" };
	char text[192];

	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		if (access(usual[i], F_OK) == 0) {
			snprintf(text, sizeof text, "without -f this is configured like a container"
				" (PGPOOL_PARAMS_* variables): \"%s\" is not read", usual[i]);
			setup_tell(t, LEVEL_LOG, NULL, 0, 0, text);
		}
}

int setup_load_conf(struct setup *s, const struct sources *from, struct telling *t)
{
	struct conf_messages m = { setup_tell, t };
	char path[PATH_MAX];
	const char *file = find(s, from, from->conf, "pgpool.conf", path);

	*s = (struct setup){ 0 };
	if (file)
		snprintf(s->conf_file, sizeof s->conf_file, "%s", file);
	else if (is_image(from))
		tell_unread(t);
	const char *why = is_image(from) ? image_refuses_variables(environ, file) : NULL;
	if (why)
		return refuse(s, t, why, IMAGE_EXIT);
	s->conf = conf_load(file, environ, &m);
	return s->conf ? 0 : SETUP_EXIT;
}

int setup_load(struct setup *s, const struct sources *from, struct telling *t)
{
	char path[PATH_MAX];
	int status = setup_load_conf(s, from, t);

	if (status)
		return status;
	const char *hba_file = find(s, from, from->hba, "pool_hba.conf", path);
	snprintf(s->hba_file, sizeof s->hba_file, "%s", hba_file ? hba_file : "");
	if (is_image(from) && !image_complete(s->conf, environ, hba_file, s->rules))
		return refuse(s, t, "out of memory", SETUP_EXIT);
	s->passwd = load_passwd(s, from, t);
	s->pcp = s->passwd ? load_pcp(s, from, t) : NULL;
	if (!s->pcp) {
		setup_free(s);
		return SETUP_EXIT;
	}
	load_hba(s, hba_file, t);
	const char *why = is_image(from)
		? image_refuses(s->conf, s->passwd, s->hba, environ, hba_file) : NULL;
	if (why)
		return refuse(s, t, why, IMAGE_EXIT);
	if (!s->conf->nnodes)
		return refuse(s, t, "no backend is configured: set backend_hostname0 and "
			"backend_port0", SETUP_EXIT);
	if (!s->conf->ssl && s->hba && hba_has_hostssl(s->hba))
		warn(t, NULL, 0, "hostssl lines of pool_hba.conf never match: ssl is off");
	if (!load_tls(s, from, t)) {
		setup_free(s);
		return SETUP_EXIT;
	}
	return 0;
}

void setup_free(struct setup *s)
{
	conf_free(s->conf);
	passwd_free(s->passwd);
	passwd_free(s->pcp);
	hba_free(s->hba);
	tls_context_drop(s->tls);
	*s = (struct setup){ 0 };
}
