#include "tls/chain.h"

#include "tls/crl.h"
#include "tls/x509_name.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Limits on what a peer may make us keep; OpenSSL takes 100 kB.  Links are certificates of a path,
 * including those of our files. */
enum {
	SHOWN_BYTES = 65536, SHOWN_MAX = 10, LINKS_MAX = 12, NAME_SIZE = 256,
	RSA_LEAST_BITS = 2048,
};

/* Verdicts that bearssl does not know; its own are BR_ERR_X509_ numbers. */
enum {
	REVOKED = 1000, NO_CRL, CRL_EXPIRED, CRL_NOT_YET, TOO_LONG, NO_MEMORY, CHAIN_TOO_LONG,
	PATH_LENGTH, INVALID_EXTENSION, NOT_PERMITTED, EXCLUDED, UNJUDGED
};

/* The owner of the certificates, and what they must be. */
enum role { OF_CLIENT, OF_NODE, OF_NODE_UNCHECKED };

struct tls_peer {
	const br_x509_class *vtable;            /* first: what bearssl holds is a pointer to us */
	const struct tls_context *x;
	enum role role;
	const char *name, *address;             /* one of them must be in the certificate */
	time_t now;

	/* The certificate that is coming in, unless nobody needs it. */
	uint8_t *bytes;
	size_t len, got;

	struct x509 shown[SHOWN_MAX];           /* the leaf is the first one;
	                                         * they own their bytes */
	size_t kept, kept_bytes;
	size_t count;                           /* of all that were shown */
	unsigned problem;                       /* found while they came in */
	unsigned verdict;                       /* final; 0: good */
	bool over;
	char common_name[NAME_SIZE];            /* of a good one; "": none that can be used */
};

/* --- what verdicts mean -------------------------------------------------- */

enum {
	BAD_CERTIFICATE = 42, UNSUPPORTED_CERTIFICATE = 43, CERTIFICATE_REVOKED = 44,
	CERTIFICATE_EXPIRED = 45, UNKNOWN_CA = 48, INTERNAL_ERROR = 80
};

#define FAILED "certificate verify failed: "

/* In OpenSSL's words, as far as it has any. */
static const struct meaning {
	unsigned verdict;
	int alert;
	const char *text;
} meanings[] = {
	{ BR_ERR_X509_EMPTY_CHAIN, BAD_CERTIFICATE, FAILED "no certificate was sent" },
	{ BR_ERR_X509_EXPIRED, CERTIFICATE_EXPIRED,
		FAILED "certificate has expired or is not yet valid" },
	{ BR_ERR_X509_NOT_TRUSTED, UNKNOWN_CA, FAILED "unable to get local issuer certificate" },
	{ BR_ERR_X509_BAD_SIGNATURE, BAD_CERTIFICATE, FAILED "certificate signature failure" },
	{ BR_ERR_X509_BAD_SERVER_NAME, BAD_CERTIFICATE,
		FAILED "the certificate is not for this host" },
	{ BR_ERR_X509_NOT_CA, UNKNOWN_CA, FAILED "invalid CA certificate" },
	{ BR_ERR_X509_FORBIDDEN_KEY_USAGE, UNSUPPORTED_CERTIFICATE,
		FAILED "unsupported certificate purpose" },
	{ BR_ERR_X509_WEAK_PUBLIC_KEY, BAD_CERTIFICATE, FAILED "the key is too small" },
	{ BR_ERR_X509_CRITICAL_EXTENSION, UNSUPPORTED_CERTIFICATE,
		FAILED "unhandled critical extension" },
	{ BR_ERR_X509_UNSUPPORTED, UNSUPPORTED_CERTIFICATE,
		FAILED "its key or signature is of a kind that is not supported (RSA or ECDSA with "
		"SHA-256, SHA-384 or SHA-512 is)" },
	{ REVOKED, CERTIFICATE_REVOKED, FAILED "certificate revoked" },
	{ NO_CRL, UNKNOWN_CA, FAILED "unable to get certificate CRL" },
	{ CRL_EXPIRED, CERTIFICATE_EXPIRED, FAILED "CRL has expired" },
	{ CRL_NOT_YET, BAD_CERTIFICATE, FAILED "CRL is not yet valid" },
	{ TOO_LONG, BAD_CERTIFICATE, FAILED "the certificates are too long" },
	{ CHAIN_TOO_LONG, UNKNOWN_CA, FAILED "certificate chain too long" },
	{ PATH_LENGTH, UNKNOWN_CA, FAILED "path length constraint exceeded" },
	{ INVALID_EXTENSION, BAD_CERTIFICATE,
		FAILED "invalid or inconsistent certificate extension" },
	{ NOT_PERMITTED, BAD_CERTIFICATE,
		FAILED "a name is not permitted by its authority's name constraints" },
	{ EXCLUDED, BAD_CERTIFICATE,
		FAILED "a name is excluded by its authority's name constraints" },
	{ UNJUDGED, UNSUPPORTED_CERTIFICATE,
		FAILED "its authority's name constraints are of a kind that is not supported" },
	{ NO_MEMORY, INTERNAL_ERROR, FAILED "out of memory" },
	{ 0, BAD_CERTIFICATE, FAILED "it is not a well-formed certificate" },
};

static const struct meaning *meaning_of(unsigned verdict)
{
	const struct meaning *m = meanings;

	while (m->verdict && m->verdict != verdict)
		m++;
	return m;
}

static bool is_checked(const struct tls_peer *p)
{
	return p->role != OF_NODE_UNCHECKED;
}

/* The first one, if it could be read. */
static const struct x509 *leaf_of(const struct tls_peer *p)
{
	return p->kept ? &p->shown[0] : NULL;
}

/* --- the path ------------------------------------------------------------ */

/* From the leaf to a self-signed certificate of our files. */
struct path {
	const struct x509 *link[LINKS_MAX];
	size_t n, shown;                /* so many came from the peer, the others from our files */
};

static bool is_on(const struct path *path, const struct x509 *c)
{
	for (size_t i = 0; i < path->n; i++)
		if (path->link[i] == c)
			return true;
	return false;
}

static bool is_valid_now(const struct tls_peer *p, const struct x509 *c)
{
	return p->now >= c->begins && p->now <= c->ends;
}

/* That very certificate, not just its name and key. */
static bool is_listed(const struct tls_peer *p, const struct x509 *c)
{
	for (size_t i = 0; i < p->x->anchors; i++)
		if (bytes_are(p->x->anchor_certificate[i].whole, c->whole))
			return true;
	return false;
}

/* The issuer among our certificates, a valid one if possible.  named: some have that name, whether
 * they have signed it or not. */
static const struct x509 *issuer_of_ours(const struct tls_peer *p, const struct x509 *c,
                                         bool *named)
{
	const struct x509 *found = NULL;

	*named = false;
	for (size_t i = 0; i < p->x->anchors; i++) {
		const struct x509 *a = &p->x->anchor_certificate[i];

		if (!x509_may_have_issued(a, c))
			continue;
		*named = true;
		if ((!found || is_valid_now(p, a)) && x509_has_signed(a, c))
			found = a;
		if (found && is_valid_now(p, found))
			break;
	}
	return found;
}

/* The issuer among the shown certificates, by name.  Signatures are verified from the other end, so
 * that a chain to nowhere costs nothing. */
static const struct x509 *issuer_shown(const struct tls_peer *p, const struct path *path,
	const struct x509 *c)
{
	const struct x509 *found = NULL;

	for (size_t i = 1; i < p->kept; i++) {
		const struct x509 *a = &p->shown[i];

		if ((!found || is_valid_now(p, a)) && !is_on(path, a) && x509_may_have_issued(a, c))
			found = a;
		if (found && is_valid_now(p, found))
			break;
	}
	return found;
}

static bool can_be_verified(const struct x509 *c)
{
	return c->signing.key_type && c->signing.hash >= br_sha256_ID;
}

/* Our certificates take precedence over shown ones; once among them, the path stays there.  As with
 * OpenSSL it ends at a self-signed certificate, not at any that is in our files: higher ones might
 * forbid what the lower ones do not. */
static unsigned find_path(const struct tls_peer *p, struct path *path)
{
	*path = (struct path){ .link = { leaf_of(p) }, .n = 1, .shown = 1 };
	while (path->n < LINKS_MAX) {
		const struct x509 *last = path->link[path->n - 1], *next;
		bool named;

		if (x509_is_self_signed(last))
			return is_listed(p, last) ? 0 : BR_ERR_X509_NOT_TRUSTED;
		if (!can_be_verified(last))
			return BR_ERR_X509_UNSUPPORTED;
		next = issuer_of_ours(p, last, &named);
		if (!next && !named && path->shown == path->n) {
			next = issuer_shown(p, path, last);
			path->shown += !!next;
		}
		if (!next)
			return p->count > SHOWN_MAX ? CHAIN_TOO_LONG : BR_ERR_X509_NOT_TRUSTED;
		path->link[path->n++] = next;
	}
	return CHAIN_TOO_LONG;
}

/* --- what each of them may do -------------------------------------------- */

static unsigned check_key(const struct x509 *c)
{
	if (!c->key.key_type)
		return BR_ERR_X509_UNSUPPORTED;
	return c->key.key_type == BR_KEYTYPE_RSA && c->key_bits < RSA_LEAST_BITS
		? BR_ERR_X509_WEAK_PUBLIC_KEY : 0;
}

static unsigned check_authority(const struct path *path, size_t i)
{
	const struct x509 *c = path->link[i];
	long below = 0;

	if (!c->is_ca || (c->is_old_ca && i + 1 < path->n))
		return BR_ERR_X509_NOT_CA;
	for (size_t j = 1; j < i; j++)
		below += !x509_is_self_issued(path->link[j]);
	return c->path_limit >= 0 && below > c->path_limit ? PATH_LENGTH : 0;
}

static unsigned check_link(const struct tls_peer *p, const struct path *path, size_t i)
{
	const struct x509 *c = path->link[i];
	unsigned role = p->role == OF_CLIENT ? X509_CLIENT : X509_SERVER, verdict = 0;

	if (c->is_strange)
		return BR_ERR_X509_CRITICAL_EXTENSION;
	if (c->is_odd)
		return INVALID_EXTENSION;
	if (!is_valid_now(p, c))
		return BR_ERR_X509_EXPIRED;
	if (i)
		verdict = check_authority(path, i);
	if (!verdict && (!(c->uses & role) || (!i && !(c->own_uses & role))))
		verdict = BR_ERR_X509_FORBIDDEN_KEY_USAGE;
	return verdict;
}

/* From above, so that we only use keys whose own signature is good.  Certificates signed by one of
 * ours are already done. */
static unsigned check_signatures(const struct path *path)
{
	unsigned verdict = 0;

	for (size_t i = path->shown; !verdict && i--; ) {
		verdict = check_key(path->link[i]);
		if (!verdict && i + 1 < path->shown
		    && !x509_has_signed(path->link[i + 1], path->link[i]))
			verdict = BR_ERR_X509_BAD_SIGNATURE;
	}
	return verdict;
}

/* An authority's constraints hold for all below it, except for its self-issued certificates. */
static unsigned check_names(const struct path *path)
{
	static const unsigned verdicts[] = { [X509_NOT_PERMITTED] = NOT_PERMITTED,
		[X509_EXCLUDED] = EXCLUDED, [X509_UNJUDGED] = UNJUDGED };
	unsigned verdict = 0;

	for (size_t i = 0; i < path->n; i++)
		for (size_t j = i + 1; !verdict && j < path->n; j++)
			if (!i || !x509_is_self_issued(path->link[i]))
				verdict = verdicts[x509_limit(path->link[j], path->link[i], !i)];
	return verdict;
}

/* --- revoked? ------------------------------------------------------------ */

/* The verdict of its issuer's list. */
static unsigned look_up(const struct tls_peer *p, struct bytes issuer, struct bytes serial)
{
	const struct tls_context *x = p->x;

	for (size_t i = 0; i < x->crls; i++) {
		const struct tls_crl *crl = &x->crl[i];

		if (!bytes_are(crl->issuer, issuer))
			continue;
		if (p->now < crl->begins)
			return CRL_NOT_YET;
		if (crl->ends && p->now > crl->ends)
			return CRL_EXPIRED;
		return tls_crl_has(crl, serial) ? REVOKED : 0;
	}
	return NO_CRL;
}

/* As OpenSSL does with CRL_CHECK_ALL: every certificate of the path, each with a list that must be
 * there. */
static unsigned check_revocation(const struct tls_peer *p, const struct path *path)
{
	unsigned verdict = 0;

	for (size_t i = 0; p->x->crls && !verdict && i < path->n; i++)
		verdict = look_up(p, path->link[i]->issuer, path->link[i]->serial);
	return verdict;
}

/* --- the verdict --------------------------------------------------------- */

static unsigned check_host(const struct tls_peer *p)
{
	bool good = p->name ? x509_has_host(leaf_of(p), p->name)
		: !p->address || x509_has_address(leaf_of(p), p->address);

	return good ? 0 : BR_ERR_X509_BAD_SERVER_NAME;
}

/* The most expensive step comes once the signer is known. */
static unsigned judge_path(const struct tls_peer *p)
{
	struct path path;
	unsigned verdict = check_key(leaf_of(p));

	if (!verdict)
		verdict = find_path(p, &path);
	if (!verdict)
		verdict = check_signatures(&path);
	for (size_t i = 0; !verdict && i < path.n; i++)
		verdict = check_link(p, &path, i);
	if (!verdict)
		verdict = check_names(&path);
	if (!verdict)
		verdict = check_revocation(p, &path);
	return verdict ? verdict : check_host(p);
}

static unsigned judge(const struct tls_peer *p)
{
	if (!p->count)
		return BR_ERR_X509_EMPTY_CHAIN;
	if (p->problem)
		return p->problem;
	if (is_checked(p))
		return judge_path(p);
	return leaf_of(p)->key.key_type ? 0 : BR_ERR_X509_UNSUPPORTED;
}

/* --- the class that bearssl calls ---------------------------------------- */

static struct tls_peer *peer_of(const br_x509_class **ctx)
{
	return (struct tls_peer *)(void *)ctx;
}

static void start_chain(const br_x509_class **ctx, const char *server_name)
{
	(void)ctx;
	(void)server_name;              /* it goes into the ClientHello, whatever is checked */
}

/* Without a check the first one is all that counts. */
static bool is_needed(const struct tls_peer *p)
{
	return !p->problem && p->count < (is_checked(p) ? SHOWN_MAX : 1);
}

static void start_cert(const br_x509_class **ctx, uint32_t length)
{
	struct tls_peer *p = peer_of(ctx);

	p->got = p->len = 0;
	if (!is_needed(p))
		return;
	if (length > SHOWN_BYTES - p->kept_bytes)
		p->problem = TOO_LONG;
	else if (!(p->bytes = malloc(length ? length : 1)))
		p->problem = NO_MEMORY;
	else
		p->len = length;
}

static void append(const br_x509_class **ctx, const unsigned char *buf, size_t len)
{
	struct tls_peer *p = peer_of(ctx);

	if (p->bytes && len <= p->len - p->got) {
		memcpy(p->bytes + p->got, buf, len);
		p->got += len;
	}
}

static void end_cert(const br_x509_class **ctx)
{
	struct tls_peer *p = peer_of(ctx);

	p->count++;
	if (!p->bytes)
		return;
	if (x509_read(&p->shown[p->kept], (struct bytes){ p->bytes, p->got })) {
		p->problem = BR_ERR_X509_INVALID_VALUE;
		free(p->bytes);
	} else {
		p->kept++;
		p->kept_bytes += p->got;
	}
	p->bytes = NULL;
}

static unsigned end_chain(const br_x509_class **ctx)
{
	struct tls_peer *p = peer_of(ctx);

	p->verdict = judge(p);
	p->over = true;
	if (p->verdict || !x509_common_name(leaf_of(p), p->common_name, NAME_SIZE))
		*p->common_name = '\0';
	return p->verdict;
}

/* The protocol here always begins with a signature of this key. */
static const br_x509_pkey *get_pkey(const br_x509_class *const *ctx, unsigned *usages)
{
	const struct tls_peer *p = (const struct tls_peer *)(const void *)ctx;

	if (usages)
		*usages = BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN;
	return p->over && !p->verdict ? &leaf_of(p)->key : NULL;
}

static const br_x509_class class = { sizeof(struct tls_peer), start_chain, start_cert, append,
	end_cert, end_chain, get_pkey };

/* --- a peer -------------------------------------------------------------- */

static struct tls_peer *new_peer(const struct tls_context *x, enum role role)
{
	struct tls_peer *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->vtable = &class;
	p->x = x;
	p->role = role;
	p->now = time(NULL);
	return p;
}

struct tls_peer *tls_peer_client(const struct tls_context *x)
{
	return new_peer(x, OF_CLIENT);
}

static bool is_address(const char *host)
{
	uint8_t binary[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1;
}

struct tls_peer *tls_peer_node(const struct tls_context *x, enum tls_check check,
	const char *host)
{
	struct tls_peer *p = new_peer(x,
		check == TLS_CHECK_NOTHING ? OF_NODE_UNCHECKED : OF_NODE);

	if (p && check == TLS_CHECK_HOST) {
		p->address = is_address(host) ? host : NULL;
		p->name = p->address ? NULL : host;
	}
	return p;
}

void tls_peer_free(struct tls_peer *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->kept; i++)
		free((uint8_t *)p->shown[i].whole.at);
	free(p->bytes);
	free(p);
}

const br_x509_class **tls_peer_class(struct tls_peer *p)
{
	return &p->vtable;
}

/* --- what it showed ------------------------------------------------------ */

/* A client may have none; that is not an error. */
static bool is_refused(const struct tls_peer *p)
{
	return p->over && p->verdict && (p->count || p->role != OF_CLIENT);
}

int tls_peer_alert(const struct tls_peer *p)
{
	return is_refused(p) ? meaning_of(p->verdict)->alert : 0;
}

const char *tls_peer_error(const struct tls_peer *p)
{
	return is_refused(p) ? meaning_of(p->verdict)->text : NULL;
}

bool tls_peer_verified(const struct tls_peer *p)
{
	return is_checked(p) && p->over && !p->verdict;
}

const char *tls_peer_common_name(const struct tls_peer *p)
{
	return tls_peer_verified(p) && *p->common_name ? p->common_name : NULL;
}

size_t tls_peer_end_point(const struct tls_peer *p, uint8_t hash[static 64])
{
	return p->kept ? x509_end_point(leaf_of(p), hash) : 0;
}
