#include "auth.h"

#include "md5.h"
#include "scram.h"
#include "wire.h"

#include <bearssl_hash.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_LINE = 8192, LONGEST_PCP_USER = 128 };

/* One user's entry; its strings lie behind it. */
struct held {
	struct held *chain;
	struct passwd_entry entry;
	size_t size;                    /* of text, to wipe it */
	char text[];
};

struct passwd {
	size_t n;
	struct held *buckets[1024];
};

/* Where an entry is being read from. */
struct origin {
	const char *file;
	int line;
	const char *variable;
	const struct passwd_key *key;
	struct auth_report *r;
};

static size_t bucket_of(const char *user)
{
	uint32_t h = 2166136261u;       /* FNV-1a */

	while (*user)
		h = (h ^ (uint8_t)*user++) * 16777619u;
	return h % 1024;
}

const struct passwd_entry *passwd_find(const struct passwd *p, const char *user)
{
	if (!p)
		return NULL;
	for (const struct held *h = p->buckets[bucket_of(user)]; h; h = h->chain)
		if (!strcmp(h->entry.user, user))
			return &h->entry;
	return NULL;
}

size_t passwd_count(const struct passwd *p)
{
	return p ? p->n : 0;
}

void passwd_each(const struct passwd *p, void (*fn)(void *ctx, const struct passwd_entry *e),
	void *ctx)
{
	for (size_t i = 0; p && i < sizeof p->buckets / sizeof *p->buckets; i++)
		for (const struct held *h = p->buckets[i]; h; h = h->chain)
			fn(ctx, &h->entry);
}

static void free_held(struct held *h)
{
	memory_wipe(h, sizeof *h + h->size);
}

void passwd_free(struct passwd *p)
{
	for (size_t i = 0; p && i < sizeof p->buckets / sizeof *p->buckets; i++) {
		for (struct held *h = p->buckets[i], *next; h; h = next) {
			next = h->chain;
			free_held(h);
		}
	}
	free(p);
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool is_md5(const char *text)
{
	return strlen(text) == 35 && begins(text, "md5") &&
		strspn(text + 3, "0123456789abcdefABCDEF") == 32;
}

static bool is_verifier(const char *text)
{
	struct scram_verifier v;
	bool good = !scram_verifier_parse(&v, text);

	explicit_bzero(&v, sizeof v);
	return good;
}

/* An AES entry in place. */
static enum passwd_kind open_aes(char *text, const struct passwd_key *key,
	char why[static PASSWD_WHY])
{
	size_t len = strlen(text);

	if (!key || !(key->usable || *key->file)) {
		snprintf(why, PASSWD_WHY, "AES encrypted, but there is no key file "
			"(-k, PGPOOLKEYFILE)");
		return PASSWD_AES;
	}
	if (!key->usable) {
		snprintf(why, PASSWD_WHY, "AES encrypted, and key file \"%.100s\" cannot be "
			"used: %s", key->file,
			key->error == ENODATA ? "it is empty" : strerror(key->error));
		return PASSWD_AES;
	}
	int n = passwd_decrypt(text + 3, len - 3, key);
	if (n >= 0) {
		memmove(text, text + 3, (size_t)n + 1);
		return PASSWD_CLEAR;
	}
	snprintf(why, PASSWD_WHY, "AES encrypted, but not with the key in \"%.100s\"", key->file);
	explicit_bzero(text + 3, len - 3);
	return PASSWD_AES;
}

enum passwd_kind passwd_decode(char *text, const struct passwd_key *key,
	char why[static PASSWD_WHY])
{
	*why = '\0';
	if (is_md5(text)) {
		for (char *c = text; *c; c++)
			*c |= 0x20;     /* the digits are hashed as text: lower case */
		return PASSWD_MD5;
	}
	if (begins(text, "SCRAM-SHA-256$")) {
		if (is_verifier(text))
			return PASSWD_SCRAM;
		snprintf(why, PASSWD_WHY, "malformed SCRAM verifier");
		return PASSWD_NONE;
	}
	if (begins(text, "AES"))
		return open_aes(text, key, why);
	if (begins(text, "TEXT"))
		memmove(text, text + 4, strlen(text + 4) + 1);
	return PASSWD_CLEAR;
}

/* Puts an entry into the table, or warns why not; h then belongs to the table or is freed. */
static void keep(struct passwd *p, struct held *h, struct origin o)
{
	const struct passwd_entry *e = &h->entry, *old = passwd_find(p, e->user);
	struct held **end = &p->buckets[bucket_of(e->user)];

	if (e->len && !old) {
		h->entry.id = (uint32_t)p->n++;
		while (*end)
			end = &(*end)->chain;
		*end = h;
		return;
	}
	if (!e->len)
		auth_warn(o.r, o.file, o.line, "password for %s user is not defined.", e->user);
	else if (old->kind != e->kind || strcmp(old->text, e->text))
		auth_warn(o.r, o.file, o.line, "user \"%s\" already has a password, "
			"this one is ignored", e->user);
	free_held(h);
}

/* Keeps a copy.  kind is that of the password, PASSWD_NONE: its prefix tells.  Returns false only
 * when out of memory; an unusable one is a warning. */
static bool add_user(struct passwd *p, const char *user, const char *password,
	enum passwd_kind kind, struct origin o)
{
	size_t user_size = strlen(user) + 1, size = user_size + strlen(password) + 1;
	struct held *h = malloc(sizeof *h + size);
	char why[PASSWD_WHY] = "";

	if (!h)
		return false;
	*h = (struct held){ .size = size };
	char *text = h->text + user_size;
	memcpy(h->text, user, user_size);
	memcpy(text, password, size - user_size);
	if (kind == PASSWD_NONE)
		kind = passwd_decode(text, o.key, why);
	if (*why)
		auth_warn(o.r, o.file, o.line, "password of user \"%s\": %s", user, why);
	h->entry = (struct passwd_entry){
		kind, 0, h->text, text, strlen(text), o.line, o.variable
	};
	if (kind == PASSWD_NONE)
		free_held(h);
	else
		keep(p, h, o);
	return true;
}

/* ---- the files ---- */

/* Unescapes one field in place; it ends at ':' or the line's end.  Returns the text after the ':',
 * or NULL. */
static char *cut_field(char *text, bool whole_line)
{
	char *out = text;

	for (; *text && (whole_line || *text != ':'); *out++ = *text++)
		if (*text == '\\' && text[1])
			text++;
	char *rest = *text ? text + 1 : NULL;
	*out = '\0';
	return rest;
}

/* One line with a NUL in the place of its end. */
static bool passwd_line(struct passwd *p, char *line, struct origin o)
{
	char *password = cut_field(line, false);

	if (!password || !*line) {
		auth_warn(o.r, o.file, o.line, "not a line of the form user:password");
		return true;
	}
	/* a verifier has a ':' of its own */
	cut_field(password, begins(password, "SCRAM-SHA-256$"));
	return add_user(p, line, password, PASSWD_NONE, o);
}

/* A user of pcp.conf; column is where the password begins. */
static bool pcp_user(struct passwd *p, const char *user, char *password, int column,
	struct origin o)
{
	size_t n = strspn(password, "0123456789abcdefABCDEF");

	if (n != 32 || password[n]) {
		auth_warn(o.r, o.file, o.line, "column %d: the password of user \"%.128s\" is not "
			"32 hexadecimal digits, as pg_md5 prints them", column, user);
		return true;
	}
	for (char *c = password; *c; c++)
		*c |= 0x20;             /* they are hashed as text: lower case */
	return add_user(p, user, password, PASSWD_PCP, o);
}

static bool pcp_line(struct passwd *p, char *line, struct origin o)
{
	size_t name = strcspn(line, ":"), end = strlen(line);

	if (line[strspn(line, " \t")] == '\0' || *line == '#')
		return true;
	if (!name || !line[name] || name > LONGEST_PCP_USER) {
		auth_warn(o.r, o.file, o.line, "column %zu: not a line of the form user:md5hash, "
			"with a name of at most %d bytes", name + 1, LONGEST_PCP_USER);
		return true;
	}
	while (line[end - 1] == ' ' || line[end - 1] == '\t')
		end--;
	line[name] = line[end] = '\0';
	return pcp_user(p, line, line + name + 1, (int)name + 2, o);
}

/* How a reader handles a line of its file, and the environment; both return false only when out of
 * memory. */
struct reader {
	bool (*line)(struct passwd *p, char *line, struct origin o);
	bool (*environment)(struct passwd *p, char *const *environment, struct origin o);
};

/* The file's text, which is changed in place; there is room for one more character. */
static bool read_text(struct passwd *p, char *text, size_t len, const struct reader *reader,
	struct origin o)
{
	char *end = text + len, *line, *stop;

	while (text < end) {
		stop = auth_line(&text, end, &line);
		o.line++;
		if (stop > line && stop[-1] == '\r')
			stop--;
		*stop = '\0';
		if (stop - line >= LONGEST_LINE)
			auth_warn(o.r, o.file, o.line, "line is longer than %d bytes",
				LONGEST_LINE);
		else if (strlen(line) != (size_t)(stop - line))
			auth_warn(o.r, o.file, o.line, "line contains a zero byte");
		else if (*line && !reader->line(p, line, o))
			return false;
	}
	return true;
}

static bool read_file(struct passwd *p, const char *path, const struct reader *reader,
	struct origin o)
{
	size_t len;
	char *text = auth_read(path, &len);

	if (!text) {
		const char *why = strerror(errno);
		bool bad = errno == ENOMEM || (errno != ENOENT && o.r->strict);

		if (bad)
			snprintf(o.r->error, sizeof o.r->error, "%s: could not be read: %s", path,
				why);
		else if (errno != ENOENT)
			auth_warn(o.r, path, 0, "could not be read: %s", why);
		return !bad;
	}
	o.file = path;
	bool ok = read_text(p, text, len, reader, o);
	memory_wipe(text, len);
	return ok;
}

/* ---- the environment ---- */

/* The value of the variable whose name is the first n characters of name and then suffix. */
static const char *variable(char *const *environment, const char *name, size_t n,
	const char *suffix)
{
	size_t len = strlen(suffix);

	for (; *environment; environment++) {
		const char *e = *environment;

		if (!strncmp(e, name, n) && !strncmp(e + n, suffix, len) && e[n + len] == '=')
			return e + n + len + 1;
	}
	return NULL;
}

static bool enabled(char *const *environment, const char *name, bool otherwise)
{
	const char *value = variable(environment, name, strlen(name), "");

	if (!value || !*value)
		return otherwise;
	return !strcmp(value, "yes") || !strcmp(value, "true") || !strcmp(value, "on") ||
		!strcmp(value, "1");
}

static bool skips_encryption(char *const *environment)
{
	return enabled(environment, "PGPOOL_SKIP_PASSWORD_ENCRYPTION", false);
}

static bool passwd_environment(struct passwd *p, char *const *environment, struct origin o)
{
	static const char suffix[] = "_USERNAME=";
	enum passwd_kind kind = skips_encryption(environment) ? PASSWD_NONE : PASSWD_CLEAR;

	if (!enabled(environment, "PGPOOL_ENABLE_POOL_PASSWD", true))
		return true;
	for (char *const *e = environment; *e; e++) {
		const char *equals = strchr(*e, '=');
		ptrdiff_t prefix = equals ? equals - *e - (ptrdiff_t)sizeof suffix + 2 : 0;

		if (prefix < 1 || !begins(*e + prefix, suffix) || !equals[1])
			continue;
		const char *user = equals + 1;
		const char *password = variable(environment, *e, (size_t)prefix, "_PASSWORD");

		o.variable = *e;
		if (!add_user(p, user, password ? password : "", kind, o))
			return false;
	}
	return true;
}

static bool pcp_environment(struct passwd *p, char *const *environment, struct origin o)
{
	const char *user = variable(environment, "PGPOOL_PCP_USER", 15, "");
	const char *password = variable(environment, "PGPOOL_PCP_PASSWORD", 19, "");
	char hash[34];

	if (!user || !password || !*user || !*password)
		return true;
	if (strlen(user) > LONGEST_PCP_USER) {
		auth_warn(o.r, o.file, 0, "PGPOOL_PCP_USER is longer than %d bytes",
			LONGEST_PCP_USER);
		return true;
	}
	if (skips_encryption(environment))
		snprintf(hash, sizeof hash, "%s", password);    /* even cut it is too long */
	else
		md5_hex(hash, password, strlen(password));
	bool ok = pcp_user(p, user, hash, 1, o);
	explicit_bzero(hash, sizeof hash);
	return ok;
}

/* ---- both ---- */

static struct passwd *load(const char *path, char *const *environment, const struct reader *reader,
	struct origin o)
{
	struct passwd *p = calloc(1, sizeof *p);

	o.r->error[0] = '\0';
	o.file = "environment";
	if (p && (!path || read_file(p, path, reader, o)) &&
		(!environment || reader->environment(p, environment, o)))
		return p;
	passwd_free(p);
	if (!*o.r->error)
		snprintf(o.r->error, sizeof o.r->error, "out of memory while reading passwords");
	return NULL;
}

static const struct reader pool_passwd = { passwd_line, passwd_environment };
static const struct reader pcp_conf = { pcp_line, pcp_environment };

struct passwd *passwd_load(const char *path, const struct passwd_key *key,
	char *const *environment, struct auth_report *r)
{
	if (key && key->exposed)
		auth_warn(r, key->file, 0, "the key file has group or world access; permissions "
			"should be u=rw (0600) or less");
	return load(path, environment, &pool_passwd, (struct origin){ .key = key, .r = r });
}

struct passwd *passwd_load_pcp(const char *path, char *const *environment, struct auth_report *r)
{
	return load(path, environment, &pcp_conf, (struct origin){ .r = r });
}

/* ---- checks ---- */

/* Equal texts have equal hashes, whose comparison tells nothing about lengths. */
static bool same_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
	br_sha256_context c;
	uint8_t x[br_sha256_SIZE], y[br_sha256_SIZE];

	br_sha256_init(&c);
	br_sha256_update(&c, a, a_len);
	br_sha256_out(&c, x);
	br_sha256_init(&c);
	br_sha256_update(&c, b, b_len);
	br_sha256_out(&c, y);
	bool same = scram_equal(x, y, sizeof x);
	explicit_bzero(&c, sizeof c);
	explicit_bzero(x, sizeof x);
	explicit_bzero(y, sizeof y);
	return same;
}

/* PostgreSQL compares what SASLprep makes of both, and so do clients that use SCRAM. */
static bool same_prepared(const struct passwd_entry *e, const char *password)
{
	char x[SCRAM_PREPARED_MAX + 1], y[SCRAM_PREPARED_MAX + 1];
	int n = scram_saslprep(x, sizeof x, e->text), m = scram_saslprep(y, sizeof y, password);
	bool same = n >= 0 && m >= 0 && same_text(x, (size_t)n, y, (size_t)m);

	explicit_bzero(x, sizeof x);
	explicit_bzero(y, sizeof y);
	return same;
}

bool passwd_check_clear(const struct passwd_entry *e, const char *password, size_t len)
{
	char stored[36];

	switch (e->kind) {
	case PASSWD_CLEAR:
		return same_text(e->text, e->len, password, len) || same_prepared(e, password);
	case PASSWD_MD5:
		md5_password(stored, password, len, e->user);
		bool same = scram_equal(stored, e->text, 35);
		explicit_bzero(stored, sizeof stored);
		return same;
	default:
		return false;
	}
}

bool passwd_check_md5(const struct passwd_entry *e, const uint8_t salt[static 4],
	const char *answer)
{
	char stored[36], expected[36];

	if (e->kind == PASSWD_MD5)
		memcpy(stored, e->text, sizeof stored);
	else if (e->kind == PASSWD_CLEAR)
		md5_password(stored, e->text, e->len, e->user);
	else
		return false;
	md5_answer(expected, stored, salt);
	bool same = strlen(answer) == 35 && scram_equal(answer, expected, 35);
	explicit_bzero(stored, sizeof stored);
	explicit_bzero(expected, sizeof expected);
	return same;
}
