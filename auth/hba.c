#include "auth.h"

#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	LONGEST_RECORD = 8192,          /* a line with its end; both as in Pgpool-II */
	LONGEST_TOKEN = 255,
	DEEPEST_INCLUDE = 10
};

/* ---- records ---- */

enum record_type { TYPE_LOCAL, TYPE_HOST, TYPE_HOSTSSL, TYPE_HOSTNOSSL };
enum peer_test { PEER_ALL, PEER_RANGE, PEER_SAMEHOST, PEER_SAMENET, PEER_HOST };
enum name_test { NAME_IS, NAME_ALL, NAME_SAMEUSER, NAME_NEVER };

/* An address, or a network, of IPv4 (len 4) or IPv6 (len 16). */
struct ip {
	unsigned len;
	uint8_t bytes[16], mask[16];
};

struct name {
	enum name_test test;
	size_t text;                    /* where in hba->text */
};

struct record {
	struct hba_rule rule;
	enum record_type type;
	enum peer_test peer;
	struct ip range;
	size_t host;                    /* of PEER_HOST: a name, or its end; where in hba->text */
	size_t databases, users, end;   /* names [databases, users) and [users, end) */
};

/* Growing arrays; positions instead of pointers, as they move while a file is read. */
struct hba {
	struct record *records;
	struct name *names;
	struct ip *interfaces;
	char *text;
	size_t n_records, n_names, n_interfaces, n_text;
	size_t max_records, max_names, max_interfaces, max_text;
};

static const char *const methods[] = {
	[HBA_TRUST] = "trust", [HBA_REJECT] = "reject", [HBA_CERT] = "cert",
	[HBA_PASSWORD] = "password", [HBA_MD5] = "md5", [HBA_SCRAM] = "scram-sha-256",
	[HBA_PAM] = "pam", [HBA_LDAP] = "ldap",
};

enum { METHODS = sizeof methods / sizeof *methods };

const char *hba_method_name(enum hba_method m)
{
	return methods[m];
}

bool hba_has_hostssl(const struct hba *h)
{
	for (size_t i = 0; i < h->n_records; i++)
		if (h->records[i].type == TYPE_HOSTSSL)
			return true;
	return false;
}

void hba_free(struct hba *h)
{
	if (!h)
		return;
	free(h->records);
	free(h->names);
	free(h->interfaces);
	free(h->text);
	free(h);
}

/* Makes room for n more items of this size behind `used`.  Returns the array, moved perhaps. */
static void *roomy(void *items, size_t *max, size_t used, size_t n, size_t size)
{
	if (*max - used >= n)
		return items;
	size_t want = 2 * *max + n + 15;
	void *more = realloc(items, want * size);
	if (more)
		*max = want;
	return more;
}

static bool mapped(const uint8_t bytes[static 16])
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(bytes, prefix, sizeof prefix);
}

/* IPv4 inside IPv6 (::ffff:a.b.c.d, RFC 4291) is IPv4 to us, both in a client that came through an
 * IPv6 socket and in a record. */
static void unmap(struct ip *ip)
{
	for (int i = 0; i < 12; i++)
		if (ip->mask[i] != 0xff)
			return;
	if (ip->len != 16 || !mapped(ip->bytes))
		return;
	ip->len = 4;
	memmove(ip->bytes, ip->bytes + 12, 4);
	memmove(ip->mask, ip->mask + 12, 4);
}

/* The bytes of a socket address; returns their number, 0 if it is neither IPv4 nor IPv6. */
static unsigned bytes_of(const struct sockaddr *sa, uint8_t bytes[static 16])
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (sa->sa_family == AF_INET) {
		memcpy(&v4, sa, sizeof v4);
		memcpy(bytes, &v4.sin_addr, 4);
		return 4;
	}
	if (sa->sa_family != AF_INET6)
		return 0;
	memcpy(&v6, sa, sizeof v6);
	memcpy(bytes, &v6.sin6_addr, 16);
	return 16;
}

/* mask NULL: a single address. */
static bool ip_of(struct ip *ip, const struct sockaddr *sa, const struct sockaddr *mask)
{
	*ip = (struct ip){ 0 };
	ip->len = bytes_of(sa, ip->bytes);
	memset(ip->mask, 0xff, sizeof ip->mask);
	if (!ip->len || (mask && bytes_of(mask, ip->mask) != ip->len))
		return false;
	unmap(ip);
	return true;
}

static bool in_range(const struct ip *ip, const struct ip *range, bool exactly)
{
	if (ip->len != range->len)
		return false;
	for (unsigned i = 0; i < ip->len; i++)
		if ((ip->bytes[i] ^ range->bytes[i]) & (exactly ? 0xff : range->mask[i]))
			return false;
	return true;
}

/* Is this the host or, if it begins with a dot, a host of this domain? */
static bool host_matches(const char *pattern, const char *host)
{
	size_t n = strlen(pattern), len = strlen(host);

	if (len < n || (*pattern != '.' && len != n))
		return false;
	return !strcasecmp(pattern, host + len - n);
}

/* The record's verdict on this address; HBA_NEEDS_HOST if it depends on the name. */
static enum hba_answer peer_matches(const struct hba *h, const struct record *r,
	const struct ip *peer, const char *host)
{
	bool match = false;

	switch (r->peer) {
	case PEER_ALL:
		return HBA_FOUND;
	case PEER_RANGE:
		match = in_range(peer, &r->range, false);
		break;
	case PEER_SAMEHOST:
	case PEER_SAMENET:
		for (size_t i = 0; i < h->n_interfaces && !match; i++)
			match = in_range(peer, &h->interfaces[i], r->peer == PEER_SAMEHOST);
		break;
	case PEER_HOST:
		if (!host)
			return HBA_NEEDS_HOST;
		match = host_matches(h->text + r->host, host);
		break;
	}
	return match ? HBA_FOUND : HBA_NONE;
}

static bool name_matches(const struct hba *h, size_t from, size_t to, const char *name,
	const char *user)
{
	for (const struct name *n = h->names + from; n < h->names + to; n++)
		if (n->test == NAME_ALL || (n->test == NAME_SAMEUSER && !strcmp(name, user)) ||
			(n->test == NAME_IS && !strcmp(name, h->text + n->text)))
			return true;
	return false;
}

/* The address comes last: a name is asked for only when everything else matches. */
enum hba_answer hba_find(const struct hba *h, const struct hba_query *q,
	const struct hba_rule **rule)
{
	struct ip ip = { 0 };
	bool local = q->peer->sa_family == AF_UNIX;

	*rule = NULL;
	if (!local && !ip_of(&ip, q->peer, NULL))
		return HBA_NONE;
	for (const struct record *r = h->records; r < h->records + h->n_records; r++) {
		if ((r->type == TYPE_LOCAL) != local)
			continue;
		if ((r->type == TYPE_HOSTSSL && !q->tls) || (r->type == TYPE_HOSTNOSSL && q->tls))
			continue;
		if (!name_matches(h, r->databases, r->users, q->database, q->user) ||
			!name_matches(h, r->users, r->end, q->user, q->user))
			continue;
		enum hba_answer answer = local ? HBA_FOUND : peer_matches(h, r, &ip, q->host);
		if (answer == HBA_FOUND)
			*rule = &r->rule;
		if (answer != HBA_NONE)
			return answer;
	}
	return HBA_NONE;
}

/* ---- reading ---- */

/* A place in a file, and the token just read there.  Every error leaves through bad(): the first
 * one stays. */
struct hba_reader {
	struct hba *h;
	struct auth_report *r;
	const char *file;
	int line, depth;
	const char *start, *at, *end;   /* the line, and what is left of it */
	const char *token_at;           /* where the token began, or would have */
	size_t len;
	bool quoted, comma;             /* begins with '"'; a comma follows, so the list goes on */
	char token[LONGEST_TOKEN + 1];
};

enum token { TOKEN_BAD = -1, TOKEN_END, TOKEN_READ };

static int column(const struct hba_reader *in)
{
	return (int)(in->token_at - in->start) + 1;
}

/* Takes the next line of a text that ends at end. */
static void next_line(struct hba_reader *in, char **text, char *end)
{
	char *line;

	in->end = auth_line(text, end, &line);
	in->start = in->at = in->token_at = line;
	in->line++;
}

__attribute__((format(printf, 2, 3)))
static int bad(struct hba_reader *in, const char *format, ...)
{
	char text[LONGEST_TOKEN + 128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (!in->r->error[0])
		snprintf(in->r->error, sizeof in->r->error,
			"file \"%.100s\", line %d, column %d: %s", in->file, in->line, column(in),
			text);
	return -1;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* PostgreSQL's rules: blanks and commas separate, quotes group and make a keyword an ordinary
 * name, two quotes within quotes are one, # ends the line. */
static enum token read_token(struct hba_reader *in)
{
	bool in_quotes = false;

	while (in->at < in->end && (blank(*in->at) || *in->at == ','))
		in->at++;
	in->len = 0;
	in->comma = false;
	in->token_at = in->at;
	if (in->at == in->end || *in->at == '#')
		return TOKEN_END;
	in->quoted = *in->at == '"';

	for (; in->at < in->end; in->at++) {
		char c = *in->at;

		if (!in_quotes && (blank(c) || c == ',' || c == '#'))
			break;
		if (c == '"' && in_quotes && in->at + 1 < in->end && in->at[1] == '"') {
			in->at++;
		} else if (c == '"') {
			in_quotes = !in_quotes;
			continue;
		}
		if (!c)
			return bad(in, "zero byte");
		if (in->len == LONGEST_TOKEN)
			return bad(in, "longer than %d bytes", LONGEST_TOKEN);
		in->token[in->len++] = c;
	}
	if (in_quotes)
		return bad(in, "the quote is not closed on this line");
	in->comma = in->at < in->end && *in->at == ',';
	in->token[in->len] = '\0';
	return TOKEN_READ;
}

static bool keyword(const struct hba_reader *in, const char *word)
{
	return !in->quoted && !strcmp(in->token, word);
}

/* The next field, which must be there and be one word. */
static int read_single(struct hba_reader *in, const char *what)
{
	enum token t = read_token(in);

	if (t == TOKEN_END)
		return bad(in, "end-of-line before %s", what);
	if (t == TOKEN_READ && in->comma)
		return bad(in, "multiple values specified for %s", what);
	return t == TOKEN_READ ? 0 : -1;
}

/* The test that the token means as the name of a database or a user. */
static enum name_test test_of(struct hba_reader *in, bool database)
{
	if (keyword(in, "all"))
		return NAME_ALL;
	if (database && keyword(in, "sameuser"))
		return NAME_SAMEUSER;
	bool role = database && (keyword(in, "samegroup") || keyword(in, "samerole"));
	if (!role && (database || in->quoted || in->token[0] != '+'))
		return NAME_IS;
	auth_warn(in->r, in->file, in->line, "column %d: \"%s\" is not supported and never matches",
		column(in), in->token);
	return NAME_NEVER;
}

/* Stores the token's text; *where is its place. */
static int add_text(struct hba_reader *in, size_t *where)
{
	struct hba *h = in->h;
	char *text = roomy(h->text, &h->max_text, h->n_text, in->len + 1, 1);

	if (!text)
		return bad(in, "out of memory");
	h->text = text;
	*where = h->n_text;
	memcpy(text + h->n_text, in->token, in->len + 1);
	h->n_text += in->len + 1;
	return 0;
}

static int add_name(struct hba_reader *in, bool database)
{
	struct hba *h = in->h;
	struct name *names = roomy(h->names, &h->max_names, h->n_names, 1, sizeof *names);

	if (!names)
		return bad(in, "out of memory");
	h->names = names;
	struct name *name = &names[h->n_names];
	name->test = test_of(in, database);
	if (add_text(in, &name->text) < 0)
		return -1;
	h->n_names++;
	return 0;
}

static int include(struct hba_reader *in, bool database);

/* The token as a name, or the names in the file that it refers to. */
static int take_name(struct hba_reader *in, bool database)
{
	if (in->token[0] == '@' && in->token[1] && !in->quoted)
		return include(in, database);
	return add_name(in, database);
}

static int include_lines(struct hba_reader *in, char *text, size_t len, bool database)
{
	char *end = text + len;

	while (text < end) {
		next_line(in, &text, end);
		for (enum token t; (t = read_token(in)) != TOKEN_END; )
			if (t == TOKEN_BAD || take_name(in, database) < 0)
				return -1;
	}
	return 0;
}

/* @file: its path is relative to the file that names it. */
static int include(struct hba_reader *in, bool database)
{
	const char *slash = strrchr(in->file, '/'), *name = in->token + 1;
	int folder = *name == '/' || !slash ? 0 : (int)(slash - in->file + 1);
	char *path, *text;
	size_t len;

	if (in->depth == DEEPEST_INCLUDE)
		return bad(in, "files are included more than %d deep", DEEPEST_INCLUDE);
	if (asprintf(&path, "%.*s%s", folder, in->file, name) < 0)
		return bad(in, "out of memory");
	text = auth_read(path, &len);
	if (!text) {
		bad(in, "could not read \"%s\": %s", path, strerror(errno));
		free(path);
		return -1;
	}

	struct hba_reader inner = { .h = in->h, .r = in->r, .file = path, .depth = in->depth + 1 };
	int r = include_lines(&inner, text, len, database);
	free(text);
	free(path);
	return r;
}

static int read_names(struct hba_reader *in, bool database)
{
	enum token t = read_token(in);

	if (t == TOKEN_END)
		return bad(in, "end-of-line before %s specification",
			database ? "database" : "role");
	for (; t == TOKEN_READ; t = read_token(in)) {
		bool more = in->comma;

		if (take_name(in, database) < 0)
			return -1;
		if (!more)
			return 0;
	}
	return t == TOKEN_END ? 0 : -1;
}

/* A numeric address.  Returns its length, 0 for anything else. */
static unsigned numeric(const char *text, uint8_t bytes[static 16])
{
	if (inet_pton(AF_INET, text, bytes) == 1)
		return 4;
	return inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;
}

static int read_prefix(struct hba_reader *in, struct ip *ip, const char *digits)
{
	size_t n = strlen(digits);
	int bits = atoi(digits);

	if (!n || n > 3 || strspn(digits, "0123456789") != n || bits > (int)ip->len * 8)
		return bad(in, "invalid CIDR mask in address");
	for (int i = 0; i < (int)ip->len; i++, bits -= 8)
		ip->mask[i] = bits >= 8 ? 0xff : bits <= 0 ? 0 : (uint8_t)(0xff00 >> bits);
	return 0;
}

static int read_netmask(struct hba_reader *in, struct ip *ip)
{
	if (read_single(in, "netmask specification") < 0)
		return -1;
	unsigned len = numeric(in->token, ip->mask);
	if (!len)
		return bad(in, "invalid IP mask \"%s\"", in->token);
	if (len != ip->len)
		return bad(in, "IP address and mask do not match");
	return 0;
}

/* A host name, or a domain with a dot in front. */
static int read_host_name(struct hba_reader *in, struct record *r)
{
	if (strchr(in->token, ':') || strspn(in->token, "0123456789.") == in->len)
		return bad(in, "invalid IP address \"%s\"", in->token);
	r->peer = PEER_HOST;
	return add_text(in, &r->host);
}

static int read_address(struct hba_reader *in, struct record *r)
{
	if (read_single(in, "IP address specification") < 0)
		return -1;
	if (keyword(in, "all") || keyword(in, "samehost") || keyword(in, "samenet")) {
		r->peer = !strcmp(in->token, "all") ? PEER_ALL :
			!strcmp(in->token, "samehost") ? PEER_SAMEHOST : PEER_SAMENET;
		return 0;
	}

	char *slash = strchr(in->token, '/');
	if (slash)
		*slash = '\0';
	r->peer = PEER_RANGE;
	r->range.len = numeric(in->token, r->range.bytes);
	if (!r->range.len && slash)
		return bad(in, "invalid IP address \"%s\" before a CIDR mask", in->token);
	if (!r->range.len)
		return read_host_name(in, r);
	if ((slash ? read_prefix(in, &r->range, slash + 1) : read_netmask(in, &r->range)) < 0)
		return -1;
	unmap(&r->range);
	return 0;
}

/* name=value of pam and ldap.  The message never shows the text: it may be a password. */
static int check_option(struct hba_reader *in, enum hba_method method)
{
	static const char *const pam[] = { "pamservice", "pam_use_hostname", NULL };
	static const char *const ldap[] = {
		"ldapserver", "ldapport", "ldaptls", "ldapscheme", "ldapbasedn", "ldapbinddn",
		"ldapbindpasswd", "ldapsearchattribute", "ldapsearchfilter", "ldapprefix",
		"ldapsuffix", "backend_use_passwd", NULL
	};
	static const char *const none[] = { NULL };
	const char *const *known = method == HBA_PAM ? pam : method == HBA_LDAP ? ldap : none;
	size_t len = strcspn(in->token, "=");

	if (!in->token[len])
		return bad(in, "authentication option not in name=value format");
	for (; *known; known++)
		if (strlen(*known) == len && !memcmp(*known, in->token, len))
			return 0;
	return bad(in, "unrecognized authentication option name for method \"%s\"",
		methods[method]);
}

static int read_method(struct hba_reader *in, struct record *r)
{
	int m = 0;
	enum token t;

	if (read_single(in, "authentication method") < 0)
		return -1;
	while (m < METHODS && strcmp(in->token, methods[m]))
		m++;
	if (m == METHODS)
		return bad(in, "invalid authentication method \"%s\"", in->token);
	r->rule.method = (enum hba_method)m;
	if (m == HBA_CERT && r->type != TYPE_HOSTSSL)
		return bad(in, "cert authentication is only supported on hostssl connections");
	if (m == HBA_PAM || m == HBA_LDAP)
		auth_warn(in->r, in->file, in->line, "column %d: authentication method \"%s\" is "
			"not supported: logins by this record fail", column(in), methods[m]);

	while ((t = read_token(in)) == TOKEN_READ)
		if (check_option(in, r->rule.method) < 0)
			return -1;
	return t == TOKEN_END ? 0 : -1;
}

static int read_type(struct hba_reader *in, struct record *r)
{
	static const char *const types[] = {
		[TYPE_LOCAL] = "local", [TYPE_HOST] = "host", [TYPE_HOSTSSL] = "hostssl",
		[TYPE_HOSTNOSSL] = "hostnossl",
	};

	if (in->comma)
		return bad(in, "multiple values specified for connection type");
	for (int i = TYPE_LOCAL; i <= TYPE_HOSTNOSSL; i++) {
		if (!strcmp(in->token, types[i])) {
			r->type = (enum record_type)i;
			return 0;
		}
	}
	return bad(in, "invalid connection type \"%s\"", in->token);
}

/* One line; an empty one is no record. */
static int read_record(struct hba_reader *in)
{
	struct hba *h = in->h;
	struct record r = { .rule.line = in->line, .databases = h->n_names };

	if (in->end - in->at >= LONGEST_RECORD)
		return bad(in, "line is longer than %d bytes", LONGEST_RECORD);
	enum token t = read_token(in);
	if (t != TOKEN_READ)
		return t;
	if (read_type(in, &r) < 0 || read_names(in, true) < 0)
		return -1;
	r.users = h->n_names;
	if (read_names(in, false) < 0)
		return -1;
	r.end = h->n_names;
	if ((r.type != TYPE_LOCAL && read_address(in, &r) < 0) || read_method(in, &r) < 0)
		return -1;

	struct record *records = roomy(h->records, &h->max_records, h->n_records, 1, sizeof r);
	if (!records)
		return bad(in, "out of memory");
	h->records = records;
	records[h->n_records++] = r;
	return 0;
}

/* Gets the interfaces if any record needs them. */
static bool read_interfaces(struct hba *h)
{
	struct ifaddrs *list;
	bool ok = true, wanted = false;

	for (size_t i = 0; i < h->n_records; i++)
		wanted |= h->records[i].peer == PEER_SAMEHOST || h->records[i].peer == PEER_SAMENET;
	if (!wanted)
		return true;
	if (getifaddrs(&list) < 0)
		return false;
	for (struct ifaddrs *i = list; ok && i; i = i->ifa_next) {
		struct ip ip;

		if (!i->ifa_addr || !i->ifa_netmask || !ip_of(&ip, i->ifa_addr, i->ifa_netmask))
			continue;
		struct ip *more = roomy(h->interfaces, &h->max_interfaces, h->n_interfaces, 1,
			sizeof ip);
		if ((ok = more)) {
			h->interfaces = more;
			more[h->n_interfaces++] = ip;
		}
	}
	freeifaddrs(list);
	return ok;
}

static struct hba *hba_text(char *text, size_t len, const char *file, struct auth_report *r)
{
	struct hba_reader in = { .h = calloc(1, sizeof *in.h), .r = r, .file = file };
	char *end = text + len;
	bool ok = in.h != NULL;

	while (ok && text < end) {
		next_line(&in, &text, end);
		ok = read_record(&in) >= 0;
	}
	if (ok && !in.h->n_records)
		snprintf(r->error, sizeof r->error, "file \"%.400s\" contains no entries", file);
	else if (ok && read_interfaces(in.h))
		return in.h;
	else if (ok)
		snprintf(r->error, sizeof r->error, "file \"%.300s\": could not get the interfaces "
			"for samehost or samenet: %s", file, strerror(errno));
	else if (!in.h)
		snprintf(r->error, sizeof r->error, "file \"%.400s\": out of memory", file);
	hba_free(in.h);
	return NULL;
}

struct hba *hba_load(const char *path, struct auth_report *r)
{
	size_t len;
	char *text = auth_read(path, &len);

	r->error[0] = '\0';
	if (!text) {
		snprintf(r->error, sizeof r->error, "could not read file \"%.300s\": %s", path,
			strerror(errno));
		return NULL;
	}
	struct hba *h = hba_text(text, len, path, r);
	memory_wipe(text, len);           /* it may hold an ldapbindpasswd */
	return h;
}

struct hba *hba_parse(const char *text, const char *name, struct auth_report *r)
{
	size_t len = strlen(text);
	char *copy = strdup(text);

	r->error[0] = '\0';
	if (!copy) {
		snprintf(r->error, sizeof r->error, "%.400s: out of memory", name);
		return NULL;
	}
	struct hba *h = hba_text(copy, len, name, r);
	free(copy);
	return h;
}
