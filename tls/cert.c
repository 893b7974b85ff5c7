#include "tls/cert.h"

#include "tls/crl.h"
#include "tls/key.h"
#include "tls/pem.h"
#include "tls/self.h"
#include "wire.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHAIN_MAX = 10, RSA_USUAL = 2048, NAME_MAX_LEN = 256 };

/* --- telling ------------------------------------------------------------- */

/* A context being made, and the receiver of its errors. */
struct load {
	struct tls_context *x;
	const struct tls_files *f;
	void (*tell)(void *ctx, enum level severity, const char *text);
	void *ctx;
};

static void vtell(struct load *l, enum level severity, const char *fmt, va_list args)
{
	char text[PATH_MAX + 600];

	vsnprintf(text, sizeof text, fmt, args);
	l->tell(l->ctx, severity, text);
}

__attribute__((format(printf, 3, 4)))
static void tell(struct load *l, enum level severity, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vtell(l, severity, fmt, args);
	va_end(args);
}

#define warn(l, ...) tell(l, LEVEL_WARNING, __VA_ARGS__)

__attribute__((format(printf, 2, 3)))
static bool fail(struct load *l, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vtell(l, LEVEL_FATAL, fmt, args);
	va_end(args);
	return false;
}

static bool no_memory(struct load *l)
{
	return fail(l, "out of memory");
}

/* --- certificates in general --------------------------------------------- */

static void *copy(struct bytes b)
{
	void *p = malloc(b.n ? b.n : 1);

	return p && b.n ? memcpy(p, b.at, b.n) : p;
}

static const char *name_of(const struct x509 *c, char out[static NAME_MAX_LEN])
{
	if (!x509_common_name(c, out, NAME_MAX_LEN))
		snprintf(out, NAME_MAX_LEN, "without a common name");
	return out;
}

static void warn_of_dates(struct load *l, const char *file, const struct x509 *c)
{
	char name[NAME_MAX_LEN];
	time_t now = time(NULL);

	if (now < c->begins)
		warn(l, "certificate \"%s\" of file \"%s\" is not yet valid", name_of(c, name),
			file);
	else if (now > c->ends)
		warn(l, "certificate \"%s\" of file \"%s\" has expired", name_of(c, name), file);
}

/* --- who we are ---------------------------------------------------------- */

/* The certificate's bytes become the context's own. */
static bool append(struct load *l, struct bytes der)
{
	struct tls_context *x = l->x;
	br_x509_certificate *chain = realloc(x->chain, (x->chain_len + 1) * sizeof *chain);

	if (chain)
		x->chain = chain;
	uint8_t *bytes = chain ? copy(der) : NULL;
	if (!bytes)
		return no_memory(l);
	x->chain[x->chain_len++] = (br_x509_certificate){ bytes, der.n };
	return true;
}

static struct bytes link_of(const struct tls_context *x, size_t i)
{
	return (struct bytes){ x->chain[i].data, x->chain[i].data_len };
}

static bool read_chain(struct load *l, struct pem_file *f)
{
	const char *file = l->f->cert, *why;
	struct x509 c, before = { .key_bits = 0 };
	struct pem o;

	while (pem_next(f, &o)) {
		if (!pem_is_certificate(&o))
			continue;
		if ((why = x509_read(&c, o.der)))
			return fail(l, "could not load certificate file \"%s\": %s", file, why);
		if (l->x->chain_len == CHAIN_MAX)
			return fail(l, "could not load certificate file \"%s\": it has more than "
				"%d certificates", file, CHAIN_MAX);
		if (l->x->chain_len && !bytes_are(before.issuer, c.subject))
			warn(l, "certificate file \"%s\": certificate %zu is not that of "
				"the previous one's issuer", file, l->x->chain_len + 1);
		warn_of_dates(l, file, &c);
		if (!append(l, o.der))
			return false;
		before = c;
	}
	if (*f->why || !l->x->chain_len)
		return fail(l, "could not load certificate file \"%s\": %s", file,
			*f->why ? f->why : "there is no certificate in it");
	return true;
}

static bool load_chain(struct load *l)
{
	struct pem_file f;

	bool good = pem_open(&f, l->f->cert) ? read_chain(l, &f)
		: fail(l, "could not load certificate file \"%s\": %s", l->f->cert, f.why);
	pem_close(&f);
	return good;
}

static void take_key(struct tls_context *x, const struct tls_key *k)
{
	x->key_type = k->type;
	if (k->type == BR_KEYTYPE_RSA)
		x->key.rsa = k->key.rsa;
	else
		x->key.ec = k->key.ec;
	x->key_bytes = k->bytes;
	x->key_len = k->n;
}

/* The certificate's own data. */
static void take_leaf(struct tls_context *x, const struct x509 *leaf)
{
	x->issuer_key_type = leaf->signing.key_type;
	x->end_point_len = x509_end_point(leaf, x->end_point);
}

static bool load_identity(struct load *l)
{
	const struct tls_files *f = l->f;
	char why[TLS_KEY_WHY];
	struct tls_key k;
	struct x509 leaf;

	if (!load_chain(l))
		return false;
	x509_read(&leaf, link_of(l->x, 0));
	if (!leaf.key.key_type)
		return fail(l, "could not load certificate file \"%s\": keys of this kind cannot "
			"be used: %s; make one of RSA (2048 to 4096 bits) or ECDSA (P-256, P-384, "
			"P-521)", f->cert, leaf.key_name);
	if (!tls_key_load(&k, f->key, f->passphrase_command, why))
		return fail(l, "%s", why);
	take_key(l->x, &k);
	take_leaf(l->x, &leaf);
	if (!tls_key_fits(&k, &leaf))
		return fail(l, "private key file \"%s\" does not belong to certificate file \"%s\"",
			f->key, f->cert);
	if (k.exposed)
		warn(l, "private key file \"%s\" has group or world access", f->key);
	if (k.type == BR_KEYTYPE_RSA && k.bits > RSA_USUAL)
		warn(l, "the RSA key of \"%s\" has %u bits: a handshake takes up to 15 ms, in "
			"which nobody is served; with ECDSA (P-256) it takes less than 1 ms",
			f->key, k.bits);
	return true;
}

/* --- the certificate that is made ---------------------------------------- */

static void tell_made(struct load *l)
{
	char text[3 * br_sha256_SIZE + 1];
	uint8_t hash[64];
	size_t n = x509_hash(br_sha256_ID, link_of(l->x, 0), hash);

	for (size_t i = 0; i < n; i++)
		snprintf(text + 3 * i, 4, "%02X:", hash[i]);
	text[3 * n - 1] = '\0';
	tell(l, LEVEL_LOG, "neither ssl_cert nor ssl_key is set: made a self-signed certificate "
		"for \"%s\", SHA-256 fingerprint %s", l->f->host, text);
}

/* The one in force is kept until there is one from files. */
static bool make_identity(struct load *l)
{
	const struct tls_context *old = l->f->old && l->f->old->self_made ? l->f->old : NULL;
	uint8_t secret[TLS_SELF_KEY], made[TLS_SELF_MAX];
	struct bytes certificate = { made, 0 };
	struct x509 leaf;

	if (old) {
		memcpy(secret, old->key_bytes, sizeof secret);
		certificate = link_of(old, 0);
	} else {
		certificate.n = tls_self_make(l->f->host, secret, made);
	}
	if (!certificate.n || x509_read(&leaf, certificate))
		return fail(l, "could not make a certificate: no random numbers");
	uint8_t *key = copy((struct bytes){ secret, sizeof secret });
	explicit_bzero(secret, sizeof secret);
	if (!key)
		return no_memory(l);
	take_key(l->x, &(struct tls_key){ .type = BR_KEYTYPE_EC, .bytes = key, .n = TLS_SELF_KEY,
		.key.ec = { BR_EC_secp256r1, key, TLS_SELF_KEY } });
	take_leaf(l->x, &leaf);
	l->x->self_made = true;
	if (!append(l, certificate))
		return false;
	if (!old)
		tell_made(l);
	return true;
}

/* --- whom we trust ------------------------------------------------------- */

static bool is_known(const struct tls_context *x, struct bytes der)
{
	for (size_t i = 0; i < x->anchors; i++)
		if (bytes_are(x->anchor_certificate[i].whole, der))
			return true;
	return false;
}

/* Room for one more in both lists. */
static bool grow_anchors(struct tls_context *x)
{
	size_t n = x->anchors + 1;
	br_x509_trust_anchor *anchor = realloc(x->anchor, n * sizeof *anchor);

	if (anchor)
		x->anchor = anchor;
	struct x509 *certificate = realloc(x->anchor_certificate, n * sizeof *certificate);
	if (certificate)
		x->anchor_certificate = certificate;
	return anchor && certificate;
}

/* Everything about it points into its own copy. */
static bool add_anchor(struct load *l, struct bytes der)
{
	struct tls_context *x = l->x;
	struct x509 *c;

	uint8_t *own = grow_anchors(x) ? copy(der) : NULL;
	if (!own)
		return no_memory(l);
	c = &x->anchor_certificate[x->anchors];
	x509_read(c, (struct bytes){ own, der.n });
	x->anchor[x->anchors++] = (br_x509_trust_anchor){
		{ (uint8_t *)c->subject.at, c->subject.n }, c->is_ca ? BR_X509_TA_CA : 0, c->key };
	return true;
}

/* Some certificates of a bundle may be unusable here; that is reported, and the others count. */
static bool read_anchors(struct load *l, struct pem_file *f, const char *file)
{
	char name[NAME_MAX_LEN];
	const char *why;
	struct x509 c;
	struct pem o;

	while (pem_next(f, &o)) {
		if (!pem_is_certificate(&o) || is_known(l->x, o.der))
			continue;
		if ((why = x509_read(&c, o.der))) {
			warn(l, "CA file \"%s\": a certificate is left out: %s", file, why);
		} else if (!c.key.key_type) {
			warn(l, "CA file \"%s\": certificate \"%s\" is left out: keys of this kind "
				"cannot be used: %s", file, name_of(&c, name), c.key_name);
		} else {
			warn_of_dates(l, file, &c);
			if (!add_anchor(l, o.der))
				return false;
		}
	}
	return true;
}

static bool load_ca(struct load *l)
{
	const char *file = l->f->ca;
	struct pem_file f;

	bool good = pem_open(&f, file) && read_anchors(l, &f, file) && !*f.why;
	if (*f.why)
		fail(l, "could not load root certificate file \"%s\": %s", file, f.why);
	pem_close(&f);
	if (good && !l->x->anchors)
		return fail(l, "could not load root certificate file \"%s\": there is no usable "
			"certificate in it", file);
	return good;
}

/* Other files than those of certificates are passed over: there are links, lists and notes, too. */
static bool load_ca_dir(struct load *l)
{
	DIR *dir = opendir(l->f->ca_dir);
	char path[PATH_MAX];
	bool good = true;

	source_note(l->f->ca_dir);
	if (!dir)
		return fail(l, "could not open ssl_ca_cert_dir \"%s\": %s", l->f->ca_dir,
			strerror(errno));
	for (struct dirent *e; good && (e = readdir(dir)); ) {
		struct pem_file f;

		if (*e->d_name == '.' || snprintf(path, sizeof path, "%s/%s", l->f->ca_dir,
		    e->d_name) >= PATH_MAX)
			continue;
		bool read = pem_open(&f, path);
		if (read)
			good = read_anchors(l, &f, path);
		if (read && *f.why)
			warn(l, "CA file \"%s\": a certificate is left out: %s", path, f.why);
		pem_close(&f);
	}
	closedir(dir);
	if (good && !l->x->anchors)
		return fail(l, "there is no usable certificate in ssl_ca_cert_dir \"%s\"",
			l->f->ca_dir);
	return good;
}

/* Chains end at a self-signed certificate: below an intermediate alone nothing is trusted. */
static void warn_of_partial(struct load *l)
{
	const struct tls_context *x = l->x;
	const struct x509 *c = x->anchor_certificate;
	char name[NAME_MAX_LEN];

	for (size_t i = 0; i < x->anchors; i++) {
		size_t j = 0;

		while (j < x->anchors && !x509_may_have_issued(&c[j], &c[i]))
			j++;
		if (j == x->anchors)
			warn(l, "CA certificate \"%s\" is unusable: it is not self-signed, and its "
				"issuer's is not in ssl_ca_cert or ssl_ca_cert_dir",
				name_of(&c[i], name));
	}
}

/* --- whom we do not trust any more --------------------------------------- */

/* Every list must be signed by an issuer that we know and that may sign it. */
static bool is_signed(const struct tls_context *x, const struct tls_crl *c)
{
	for (size_t i = 0; i < x->anchors; i++)
		if (bytes_are(x->anchor_certificate[i].subject, c->issuer)
		    && x->anchor_certificate[i].may_sign_lists
		    && x509_is_signed(c->text, c->signing, c->signature, &x->anchor[i].pkey))
			return true;
	return false;
}

/* Of several lists of one issuer the latest counts. */
static bool add_crl(struct load *l, const struct tls_crl *fresh)
{
	struct tls_context *x = l->x;
	struct tls_crl *crl = x->crl, *place = NULL;

	for (size_t i = 0; i < x->crls && !place; i++)
		if (bytes_are(crl[i].issuer, fresh->issuer))
			place = &crl[i];
	if (place && place->begins >= fresh->begins)
		return true;
	uint8_t *own = copy(fresh->whole);
	if (!place && (crl = own ? realloc(x->crl, (x->crls + 1) * sizeof *crl) : NULL)) {
		x->crl = crl;
		place = &crl[x->crls++];
		*place = (struct tls_crl){ .ends = 0 };
	}
	if (!place || !own) {
		free(own);
		return no_memory(l);
	}
	free((uint8_t *)place->whole.at);
	tls_crl_read(place, (struct bytes){ own, fresh->whole.n });
	return true;
}

static bool read_crl(struct load *l, struct bytes der)
{
	const char *file = l->f->crl;
	struct tls_crl c;
	const char *why = tls_crl_read(&c, der);

	if (!why && (!c.signing.key_type || c.signing.hash < br_sha256_ID))
		why = "its signature is not of a kind that is accepted here (RSA or ECDSA with "
			"SHA-256, SHA-384 or SHA-512)";
	if (!why && !is_signed(l->x, &c))
		why = "it is not signed by a certificate of ssl_ca_cert or ssl_ca_cert_dir";
	if (why)
		return fail(l, "could not load certificate revocation list file \"%s\": %s", file,
			why);
	if (c.ends && time(NULL) > c.ends)
		warn(l, "certificate revocation list file \"%s\": a list has expired: certificates "
			"of its issuer are refused until there is a new one", file);
	return add_crl(l, &c);
}

static bool load_crls(struct load *l)
{
	struct pem_file f;
	struct pem o;
	bool good = pem_open(&f, l->f->crl);

	while (good && pem_next(&f, &o))
		if (!*o.label || !strcmp(o.label, "X509 CRL"))
			good = read_crl(l, o.der);
	if (*f.why || (good && !l->x->crls))
		good = fail(l, "could not load certificate revocation list file \"%s\": %s",
			l->f->crl, *f.why ? f.why : "there is no list in it");
	pem_close(&f);
	return good;
}

static bool load_trust(struct load *l)
{
	if ((*l->f->ca && !load_ca(l)) || (*l->f->ca_dir && !load_ca_dir(l)))
		return false;
	warn_of_partial(l);
	return !*l->f->crl || load_crls(l);
}

/* --- what we speak ------------------------------------------------------- */

static void warn_of_word(void *ctx, const char *text)
{
	warn((struct load *)ctx, "%s", text);
}

static bool choose(struct load *l)
{
	struct tls_context *x = l->x;

	x->suites = tls_suites(l->f->ciphers, x->suite, warn_of_word, l);
	x->curves = tls_curves(l->f->curve, warn_of_word, l);
	x->prefer_server_ciphers = l->f->prefer_server_ciphers;
	if (!x->suites)
		return fail(l, "ssl_ciphers leaves nothing: choose ECDHE with AESGCM or "
			"CHACHA20");
	return x->curves || fail(l, "ssl_ecdh_curve leaves nothing: choose prime256v1 or "
		"X25519");
}

/* --- the whole ----------------------------------------------------------- */

static bool load(struct load *l)
{
	const struct tls_files *f = l->f;

	if (!*f->cert != !*f->key)
		return fail(l, "%s is set, but %s is not: set both or neither",
			*f->cert ? "ssl_cert" : "ssl_key", *f->cert ? "ssl_key" : "ssl_cert");
	if (*f->cert ? !load_identity(l) : *f->host && !make_identity(l))
		return false;
	if (!load_trust(l) || !choose(l))
		return false;
	l->x->engine = tls_engine_new(l->x);
	return l->x->engine || no_memory(l);
}

struct tls_context *tls_context_load(const struct tls_files *f,
	void (*tell_caller)(void *ctx, enum level severity, const char *text), void *ctx)
{
	struct load l = { calloc(1, sizeof *l.x), f, tell_caller, ctx };

	if (!l.x) {
		no_memory(&l);
		return NULL;
	}
	l.x->holders = 1;
	if (load(&l))
		return l.x;
	tls_context_drop(l.x);
	return NULL;
}

struct tls_context *tls_context_hold(struct tls_context *x)
{
	x->holders++;
	return x;
}

void tls_context_drop(struct tls_context *x)
{
	if (!x || --x->holders)
		return;
	tls_engine_free(x->engine);
	for (size_t i = 0; i < x->chain_len; i++)
		free(x->chain[i].data);
	for (size_t i = 0; i < x->anchors; i++)
		free((uint8_t *)x->anchor_certificate[i].whole.at);
	for (size_t i = 0; i < x->crls; i++)
		free((uint8_t *)x->crl[i].whole.at);
	memory_wipe(x->key_bytes, x->key_len);
	free(x->chain);
	free(x->anchor);
	free(x->anchor_certificate);
	free(x->crl);
	memory_wipe(x, sizeof *x);
}
