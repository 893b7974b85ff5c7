#include "tls/x509_name.h"

#include <string.h>
#include <strings.h>

/* Limits on comparisons that signed certificates may cause: names times constraints; attributes of
 * one RDN. */
enum { COMPARISONS = 1 << 14, ATTRIBUTES = 8 };

/* --- strings ------------------------------------------------------------- */

/* A string of an attribute, character by character. */
struct text {
	const uint8_t *at, *end;
	int tag;
	bool bad;
};

enum { END = -1 };

static bool is_string(int tag)
{
	return tag == DER_UTF8 || tag == DER_PRINTABLE || tag == DER_T61 || tag == DER_IA5
		|| tag == DER_VISIBLE || tag == DER_UNIVERSAL || tag == DER_BMP;
}

/* How many bytes the next character takes, and those bits of the first one that are its own. */
static size_t length_of(const struct text *t, uint32_t *bits)
{
	uint8_t first = *t->at;

	*bits = first;
	if (t->tag == DER_BMP)
		return 2;
	if (t->tag == DER_UNIVERSAL)
		return 4;
	if (t->tag != DER_UTF8 || first < 0x80)
		return 1;
	*bits = first & (first < 0xe0 ? 0x1f : first < 0xf0 ? 0x0f : 0x07);
	return first < 0xc2 || first > 0xf4 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The next character; END behind the last, and where the text is malformed. */
static long next(struct text *t)
{
	uint32_t c;

	if (t->bad || t->at == t->end)
		return END;
	size_t n = length_of(t, &c);
	bool is_utf8 = t->tag == DER_UTF8;
	if (!n || n > (size_t)(t->end - t->at)) {
		t->bad = true;
		return END;
	}
	for (size_t i = 1; i < n; i++) {
		t->bad |= is_utf8 && (t->at[i] & 0xc0) != 0x80;
		c = is_utf8 ? c << 6 | (t->at[i] & 0x3f) : c << 8 | t->at[i];
	}
	t->bad |= c > 0x10ffff || (is_utf8 && ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000)));
	t->at += n;
	return t->bad ? END : (long)c;
}

static bool is_space(long c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The same for a comparison; start is for the first one. */
static long next_canonical(struct text *t, bool start)
{
	struct text ahead = *t;
	long c = next(t);

	if (is_space(c)) {
		while (is_space(c)) {
			ahead = *t;
			c = next(t);
		}
		if (!start && c != END) {
			*t = ahead;
			return ' ';
		}
	}
	return c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c;
}

static bool same_text(struct text a, struct text b, bool *bad)
{
	long one = next_canonical(&a, true), other = next_canonical(&b, true);

	while (one == other && one != END) {
		one = next_canonical(&a, false);
		other = next_canonical(&b, false);
	}
	*bad |= a.bad || b.bad;
	return one == other;
}

/* --- distinguished names ------------------------------------------------- */

struct attribute {
	struct bytes type, value;
	int tag;
};

/* The next one of an RDN. */
static struct attribute read_attribute(struct der *rdn)
{
	struct der in = der_get(rdn, DER_SEQUENCE), type = der_get(&in, DER_OID);
	int tag = der_tag(&in);
	struct der value = der_any(&in);

	der_end(&in);
	return (struct attribute){ der_rest(&type), der_rest(&value), tag };
}

static struct text text_of(const struct attribute *a)
{
	return (struct text){ a->value.at, a->value.at + a->value.n, a->tag, false };
}

static bool same_attribute(const struct attribute *a, const struct attribute *b, bool *bad)
{
	if (!bytes_are(a->type, b->type))
		return false;
	if (is_string(a->tag) && is_string(b->tag))
		return same_text(text_of(a), text_of(b), bad);
	return a->tag == b->tag && bytes_are(a->value, b->value);
}

static size_t read_rdn(struct der *name, struct attribute out[static ATTRIBUTES])
{
	struct der rdn = der_get(name, DER_SET);
	size_t n = 0;

	while (der_tag(&rdn) >= 0) {
		if (n == ATTRIBUTES)
			*rdn.bad = true;
		else
			out[n++] = read_attribute(&rdn);
	}
	return n;
}

/* Their order does not matter. */
static bool same_rdn(struct der *one, struct der *other)
{
	struct attribute a[ATTRIBUTES], b[ATTRIBUTES];
	size_t n = read_rdn(one, a), m = read_rdn(other, b), found = 0;

	for (size_t i = 0; i < n && n == m; i++)
		for (size_t j = 0; j < m; j++)
			if (same_attribute(&a[i], &b[j], one->bad)) {
				b[j].type.n = 0;        /* it has its partner */
				found++;
				break;
			}
	return n == m && found == n;
}

/* Does a name begin with all of the base? */
static bool begins_with(struct der *name, struct bytes base, bool *bad)
{
	struct der all = der_read(base, bad), in = der_get(&all, DER_SEQUENCE);

	der_end(&all);
	while (der_tag(&in) >= 0)
		if (der_tag(name) < 0 || !same_rdn(&in, name))
			return false;
	return !*bad;
}

bool x509_same_name(struct bytes a, struct bytes b)
{
	bool bad = false;

	if (bytes_are(a, b))
		return true;
	struct der all = der_read(a, &bad), in = der_get(&all, DER_SEQUENCE);
	return begins_with(&in, b, &bad) && der_tag(&in) < 0 && !bad;
}

/* --- one name against one constraint ------------------------------------- */

enum {
	OTHER_NAME = DER_CONTEXT + DER_CONSTRUCTED + 0, EMAIL = DER_CONTEXT + 1,
	DNS = DER_CONTEXT + 2, DIRECTORY = DER_CONTEXT + DER_CONSTRUCTED + 4,
	URI = DER_CONTEXT + 6, ADDRESS = DER_CONTEXT + 7
};

/* A GeneralName. */
struct name {
	int tag;
	struct bytes value;
};

enum match { NO, YES, UNJUDGED };

static bool same_case(struct bytes a, struct bytes b)
{
	for (size_t i = 0; i < a.n && i < b.n; i++) {
		unsigned x = a.at[i], y = b.at[i];

		if ((x >= 'A' && x <= 'Z' ? x | 0x20 : x) != (y >= 'A' && y <= 'Z' ? y | 0x20 : y))
			return false;
	}
	return a.n == b.n;
}

static struct bytes from(struct bytes b, size_t at)
{
	return (struct bytes){ b.at + at, b.n - at };
}

static bool begins_with_dot(struct bytes b)
{
	return b.n && *b.at == '.';
}

static bool ends_with(struct bytes name, struct bytes base)
{
	return name.n >= base.n && same_case(from(name, name.n - base.n), base);
}

/* A host of a mail address or a URI: this one, or with a dot in front one below it. */
static enum match match_host(struct bytes host, struct bytes base)
{
	bool found = begins_with_dot(base) ? host.n > base.n && ends_with(host, base)
		: same_case(host, base);

	return found ? YES : NO;
}

/* The base itself and all names below it. */
static enum match match_dns(struct bytes name, struct bytes base)
{
	bool found = !base.n || (ends_with(name, base) && (name.n == base.n || begins_with_dot(base)
		|| name.at[name.n - base.n - 1] == '.'));

	return found ? YES : NO;
}

/* A mailbox, a host, or the hosts below one. */
static enum match match_email(struct bytes name, struct bytes base)
{
	const uint8_t *at = memrchr(name.at, '@', name.n), *of_base = NULL;

	if (base.n)
		of_base = memrchr(base.at, '@', base.n);
	if (!name.n || !at || memchr(name.at, '\0', name.n))
		return UNJUDGED;
	size_t local = (size_t)(at - name.at), of = of_base ? (size_t)(of_base - base.at) : 0;
	struct bytes host = from(name, local + 1);
	if (!of_base)
		return match_host(host, base);
	if (of && !bytes_are((struct bytes){ name.at, local }, (struct bytes){ base.at, of }))
		return NO;
	return same_case(host, from(base, of + 1)) ? YES : NO;
}

/* scheme://host, then a port, a path or nothing. */
static enum match match_uri(struct bytes name, struct bytes base)
{
	const uint8_t *colon = name.n ? memchr(name.at, ':', name.n) : NULL;
	size_t start = colon ? (size_t)(colon - name.at) + 3 : 0, n = 0;

	if (!colon || start > name.n || memcmp(colon, "://", 3) != 0)
		return UNJUDGED;
	struct bytes host = from(name, start);
	while (n < host.n && host.at[n] != ':' && host.at[n] != '/')
		n++;
	host.n = n;
	return n ? match_host(host, base) : UNJUDGED;
}

/* The base is an address and its mask. */
static enum match match_address(struct bytes name, struct bytes base)
{
	if ((name.n != 4 && name.n != 16) || (base.n != 8 && base.n != 32))
		return UNJUDGED;
	if (base.n != 2 * name.n)
		return NO;
	for (size_t i = 0; i < name.n; i++)
		if ((name.at[i] ^ base.at[i]) & base.at[name.n + i])
			return NO;
	return YES;
}

static enum match match_directory(struct bytes name, struct bytes base)
{
	bool bad = false;
	struct der all = der_read(name, &bad), in = der_get(&all, DER_SEQUENCE);
	bool found = begins_with(&in, base, &bad);

	return bad ? UNJUDGED : found ? YES : NO;
}

static enum match match(const struct name *n, struct bytes base)
{
	switch (n->tag) {
	case EMAIL: return match_email(n->value, base);
	case DNS: return match_dns(n->value, base);
	case DIRECTORY: return match_directory(n->value, base);
	case URI: return match_uri(n->value, base);
	case ADDRESS: return match_address(n->value, base);
	default: return UNJUDGED;
	}
}

/* --- one name against all constraints ------------------------------------ */

/* SmtpUTF8Mailbox: an address that rfc822Name constraints are about, in another form. */
static bool is_mailbox(const struct name *n)
{
	return n->tag == OTHER_NAME && n->value.n >= 10
		&& !memcmp(n->value.at, "\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x09", 10);
}

/* The verdict of a list of subtrees on a name, and whether it has any of that kind. */
static enum match match_list(struct bytes list, const struct name *n, bool *any)
{
	bool bad = false;
	struct der d = der_read(list, &bad);
	enum match found = NO;

	*any = false;
	while (der_tag(&d) >= 0) {
		struct der tree = der_get(&d, DER_SEQUENCE), least;
		int tag = der_tag(&tree);
		struct der base = der_any(&tree);

		if (tag == EMAIL && is_mailbox(n))
			return UNJUDGED;
		if (tag != n->tag)
			continue;
		if (der_maybe(&tree, DER_CONTEXT + 0, &least)
		    && !bytes_are(der_rest(&least), BYTES("\0")))
			return UNJUDGED;
		enum match m = der_tag(&tree) >= 0 ? UNJUDGED : match(n, der_rest(&base));
		if (m == UNJUDGED)
			return m;
		*any = true;
		found |= m;
	}
	return bad ? UNJUDGED : found;
}

/* One authority and the names of one certificate. */
struct check {
	const struct x509 *authority;
	size_t trees, left;             /* constraints, and the comparisons that
	                                 * are still allowed */
};

static enum x509_limit check_name(struct check *k, int tag, struct bytes value)
{
	struct name n = { tag, value };
	bool permits, excludes;

	if (k->trees > k->left)
		return X509_UNJUDGED;
	k->left -= k->trees;
	enum match permitted = match_list(k->authority->permitted, &n, &permits);
	enum match excluded = match_list(k->authority->excluded, &n, &excludes);
	if (permitted == UNJUDGED || excluded == UNJUDGED)
		return X509_UNJUDGED;
	return permits && permitted == NO ? X509_NOT_PERMITTED
		: excluded == YES ? X509_EXCLUDED : X509_WITHIN;
}

/* --- the names of a certificate ------------------------------------------ */

/* Two labels at least, no empty ones, none that begins or ends with a hyphen. */
static bool is_host_name(const char *s, size_t n)
{
	bool dot = false;

	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		bool inside = i && i + 1 < n;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
		    || c == '_' || (c == '-' && inside))
			continue;
		if (c != '.' || !inside || s[i + 1] == '.' || s[i + 1] == '-' || s[i - 1] == '-')
			return false;
		dot = true;
	}
	return dot;
}

/* A common name that looks like a host's is judged as a dNSName.  OpenSSL lets names with a leading
 * star pass, but clients take them for hosts. */
static enum x509_limit check_common_name(struct check *k, const struct attribute *a)
{
	struct text t = text_of(a);
	char name[256];
	size_t n = 0;
	bool is_host = true;

	for (long c; (c = next(&t)) != END; ) {
		if (!c || n == sizeof name)
			return X509_UNJUDGED;
		is_host &= c < 0x7f;
		name[n++] = (char)c;
	}
	if (t.bad || !is_string(a->tag))
		return X509_UNJUDGED;
	bool star = n > 2 && name[0] == '*' && name[1] == '.';
	if (!is_host || !(star || is_host_name(name, n)))
		return X509_WITHIN;
	return check_name(k, DNS, (struct bytes){ (uint8_t *)name, n });
}

static enum x509_limit check_attribute(struct check *k, const struct attribute *a, bool names_host)
{
	if (bytes_are(a->type, BYTES("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01")))  /* emailAddress */
		return a->tag == DER_IA5 ? check_name(k, EMAIL, a->value) : X509_UNJUDGED;
	if (names_host && bytes_are(a->type, BYTES("\x55\x04\x03")))
		return check_common_name(k, a);
	return X509_WITHIN;
}

static enum x509_limit check_subject(struct check *k, const struct x509 *c, bool names_host)
{
	bool bad = false;
	struct der all = der_read(c->subject, &bad), name = der_get(&all, DER_SEQUENCE);
	enum x509_limit limit = X509_WITHIN;

	if (der_tag(&name) >= 0)
		limit = check_name(k, DIRECTORY, c->subject);
	while (!limit && der_tag(&name) >= 0) {
		struct der rdn = der_get(&name, DER_SET);

		while (!limit && der_tag(&rdn) >= 0) {
			struct attribute a = read_attribute(&rdn);

			limit = check_attribute(k, &a, names_host);
		}
	}
	return limit ? limit : bad ? X509_UNJUDGED : X509_WITHIN;
}

static enum x509_limit check_alt_names(struct check *k, const struct x509 *c, bool *any_dns)
{
	bool bad = false;
	struct der names = der_read(c->alt_names, &bad);
	enum x509_limit limit = X509_WITHIN;

	while (!limit && der_tag(&names) >= 0) {
		int tag = der_tag(&names);
		struct der value = der_any(&names);

		*any_dns |= tag == DNS;
		limit = check_name(k, tag, der_rest(&value));
	}
	return limit ? limit : bad ? X509_UNJUDGED : X509_WITHIN;
}

static size_t count(struct bytes list)
{
	bool bad = false;
	struct der d = der_read(list, &bad);
	size_t n = 0;

	while (der_tag(&d) >= 0) {
		der_any(&d);
		n++;
	}
	return n;
}

enum x509_limit x509_limit(const struct x509 *authority, const struct x509 *c, bool is_leaf)
{
	struct check k = { authority, count(authority->permitted) + count(authority->excluded),
		COMPARISONS };
	bool any_dns = false;

	if (!k.trees)
		return X509_WITHIN;
	enum x509_limit limit = check_alt_names(&k, c, &any_dns);
	return limit ? limit : check_subject(&k, c, is_leaf && !any_dns);
}
