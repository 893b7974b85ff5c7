/* tls_chain_test.c - chains of certificates as clients and nodes show them, and what is made of them.
 * The files are those of make_certificates.py. */
#include "tls/chain.h"

#include "tls/pem.h"

#include "t.h"

#include <stdlib.h>
#include <string.h>

struct tls_engine *tls_engine_new(const struct tls_context *x)
{
	(void)x;
	return malloc(1);
}

void tls_engine_free(struct tls_engine *e)
{
	free(e);
}

static void tell(void *ctx, enum level severity, const char *text)
{
	(void)ctx;
	if (severity == LEVEL_FATAL)
		printf("# %s\n", text);
}

static struct tls_context *load(const char *ca, const char *crl)
{
	char names[2][100];

	snprintf(names[0], sizeof names[0], "test/tls/%s", ca);
	snprintf(names[1], sizeof names[1], "test/tls/%s", crl);
	return tls_context_load(&(struct tls_files){ .cert = "", .key = "", .ca = names[0],
		.ca_dir = "", .crl = *crl ? names[1] : "", .passphrase_command = "", .ciphers = "ALL",
		.curve = "X25519", .host = "" }, tell, NULL);
}

/* --- showing a chain, as bearssl does --- */

static void show_one(const br_x509_class **c, struct bytes der, size_t step)
{
	(*c)->start_cert(c, (uint32_t)der.n);
	for (size_t at = 0; at < der.n; at += step)
		(*c)->append(c, der.at + at, der.n - at < step ? der.n - at : step);
	(*c)->end_cert(c);
}

/* All certificates of a file, "" for none; returns end_chain's word. */
static unsigned show(struct tls_peer *p, const char *name, size_t step)
{
	const br_x509_class **c = tls_peer_class(p);
	struct pem_file f;
	struct pem o;
	char path[100];

	snprintf(path, sizeof path, "test/tls/%s", name);
	(*c)->start_chain(c, "a name that bearssl was given for its ClientHello");
	if (*name && pem_open(&f, path)) {
		while (pem_next(&f, &o))
			show_one(c, o.der, step);
		pem_close(&f);
	}
	return (*c)->end_chain(c);
}

/* One case: who is asked, what is shown, and what is said: "" if it is good. */
struct one {
	const char *ca, *crl;
	enum { CLIENT, REQUIRE, VERIFY_CA, VERIFY_FULL } how;
	const char *host, *shown;
	int alert;
	const char *error;
};

static struct tls_peer *peer_for(const struct one *o, const struct tls_context *x)
{
	return o->how == CLIENT ? tls_peer_client(x)
		: tls_peer_node(x, o->how == REQUIRE ? TLS_CHECK_NOTHING : o->how == VERIFY_CA
			? TLS_CHECK_CA : TLS_CHECK_HOST, o->host);
}

static void judge(const struct one *o)
{
	struct tls_context *x = load(o->ca, o->crl);

	for (size_t step = 1; x && step < 100000; step *= 317) {
		struct tls_peer *p = peer_for(o, x);
		const br_x509_class **c = tls_peer_class(p);
		bool silent = tls_peer_alert(p) == 0 && !tls_peer_error(p) && !tls_peer_verified(p);
		bool empty = o->how == CLIENT && !*o->shown;
		bool good = !*o->error && !empty;
		unsigned word = show(p, o->shown, step);
		const char *error = tls_peer_error(p);
		unsigned usages = 0;

		say(silent && tls_peer_alert(p) == o->alert && !error == !*o->error
			&& (!error || strstr(error, o->error)) && !word == good
			&& tls_peer_verified(p) == (good && o->how != REQUIRE),
			"%s%s%s shows %s to %s%s%s: %d %s", o->how == CLIENT ? "a client" : o->how == REQUIRE
			? "a node (require)" : o->how == VERIFY_CA ? "a node (verify-ca)"
			: "a node (verify-full) ", o->how == VERIFY_FULL ? o->host : "", "", o->shown, o->ca,
			*o->crl ? " with " : "", o->crl, tls_peer_alert(p), error ? error : "");
		if (good)
			say((*c)->get_pkey(c, &usages) && (usages & BR_KEYTYPE_SIGN), "its key can be used");
		tls_peer_free(p);
	}
	say(x, "%s is loaded", o->ca);
	tls_context_drop(x);
}

#define DB "db.example.com"

static const struct one cases[] = {
	/* chains */
	{ "ca.crt", "", VERIFY_CA, DB, "leaf.crt", 0, "" },
	{ "ca.crt", "", VERIFY_CA, DB, "chain.crt", 0, "" },
	{ "both.crt", "", VERIFY_CA, DB, "by-middle.crt", 0, "" },
	{ "ca.crt", "", VERIFY_CA, DB, "chain-extra.crt", 0, "" },
	{ "ca.crt", "", VERIFY_CA, DB, "by-middle.crt", 48, "unable to get local issuer certificate" },
	{ "ca.crt", "", VERIFY_CA, DB, "unordered.crt", 48, "unable to get local issuer" },
	{ "ca.crt", "", VERIFY_CA, DB, "by-stranger.crt", 48, "unable to get local issuer" },
	{ "ca.crt", "", VERIFY_CA, DB, "by-false-ca.crt", 48, "unable to get local issuer" },
	{ "ca.crt", "", VERIFY_CA, DB, "by-leaf.crt", 48, "unable to get local issuer" },
	{ "ca.crt", "", VERIFY_CA, DB, "self.crt", 48, "unable to get local issuer" },
	{ "ca.crt", "", VERIFY_CA, DB, "", 42, "no certificate was sent" },
	{ "ca.crt", "", VERIFY_CA, DB, "expired.crt", 45, "has expired or is not yet valid" },
	{ "ca.crt", "", VERIFY_CA, DB, "early.crt", 45, "has expired or is not yet valid" },
	{ "ca.crt", "", VERIFY_CA, DB, "rsa1024-leaf.crt", 42, "the key is too small" },
	{ "ca.crt", "", VERIFY_CA, DB, "critical.crt", 43, "unhandled critical extension" },
	{ "ca.crt", "", VERIFY_CA, DB, "signs-only.crt", 43, "unsupported certificate purpose" },
	{ "ca.crt", "", VERIFY_CA, DB, "ed25519.crt", 43, "not supported" },
	{ "ca.crt", "", VERIFY_CA, DB, "rsa2048.der", 42, "" "well-formed" },
	{ "ca.crt", "", VERIFY_CA, DB, "sha512.crt", 0, "" },
	{ "ca.crt", "", VERIFY_CA, DB, "p384-leaf.crt", 0, "" },
	{ "ca.crt", "", VERIFY_CA, DB, "p521-leaf.crt", 0, "" },
	{ "ca.crt", "", VERIFY_CA, DB, "rsa4096-leaf.crt", 0, "" },
	{ "rsa-ca.crt", "", VERIFY_CA, DB, "by-rsa.crt", 0, "" },
	{ "rsa-ca.crt", "", VERIFY_CA, DB, "sha1.crt", 43, "not supported" },
	{ "p384-ca.crt", "", VERIFY_CA, DB, "by-p384.crt", 0, "" },
	{ "bundle.crt", "", VERIFY_CA, DB, "by-rsa.crt", 0, "" },
	/* anchors */
	{ "old-ca.crt", "", VERIFY_CA, DB, "by-old.crt", 45, "has expired" },
	{ "v1-ca.crt", "", VERIFY_CA, DB, "by-v1.crt", 0, "" },
	{ "usage-ca.crt", "", VERIFY_CA, DB, "by-usage.crt", 0, "" },
	{ "no-usage-ca.crt", "", VERIFY_CA, DB, "by-no-usage.crt", 48, "invalid CA certificate" },
	{ "plain-ca.crt", "", VERIFY_CA, DB, "by-plain.crt", 48, "invalid CA certificate" },
	{ "plain-ca.crt", "", VERIFY_CA, DB, "plain-ca.crt", 0, "" },
	{ "self.crt", "", VERIFY_CA, DB, "self.crt", 0, "" },
	{ "self.crt", "", VERIFY_FULL, DB, "self.crt", 0, "" },
	{ "self-ca.crt", "", VERIFY_FULL, DB, "self-ca.crt", 0, "" },
	{ "self-ca.crt", "", VERIFY_CA, DB, "self.crt", 48, "unable to get local issuer" },
	{ "self.crt", "", VERIFY_CA, DB, "mallory.crt", 48, "unable to get local issuer" },
	{ "leaf.crt", "", VERIFY_CA, DB, "leaf.crt", 48, "unable to get local issuer" },
	{ "middle.crt", "", VERIFY_CA, DB, "by-middle.crt", 48, "unable to get local issuer" },
	/* names */
	{ "ca.crt", "", VERIFY_FULL, DB, "leaf.crt", 0, "" },
	{ "ca.crt", "", VERIFY_FULL, "DB.Example.COM", "leaf.crt", 0, "" },
	{ "ca.crt", "", VERIFY_FULL, "other.example.com", "leaf.crt", 42, "not for this host" },
	{ "ca.crt", "", VERIFY_FULL, DB, "alt.crt", 0, "" },
	{ "ca.crt", "", VERIFY_FULL, "whatever", "alt.crt", 42, "not for this host" },
	{ "ca.crt", "", VERIFY_FULL, DB, "wildcard.crt", 0, "" },
	{ "ca.crt", "", VERIFY_FULL, "example.com", "wildcard.crt", 42, "not for this host" },
	{ "ca.crt", "", VERIFY_FULL, "a.b.example.com", "wildcard.crt", 42, "not for this host" },
	{ "ca.crt", "", VERIFY_FULL, DB, "no-name.crt", 42, "not for this host" },
	{ "ca.crt", "", VERIFY_CA, DB, "no-name.crt", 0, "" },
	{ "ca.crt", "", VERIFY_FULL, "127.0.0.1", "alt.crt", 0, "" },
	{ "ca.crt", "", VERIFY_FULL, "::1", "alt.crt", 0, "" },
	{ "ca.crt", "", VERIFY_FULL, "0:0::1", "alt.crt", 0, "" },
	{ "ca.crt", "", VERIFY_FULL, "127.0.0.2", "alt.crt", 42, "not for this host" },
	{ "ca.crt", "", VERIFY_FULL, "::2", "alt.crt", 42, "not for this host" },
	{ "ca.crt", "", VERIFY_FULL, "127.0.0.1", "dns-address.crt", 0, "" },
	{ "ca.crt", "", VERIFY_FULL, "127.0.0.1", "cn-address.crt", 0, "" },
	{ "ca.crt", "", VERIFY_FULL, "127.0.0.1", "cn-wild-address.crt", 42, "not for this host" },
	{ "ca.crt", "", VERIFY_FULL, "127.0.0.1", "alt-cn-address.crt", 42, "not for this host" },
	{ "ca.crt", "", VERIFY_FULL, "127.0.0.1", "leaf.crt", 42, "not for this host" },
	{ "ca.crt", "", VERIFY_FULL, DB, "by-stranger.crt", 48, "unable to get local issuer" },
	/* only encryption: any certificate whose key can be used */
	{ "ca.crt", "", REQUIRE, DB, "leaf.crt", 0, "" },
	{ "ca.crt", "", REQUIRE, DB, "by-stranger.crt", 0, "" },
	{ "ca.crt", "", REQUIRE, DB, "expired.crt", 0, "" },
	{ "ca.crt", "", REQUIRE, DB, "critical.crt", 0, "" },
	{ "ca.crt", "", REQUIRE, DB, "sha1.crt", 0, "" },
	{ "ca.crt", "", REQUIRE, DB, "pss-signed.crt", 0, "" },
	{ "ca.crt", "", REQUIRE, DB, "year-1950.crt", 0, "" },
	{ "ca.crt", "ca.crl", REQUIRE, DB, "revoked.crt", 0, "" },
	{ "ca.crt", "", REQUIRE, DB, "chain-extra.crt", 0, "" },
	{ "ca.crt", "", REQUIRE, DB, "ed25519.crt", 43, "not supported" },
	{ "ca.crt", "", REQUIRE, DB, "rsa2048.der", 42, "well-formed" },
	{ "ca.crt", "", REQUIRE, DB, "", 42, "no certificate was sent" },
	/* clients */
	{ "ca.crt", "", CLIENT, "", "", 0, "" },
	{ "ca.crt", "", CLIENT, "", "alice.crt", 0, "" },
	{ "ca.crt", "", CLIENT, "", "mallory.crt", 48, "unable to get local issuer" },
	{ "ca.crt", "", CLIENT, "", "expired.crt", 45, "has expired" },
	{ "ca.crt", "ca.crl", CLIENT, "", "", 0, "" },
	/* lists */
	{ "ca.crt", "ca.crl", CLIENT, "", "alice.crt", 0, "" },
	{ "ca.crt", "ca.crl", CLIENT, "", "revoked.crt", 44, "certificate revoked" },
	{ "ca.crt", "ca-sha512.crl", CLIENT, "", "revoked.crt", 44, "certificate revoked" },
	{ "ca.crt", "ca-empty.crl", CLIENT, "", "revoked.crt", 0, "" },
	{ "ca.crt", "ca.crl", VERIFY_CA, DB, "revoked.crt", 44, "certificate revoked" },
	{ "ca.crt", "ca.crl", VERIFY_FULL, DB, "leaf.crt", 0, "" },
	{ "ca.crt", "twice.crl", CLIENT, "", "leaf.crt", 44, "certificate revoked" },
	{ "ca.crt", "twice.crl", CLIENT, "", "revoked.crt", 0, "" },
	{ "ca.crt", "expired.crl", CLIENT, "", "alice.crt", 45, "CRL has expired" },
	{ "ca.crt", "early.crl", CLIENT, "", "alice.crt", 42, "CRL is not yet valid" },
	{ "ca.crt", "ca.crl", VERIFY_CA, DB, "chain.crt", 48, "unable to get certificate CRL" },
	{ "all.crt", "all.crl", VERIFY_CA, DB, "chain.crt", 0, "" },
	{ "all.crt", "all.crl", VERIFY_CA, DB, "by-middle.crt", 0, "" },
	{ "all.crt", "all.crl", CLIENT, "", "alice-by-middle.crt", 0, "" },
	{ "all.crt", "all.crl", VERIFY_CA, DB, "by-lost.crt", 44, "certificate revoked" },
	{ "all.crt", "all.crl", VERIFY_CA, DB, "by-rsa.crt", 48, "unable to get certificate CRL" },
	{ "all.crt", "all.crl", VERIFY_CA, DB, "chain-extra.crt", 0, "" },
	{ "ca.crt", "ca.crl", CLIENT, "", "mallory.crt", 48, "unable to get local issuer" },
};

static void test_names(void)
{
	static const struct { const char *shown, *name; size_t end_point; } names[] = {
		{ "alice.crt", "alice", 32 }, { "no-name.crt", NULL, 32 }, { "mallory.crt", NULL, 32 },
		{ "", NULL, 0 }, { "sha512.crt", DB, 64 }, { "rsa2048.der", NULL, 0 },
	};
	struct tls_context *x = load("ca.crt", "");

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct tls_peer *p = tls_peer_client(x);
		uint8_t hash[64];

		say(!tls_peer_common_name(p) && !tls_peer_end_point(p, hash), "nothing is known yet");
		show(p, names[i].shown, 100);
		const char *name = tls_peer_common_name(p);
		say(!name == !names[i].name && (!name || !strcmp(name, names[i].name)),
			"the name of %s is %s", names[i].shown, name ? name : "none");
		say(tls_peer_end_point(p, hash) == names[i].end_point, "its end point");
		tls_peer_free(p);
	}
	tls_context_drop(x);
	tls_peer_free(NULL);
}

/* A name that ends before a NUL would be somebody else's. */
static void test_nul_in_name(void)
{
	static const uint8_t subject[] = { 0x30, 0x10, 0x31, 0x0e, 0x30, 0x0c, 0x06, 0x03, 0x55, 0x04,
		0x03, 0x0c, 0x05, 'b', 'o', 'b', 0, 'x' };
	struct x509 c = { .subject = { subject, sizeof subject } };
	char name[20];

	say(!x509_common_name(&c, name, sizeof name), "a NUL in a name");
	c.subject.n = 5;
	say(!x509_common_name(&c, name, sizeof name), "a name that is cut");
}

/* Certificates that announce more than is good, or nothing. */
static void test_lengths(void)
{
	static const uint8_t block[70000];
	struct tls_context *x = load("ca.crt", "ca.crl");
	const size_t lengths[] = { 0, 1, 65536, 65537, sizeof block };

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
		for (int check = TLS_CHECK_NOTHING; check <= TLS_CHECK_HOST; check++) {
			struct tls_peer *p = tls_peer_node(x, (enum tls_check)check, DB);
			const br_x509_class **c = tls_peer_class(p);

			(*c)->start_chain(c, NULL);
			show_one(c, (struct bytes){ block, lengths[i] }, 1000);
			show_one(c, (struct bytes){ block, lengths[i] }, 1000);
			say((*c)->end_chain(c) && tls_peer_alert(p) == 42, "%zu bytes: %s", lengths[i],
				tls_peer_error(p));
			tls_peer_free(p);
		}
	tls_context_drop(x);
}

/* Every byte of a chain changed: nothing but good certificates is good. */
static void test_damage(void)
{
	struct tls_context *x = load("all.crt", "all.crl");
	struct pem_file f;
	struct pem o;
	int good = 0;

	if (!pem_open(&f, "test/tls/by-middle.crt") || !pem_next(&f, &o))
		return;
	uint8_t *bytes = (uint8_t *)(uintptr_t)o.der.at;
	for (size_t i = 0; i < o.der.n; i++)
		for (int check = TLS_CHECK_NOTHING; check <= TLS_CHECK_HOST; check++) {
			struct tls_peer *p = tls_peer_node(x, (enum tls_check)check, DB);
			const br_x509_class **c = tls_peer_class(p);

			bytes[i] ^= 0x21;
			(*c)->start_chain(c, NULL);
			show_one(c, o.der, 64);
			good += !(*c)->end_chain(c) && check != TLS_CHECK_NOTHING;
			(*c)->get_pkey(c, NULL);
			bytes[i] ^= 0x21;
			tls_peer_free(p);
		}
	say(good == 0, "no damaged certificate verifies (%d)", good);
	pem_close(&f);
	tls_context_drop(x);
}

int main(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		judge(&cases[i]);
	test_names();
	test_nul_in_name();
	test_lengths();
	test_damage();
	return done();
}
