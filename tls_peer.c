#include "tls_peer.h"

#include "tls_crl.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Each certificate behind the first costs a verification, and anybody may send them: of P-521 it takes
 * seven milliseconds. */
enum { CERTIFICATE_MAX = 65536, CHAIN_MAX = 5, NAME_SIZE = 256, RSA_LEAST_BYTES = 2048 / 8 };

/* Verdicts that bearssl does not know; its own are BR_ERR_X509_ numbers. */
enum {
	REVOKED = 1000, NO_CRL, CRL_EXPIRED, CRL_NOT_YET, TOO_LONG, NO_MEMORY, LONG_PATH, NAMES_LIMITED
};

/* Whose certificates they are, and what they must be. */
enum role { OF_CLIENT, OF_NODE, OF_NODE_UNCHECKED };

struct tls_peer {
	const br_x509_class *vtable;            /* first: what bearssl holds is a pointer to us */
	const struct tls_context *x;
	enum role role;
	const char *name, *address;             /* one of them must be in the certificate */
	time_t now;
	br_x509_minimal_context engine;
	br_x509_trust_anchor *anchor;           /* those that are valid now */

	/* The certificate that is coming in, unless nobody needs it. */
	uint8_t *bytes;
	size_t len, got;
	unsigned count;
	long below;                             /* authorities so far that others have issued */

	struct x509 leaf;                       /* the first one; whole.n is 0 before */
	unsigned problem;                       /* what we have found, which bearssl has not */
	unsigned verdict;                       /* in the end; 0: good */
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
	{ BR_ERR_X509_DN_MISMATCH, UNKNOWN_CA, FAILED "the certificates are not a chain" },
	{ BR_ERR_X509_BAD_SIGNATURE, BAD_CERTIFICATE, FAILED "certificate signature failure" },
	{ BR_ERR_X509_BAD_SERVER_NAME, BAD_CERTIFICATE,
		FAILED "the certificate is not for this host" },
	{ BR_ERR_X509_NOT_CA, UNKNOWN_CA, FAILED "invalid CA certificate" },
	{ BR_ERR_X509_FORBIDDEN_KEY_USAGE, UNSUPPORTED_CERTIFICATE,
		FAILED "unsupported certificate purpose" },
	{ BR_ERR_X509_WEAK_PUBLIC_KEY, BAD_CERTIFICATE, FAILED "the key is too small" },
	{ BR_ERR_X509_CRITICAL_EXTENSION, UNSUPPORTED_CERTIFICATE,
		FAILED "unhandled critical extension" },
	{ BR_ERR_X509_LIMIT_EXCEEDED, UNSUPPORTED_CERTIFICATE, FAILED "the key is too large" },
	{ BR_ERR_X509_UNSUPPORTED, UNSUPPORTED_CERTIFICATE,
		FAILED "its key or signature is of a kind that is not supported (RSA or ECDSA with "
		"SHA-256, SHA-384 or SHA-512 is)" },
	{ REVOKED, CERTIFICATE_REVOKED, FAILED "certificate revoked" },
	{ NO_CRL, UNKNOWN_CA, FAILED "unable to get certificate CRL" },
	{ CRL_EXPIRED, CERTIFICATE_EXPIRED, FAILED "CRL has expired" },
	{ CRL_NOT_YET, BAD_CERTIFICATE, FAILED "CRL is not yet valid" },
	{ TOO_LONG, BAD_CERTIFICATE, FAILED "the certificate is too long" },
	{ NO_MEMORY, INTERNAL_ERROR, FAILED "out of memory" },
	{ LONG_PATH, BAD_CERTIFICATE, FAILED "path length constraint exceeded" },
	{ NAMES_LIMITED, UNSUPPORTED_CERTIFICATE, FAILED "an authority's name constraints are not supported" },
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

/* bearssl is not given what comes behind that. */
static bool is_judged(const struct tls_peer *p)
{
	return is_checked(p) && p->count < CHAIN_MAX;
}

/* --- may its authorities issue it? --------------------------------------- */

static bool forbids_role(const struct tls_peer *p, const struct x509 *c)
{
	return p->role == OF_CLIENT ? c->no_client : c->no_server;
}

static bool is_path_long(const struct tls_peer *p, const struct x509 *c)
{
	return c->path >= 0 && p->below > c->path;
}

static bool is_anchor_long(const struct tls_peer *p, struct bytes name)
{
	for (size_t i = 0; i < p->x->anchors; i++)
		if (bytes_are(p->x->anchor_certificate[i].subject, name)
		    && is_path_long(p, &p->x->anchor_certificate[i]))
			return true;
	return false;
}

/* What bearssl leaves out, for every certificate of the chain: as OpenSSL, an extended key usage
 * speaks for all that is below it.  That the chain has reached an anchor can only be seen in bearssl's
 * own field. */
static void check_path(struct tls_peer *p, const struct x509 *c)
{
	if (p->problem)
		return;
	if (forbids_role(p, c))
		p->problem = BR_ERR_X509_FORBIDDEN_KEY_USAGE;
	else if (p->count && c->limits_names)
		p->problem = NAMES_LIMITED;
	else if (p->count && is_path_long(p, c))
		p->problem = LONG_PATH;
	p->below += p->count && !x509_is_self_issued(c);
	if (!p->problem && p->engine.err == BR_ERR_X509_OK && is_anchor_long(p, c->issuer))
		p->problem = LONG_PATH;
}

/* --- revoked? ------------------------------------------------------------ */

/* What the list of its issuer says. */
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

/* The anchor of this name; among several the one that ends all chains. */
static const struct x509 *anchor_named(const struct tls_context *x, struct bytes name)
{
	const struct x509 *found = NULL;

	for (size_t i = 0; i < x->anchors; i++) {
		const struct x509 *c = &x->anchor_certificate[i];

		if (bytes_are(c->subject, name) && (!found || x509_is_self_issued(c)))
			found = c;
	}
	return found;
}

/* An anchor that another one has issued may be revoked, too. */
static unsigned look_up_anchors(const struct tls_peer *p, struct bytes issuer)
{
	unsigned verdict = 0;
	const struct x509 *c;

	for (size_t i = 0; !verdict && i < p->x->anchors && (c = anchor_named(p->x, issuer)); i++) {
		verdict = look_up(p, c->issuer, c->serial);
		if (x509_is_self_issued(c))
			break;
		issuer = c->issuer;
	}
	return verdict;
}

/* As OpenSSL does with CRL_CHECK_ALL: every certificate of the chain, each with a list that must be
 * there. */
static void check_revocation(struct tls_peer *p, const struct x509 *c)
{
	if (!p->x->crls || p->problem)
		return;
	p->problem = look_up(p, c->issuer, c->serial);
	if (!p->problem && p->engine.err == BR_ERR_X509_OK)
		p->problem = look_up_anchors(p, c->issuer);
}

/* --- the class that bearssl calls ---------------------------------------- */

static struct tls_peer *peer_of(const br_x509_class **ctx)
{
	return (struct tls_peer *)(void *)ctx;
}

static const br_x509_class **engine_of(struct tls_peer *p)
{
	return &p->engine.vtable;
}

static void start_chain(const br_x509_class **ctx, const char *server_name)
{
	struct tls_peer *p = peer_of(ctx);

	(void)server_name;              /* it goes into the ClientHello, whatever is checked */
	if (is_checked(p))
		p->engine.vtable->start_chain(engine_of(p), p->name);
}

/* The first one, and the others as long as they are part of the chain. */
static bool is_needed(const struct tls_peer *p)
{
	return !p->count || (is_judged(p) && p->engine.err == 0);
}

static void start_cert(const br_x509_class **ctx, uint32_t length)
{
	struct tls_peer *p = peer_of(ctx);

	p->got = 0;
	p->len = is_needed(p) && length <= CERTIFICATE_MAX ? length : 0;
	if (length > CERTIFICATE_MAX)
		p->problem = TOO_LONG;
	p->bytes = p->len ? malloc(p->len) : NULL;
	if (p->len && !p->bytes) {
		p->problem = NO_MEMORY;
		p->len = 0;
	}
	if (is_judged(p))
		p->engine.vtable->start_cert(engine_of(p), length);
}

static void append(const br_x509_class **ctx, const unsigned char *buf, size_t len)
{
	struct tls_peer *p = peer_of(ctx);

	if (len <= p->len - p->got) {
		memcpy(p->bytes + p->got, buf, len);
		p->got += len;
	}
	if (is_judged(p))
		p->engine.vtable->append(engine_of(p), buf, len);
}

static void take(struct tls_peer *p)
{
	struct x509 c;
	bool good = !x509_read(&c, (struct bytes){ p->bytes, p->got });

	if (!good && !p->problem)
		p->problem = BR_ERR_X509_INVALID_VALUE;
	if (good && is_checked(p)) {
		check_path(p, &c);
		check_revocation(p, &c);
	}
	if (good && !p->count) {
		p->leaf = c;
		p->bytes = NULL;                /* they are the leaf's now */
	}
}

static void end_cert(const br_x509_class **ctx)
{
	struct tls_peer *p = peer_of(ctx);

	if (is_judged(p))
		p->engine.vtable->end_cert(engine_of(p));
	if (p->bytes)
		take(p);
	free(p->bytes);
	p->bytes = NULL;
	p->count++;
}

static unsigned judge_unchecked(const struct tls_peer *p)
{
	return p->problem ? p->problem : !p->count ? BR_ERR_X509_EMPTY_CHAIN
		: !p->leaf.whole.n ? BR_ERR_X509_INVALID_VALUE
		: !p->leaf.key.key_type ? BR_ERR_X509_UNSUPPORTED : 0;
}

/* What is spoken here always begins with a signature of the certificate's key. */
static bool may_sign(struct tls_peer *p)
{
	unsigned usages = 0;

	p->engine.vtable->get_pkey((const br_x509_class *const *)engine_of(p), &usages);
	return usages & BR_KEYTYPE_SIGN;
}

/* Trusted as it stands: bearssl would compare the name and the key only, and take any dates and
 * alternative names with them. */
static bool is_listed(const struct tls_peer *p)
{
	for (size_t i = 0; i < p->x->anchors; i++) {
		const struct x509 *c = &p->x->anchor_certificate[i];

		if (!c->is_ca && bytes_are(c->whole, p->leaf.whole))
			return true;
	}
	return false;
}

static unsigned judge(struct tls_peer *p)
{
	unsigned verdict = p->engine.vtable->end_chain(engine_of(p));

	if (verdict == BR_ERR_X509_NOT_TRUSTED && p->leaf.whole.n && is_listed(p))
		verdict = 0;            /* all else is good */
	if (!verdict && !may_sign(p))
		verdict = BR_ERR_X509_FORBIDDEN_KEY_USAGE;
	if (!verdict)
		verdict = p->problem;
	if (!verdict && !p->leaf.whole.n)
		verdict = BR_ERR_X509_INVALID_VALUE;
	if (!verdict && p->address && !x509_has_address(&p->leaf, p->address))
		verdict = BR_ERR_X509_BAD_SERVER_NAME;
	return verdict;
}

static unsigned end_chain(const br_x509_class **ctx)
{
	struct tls_peer *p = peer_of(ctx);

	p->verdict = is_checked(p) ? judge(p) : judge_unchecked(p);
	p->over = true;
	if (p->verdict || !x509_common_name(&p->leaf, p->common_name, NAME_SIZE))
		*p->common_name = '\0';
	return p->verdict;
}

static const br_x509_pkey *get_pkey(const br_x509_class *const *ctx, unsigned *usages)
{
	struct tls_peer *p = (struct tls_peer *)(void *)ctx;

	if (is_checked(p))
		return p->engine.vtable->get_pkey((const br_x509_class *const *)engine_of(p),
			usages);
	if (usages)
		*usages = BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN;
	return p->leaf.key.key_type ? &p->leaf.key : NULL;
}

static const br_x509_class class = { sizeof(struct tls_peer), start_chain, start_cert, append,
	end_cert, end_chain, get_pkey };

/* --- a peer -------------------------------------------------------------- */

/* bearssl does not look at the dates of anchors, nor what they are for. */
static size_t take_anchors(struct tls_peer *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->x->anchors; i++) {
		const struct x509 *c = &p->x->anchor_certificate[i];

		if (c->is_ca && p->now >= c->begins && p->now <= c->ends && !forbids_role(p, c))
			p->anchor[n++] = p->x->anchor[i];
	}
	return n;
}

/* No SHA-1, no short keys.  Its days begin in the year 0. */
static void set_up_engine(struct tls_peer *p)
{
	enum { DAY = 86400, DAYS_TO_1970 = 719528 };
	br_x509_minimal_context *e = &p->engine;

	br_x509_minimal_init(e, &br_sha256_vtable, p->anchor, take_anchors(p));
	br_x509_minimal_set_hash(e, br_sha256_ID, &br_sha256_vtable);
	br_x509_minimal_set_hash(e, br_sha384_ID, &br_sha384_vtable);
	br_x509_minimal_set_hash(e, br_sha512_ID, &br_sha512_vtable);
	br_x509_minimal_set_rsa(e, br_rsa_pkcs1_vrfy_get_default());
	br_x509_minimal_set_ecdsa(e, br_ec_get_default(), br_ecdsa_vrfy_asn1_get_default());
	br_x509_minimal_set_minrsa(e, RSA_LEAST_BYTES);
	br_x509_minimal_set_time(e, (uint32_t)(p->now / DAY + DAYS_TO_1970),
		(uint32_t)(p->now % DAY));
}

static struct tls_peer *new_peer(const struct tls_context *x, enum role role)
{
	struct tls_peer *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->vtable = &class;
	p->x = x;
	p->role = role;
	p->now = time(NULL);
	if (!is_checked(p))
		return p;
	p->anchor = malloc((x->anchors + 1) * sizeof *p->anchor);
	if (p->anchor) {
		set_up_engine(p);
		return p;
	}
	free(p);
	return NULL;
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
	free((uint8_t *)p->leaf.whole.at);
	free(p->bytes);
	free(p->anchor);
	free(p);
}

const br_x509_class **tls_peer_class(struct tls_peer *p)
{
	return &p->vtable;
}

/* --- what it showed ------------------------------------------------------ */

/* A client may have none, and then it has said nothing that is wrong. */
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
	return p->leaf.whole.n ? x509_end_point(&p->leaf, hash) : 0;
}
