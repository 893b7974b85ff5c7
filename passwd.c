#include "auth.h"

#include "md5.h"
#include "scram.h"

#include <bearssl_hash.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_LINE = 8192 };

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

void passwd_each(const struct passwd *p, void (*fn)(void *ctx, const struct passwd_entry *e), void *ctx)
{
	for (size_t i = 0; p && i < sizeof p->buckets / sizeof *p->buckets; i++)
		for (const struct held *h = p->buckets[i]; h; h = h->chain)
			fn(ctx, &h->entry);
}

void passwd_free(struct passwd *p)
{
	for (size_t i = 0; p && i < sizeof p->buckets / sizeof *p->buckets; i++) {
		for (struct held *h = p->buckets[i], *next; h; h = next) {
			next = h->chain;
			explicit_bzero(h->text, h->size);
			free(h);
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

/* What a password field is by its prefix; *text moves to what counts of it. */
static enum passwd_kind kind_of(const char **text, const char *user, struct origin o)
{
	if (is_md5(*text))
		return PASSWD_MD5;
	if (begins(*text, "SCRAM-SHA-256$")) {
		if (is_verifier(*text))
			return PASSWD_SCRAM;
		auth_warn(o.r, o.file, o.line, "malformed SCRAM verifier of user \"%s\"", user);
		return PASSWD_NONE;
	}
	if (begins(*text, "AES")) {
		auth_warn(o.r, o.file, o.line, "password of user \"%s\" is AES encrypted, "
			"which this version cannot decrypt", user);
		return PASSWD_AES;
	}
	if (begins(*text, "TEXT"))
		*text += 4;
	return PASSWD_CLEAR;
}

/* Keeps a copy.  Returns false only when out of memory; what cannot be used is a warning. */
static bool add_user(struct passwd *p, const char *user, const char *password, bool verbatim,
	struct origin o)
{
	enum passwd_kind kind = verbatim ? PASSWD_CLEAR : kind_of(&password, user, o);
	size_t user_size = strlen(user) + 1, len = strlen(password);

	if (kind == PASSWD_NONE)
		return true;
	if (!len) {
		auth_warn(o.r, o.file, o.line, "password for %s user is not defined.", user);
		return true;
	}
	const struct passwd_entry *e = passwd_find(p, user);
	if (e && e->kind == kind && !strcmp(e->text, password))
		return true;
	if (e) {
		auth_warn(o.r, o.file, o.line, "user \"%s\" already has a password, "
			"this one is ignored", user);
		return true;
	}

	struct held *h = malloc(sizeof *h + user_size + len + 1), **end;
	if (!h)
		return false;
	*h = (struct held){ .size = user_size + len + 1 };
	memcpy(h->text, user, user_size);
	memcpy(h->text + user_size, password, len + 1);
	h->entry = (struct passwd_entry){
		kind, (uint32_t)p->n++, h->text, h->text + user_size, len
	};
	for (char *c = h->text + user_size; kind == PASSWD_MD5 && *c; c++)
		*c |= 0x20;             /* the digits are hashed as text: lower case */
	for (end = &p->buckets[bucket_of(user)]; *end; end = &(*end)->chain)
		;
	*end = h;
	return true;
}

/* Takes the escapes out of one field, in place, which ends at ':' or the line's end.  Returns
 * what is behind the ':', or NULL. */
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
	return add_user(p, line, password, false, o);
}

/* The file's text, which is changed on the way; there is room for one more character. */
static bool passwd_text(struct passwd *p, char *text, size_t len, const char *file,
	struct auth_report *r)
{
	char *end = text + len, *line, *stop;
	struct origin o = { file, 0, r };

	while (text < end) {
		stop = auth_line(&text, end, &line);
		o.line++;
		if (stop > line && stop[-1] == '\r')
			stop--;
		*stop = '\0';
		if (stop - line >= LONGEST_LINE)
			auth_warn(r, file, o.line, "line is longer than %d bytes", LONGEST_LINE);
		else if (strlen(line) != (size_t)(stop - line))
			auth_warn(r, file, o.line, "line contains a zero byte");
		else if (*line && !passwd_line(p, line, o))
			return false;
	}
	return true;
}

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

static bool passwd_environment(struct passwd *p, char *const *environment, struct auth_report *r)
{
	static const char suffix[] = "_USERNAME=";
	bool verbatim = !enabled(environment, "PGPOOL_SKIP_PASSWORD_ENCRYPTION", false);

	if (!enabled(environment, "PGPOOL_ENABLE_POOL_PASSWD", true))
		return true;
	for (char *const *e = environment; *e; e++) {
		const char *equals = strchr(*e, '=');
		ptrdiff_t prefix = equals ? equals - *e - (ptrdiff_t)sizeof suffix + 2 : 0;

		if (prefix < 1 || !begins(*e + prefix, suffix) || !equals[1])
			continue;
		const char *user = equals + 1;
		const char *password = variable(environment, *e, (size_t)prefix, "_PASSWORD");
		struct origin o = { "environment", 0, r };

		if (!add_user(p, user, password ? password : "", verbatim, o))
			return false;
	}
	return true;
}

static bool passwd_file(struct passwd *p, const char *path, struct auth_report *r)
{
	size_t len;
	char *text = auth_read(path, &len);

	if (!text) {
		if (errno == ENOMEM)
			return false;
		if (errno != ENOENT)
			auth_warn(r, path, 0, "could not be read: %s", strerror(errno));
		return true;
	}
	bool ok = passwd_text(p, text, len, path, r);
	explicit_bzero(text, len);
	free(text);
	return ok;
}

struct passwd *passwd_load(const char *path, char *const *environment, struct auth_report *r)
{
	struct passwd *p = calloc(1, sizeof *p);

	r->error[0] = '\0';
	if (p && (!path || passwd_file(p, path, r)) &&
		(!environment || passwd_environment(p, environment, r)))
		return p;
	passwd_free(p);
	snprintf(r->error, sizeof r->error, "out of memory while reading passwords");
	return NULL;
}

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

static bool fits_verifier(const char *verifier, const char *password, size_t len)
{
	struct scram_verifier v;
	struct scram_keys k;

	if (scram_verifier_parse(&v, verifier) < 0)
		return false;
	scram_derive(&k, password, len, v.salt, v.salt_len, v.iterations);
	bool fit = scram_keys_fit(&k, &v);
	explicit_bzero(&k, sizeof k);
	explicit_bzero(&v, sizeof v);
	return fit;
}

bool passwd_check_clear(const struct passwd_entry *e, const char *password, size_t len)
{
	char stored[36];

	switch (e->kind) {
	case PASSWD_CLEAR:
		return same_text(e->text, e->len, password, len);
	case PASSWD_MD5:
		md5_password(stored, password, len, e->user);
		bool same = scram_equal(stored, e->text, 35);
		explicit_bzero(stored, sizeof stored);
		return same;
	case PASSWD_SCRAM:
		return fits_verifier(e->text, password, len);
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
