/* tls_cert_test.c - keys, certificates and lists from files into a context.  What stands in test/tls
 * was made by make_certificates.py. */
#include "tls/cert.h"

#include "tls/pbes2.h"
#include "tls/crl.h"
#include "tls/key.h"
#include "tls/pass.h"
#include "tls/pem.h"
#include "tls/self.h"

#include "t.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- memory that ends, by the linker's hand --- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);

static long allocations = -1;                   /* so many more succeed; -1: all */

static bool is_out(void)
{
	if (allocations > 0)
		allocations--;
	else if (allocations == 0)
		return true;
	return false;
}

void *__wrap_malloc(size_t n)
{
	return is_out() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t m)
{
	return is_out() ? NULL : __real_calloc(n, m);
}

void *__wrap_realloc(void *p, size_t n)
{
	return is_out() ? NULL : __real_realloc(p, n);
}

/* The engine is not asked here. */
struct tls_engine *tls_engine_new(const struct tls_context *x)
{
	(void)x;
	return malloc(1);
}

void tls_engine_free(struct tls_engine *e)
{
	free(e);
}

/* --- what is told --- */

static char fatal[1000], warnings[4000], remarks[1000];

static void tell(void *ctx, enum level severity, const char *text)
{
	char *to = severity == LEVEL_FATAL ? fatal : severity == LEVEL_WARNING ? warnings : remarks;
	size_t size = to == warnings ? sizeof warnings : sizeof fatal, n = strlen(to);

	(void)ctx;
	snprintf(to + n, size - n, "%s | ", text);
}

static struct tls_files files(void)
{
	fatal[0] = warnings[0] = remarks[0] = '\0';
	return (struct tls_files){ .cert = "", .key = "", .ca = "", .ca_dir = "", .crl = "",
		.passphrase_command = "", .ciphers = "HIGH:MEDIUM:+3DES:!aNULL",
		.curve = "X25519:prime256v1", .host = "" };
}

static struct tls_context *load(struct tls_files f)
{
	return tls_context_load(&f, tell, NULL);
}

static char *path(char out[static 100], const char *name)
{
	snprintf(out, 100, "test/tls/%s", name);
	return out;
}

/* --- DER --- */

static bool reads(const char *bytes, size_t n)
{
	bool bad = false;
	struct der d = der_read((struct bytes){ (const uint8_t *)bytes, n }, &bad);

	der_any(&d);
	der_end(&d);
	return !bad;
}

static int64_t seconds(const char *text, int tag)
{
	uint8_t bytes[40] = { (uint8_t)tag, (uint8_t)strlen(text) };
	bool bad = false;
	struct der d = der_read((struct bytes){ bytes, 2 + strlen(text) }, &bad);

	memcpy(bytes + 2, text, strlen(text));
	int64_t t = der_time(&d);
	return bad ? -999 : t;
}

static void test_der(void)
{
	say(reads("\x02\x01\x05", 3) && reads("\x30\x00", 2), "elements");
	say(!reads("", 0) && !reads("\x02", 1) && !reads("\x02\x02\x05", 3), "short ones are not");
	say(!reads("\x02\x81\x01\x05", 4) && !reads("\x02\x82\x00\x01\x05", 5),
		"lengths that could be shorter");
	say(!reads("\x30\x80\x00\x00", 4) && !reads("\x1f\x01\x00", 3), "no end, long tags");
	say(!reads("\x02\x84\xff\xff\xff\xff\x05", 7) && !reads("\x02\x85\x01\x01\x01\x01\x01", 7),
		"enormous lengths");
	say(!reads("\x02\x01\x05\x00", 4), "something behind it");
	say(seconds("700101000000Z", DER_UTC_TIME) == 0, "1970");
	say(seconds("20000229123456Z", DER_TIME) == 951827696, "a leap day");
	say(seconds("491231235959Z", DER_UTC_TIME) == 2524607999, "2049 is the last short year");
	say(seconds("500101000000Z", DER_UTC_TIME) == -631152000, "1950 the first");
	say(seconds("99991231235959Z", DER_TIME) == 253402300799, "the end of time");
	static const char *const wrong[] = { "", "7001010000Z", "700101000000+0100", "7001010000xxZ",
		"701301000000Z", "700100000000Z", "700101250000Z" };
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		say(seconds(wrong[i], DER_UTC_TIME) == -999, "no time: \"%s\"", wrong[i]);
}

/* --- PEM --- */

static int objects(const char *text, char *why, size_t size)
{
	struct pem_file f = { .n = 0 };
	size_t n = strlen(text);
	char *own = malloc(n + 1);
	struct pem o;
	int count = 0;

	memcpy(own, text, n);
	if (pem_take(&f, own, n))
		while (pem_next(&f, &o))
			count += o.der.n == 3 && !memcmp(o.der.at, "abc", 3) ? 1 : 100;
	snprintf(why, size, "%s", f.why);
	pem_close(&f);
	return count;
}

static void test_pem(void)
{
	static const struct { const char *text; int count; const char *why; } cases[] = {
		{ "-----BEGIN X-----\nYWJj\n-----END X-----\n", 1, "" },
		{ "-----BEGIN X-----\nYWJj\n-----END X-----", 1, "" },
		{ "-----BEGIN X-----\r\nYWJj\r\n-----END X-----\r\n", 1, "" },
		{ "text\n-----BEGIN X-----\nYW\nJj  \n\n-----END X-----\nmore\n", 1, "" },
		{ "-----BEGIN X-----\nYWJj\n-----END X-----\n-----BEGIN Y-----\nYWJj\n-----END Y-----",
			2, "" },
		{ "-----BEGIN X-----\nA: b\n\nYWJj\n-----END X-----", 1, "" },
		{ "nothing\n", 0, "" },
		{ "", 0, "it is empty" },
		{ "-----BEGIN X-----\nYWJj\n", 0, "no end" },
		{ "-----BEGIN X-----\nYWJj\n-----END Y-----\n", 0, "no end" },
		{ "-----BEGIN X-----\nYW*j\n-----END X-----\n", 0, "not base64" },
		{ "-----BEGIN X-----\n-----END X-----\n", 0, "not base64" },
		{ "-----BEGIN X-----\nYWJj\n-----END X-----\n-----BEGIN Y-----\nYWJj\n", 1, "no end" },
		{ "-----BEGIN -----", 0, "no end" }, { "-----BEGIN ----", 0, "" },
	};
	char why[200];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int n = objects(cases[i].text, why, sizeof why);

		say(n == cases[i].count && strstr(why, cases[i].why) && !*why == !*cases[i].why,
			"PEM %zu: %d %s", i, n, why);
	}
}

/* --- keys --- */

static bool load_key(struct tls_key *k, const char *name, const char *command,
	char why[static TLS_KEY_WHY])
{
	char file[100];

	*why = '\0';
	return tls_key_load(k, path(file, name), command, why);
}

static bool belongs(const struct tls_key *k, const char *certificate)
{
	struct pem_file f;
	struct pem o;
	struct x509 c;
	char file[100];

	bool good = pem_open(&f, path(file, certificate)) && pem_next(&f, &o)
		&& !x509_read(&c, o.der) && tls_key_fits(k, &c);
	pem_close(&f);
	return good;
}

static void test_keys(void)
{
	static const struct { const char *file, *command; int type; unsigned bits;
		const char *certificate; } good[] = {
		{ "rsa2048.key", "", BR_KEYTYPE_RSA, 2048, "rsa2048-leaf.crt" },
		{ "rsa2048-pkcs1.key", "", BR_KEYTYPE_RSA, 2048, "rsa2048-leaf.crt" },
		{ "rsa2048.der", "", BR_KEYTYPE_RSA, 2048, "rsa2048-leaf.crt" },
		{ "rsa4096.key", "", BR_KEYTYPE_RSA, 4096, "rsa4096-leaf.crt" },
		{ "p256.key", "", BR_KEYTYPE_EC, 256, "p256-leaf.crt" },
		{ "p256-sec1.key", "", BR_KEYTYPE_EC, 256, "p256-leaf.crt" },
		{ "p256-sec1.der", "", BR_KEYTYPE_EC, 256, "p256-leaf.crt" },
		{ "p256-parameters.key", "", BR_KEYTYPE_EC, 256, "p256-leaf.crt" },
		{ "p256-crlf.key", "", BR_KEYTYPE_EC, 256, "p256-leaf.crt" },
		{ "p256-no-newline.key", "", BR_KEYTYPE_EC, 256, "p256-leaf.crt" },
		{ "p384.key", "", BR_KEYTYPE_EC, 384, "p384-leaf.crt" },
		{ "p521.key", "", BR_KEYTYPE_EC, 521, "p521-leaf.crt" },
		{ "p256-sha256.key", "echo secret", BR_KEYTYPE_EC, 256, "p256-leaf.crt" },
		{ "p256-sha1.key", "printf 'secret\\r\\nmore\\n'", BR_KEYTYPE_EC, 256, "p256-leaf.crt" },
		{ "rsa2048-sha256.key", "printf secret", BR_KEYTYPE_RSA, 2048, "rsa2048-leaf.crt" },
	};
	char why[TLS_KEY_WHY];
	struct tls_key k;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		bool loaded = load_key(&k, good[i].file, good[i].command, why);

		say(loaded && k.type == good[i].type && k.bits == good[i].bits, "%s %s", good[i].file,
			why);
		say(loaded && belongs(&k, good[i].certificate), "it belongs to %s",
			good[i].certificate);
		say(loaded && !belongs(&k, "leaf.crt") && !belongs(&k, "rsa1024-leaf.crt"),
			"and not to others");
		if (loaded)
			tls_key_free(&k);
	}
}

static void test_bad_keys(void)
{
	static const struct { const char *file, *command, *why; } bad[] = {
		{ "none.key", "", "could not load private key file \"test/tls/none.key\": No such" },
		{ "leaf.crt", "", "there is no private key in it" },
		{ "", "", "it is not a regular file" },
		{ "damaged.key", "", "not base64" }, { "cut.key", "", "no end" },
		{ "rsa1024.key", "", "too small: 1024 bits" },
		{ "rsa5120.key", "", "too large: 5120 bits" },
		{ "rsa-primes.key", "", "RSA of more than two primes" },
		{ "ed25519.key", "", "cannot be used: Ed25519" },
		{ "ed448.key", "", "cannot be used: Ed448" },
		{ "pss.key", "", "cannot be used: RSA-PSS" },
		{ "secp256k1.key", "", "cannot be used: secp256k1" },
		{ "explicit.key", "", "an elliptic curve without a name" },
		{ "explicit-pkcs8.key", "", "an elliptic curve without a name" },
		{ "p256-traditional.key", "echo secret", "convert it with \"openssl pkcs8 -topk8" },
		{ "p256-sha256.key", "", "private key file \"test/tls/p256-sha256.key\" cannot be reloaded "
			"because it requires a passphrase" },
		{ "p256-sha256.key", "echo wrong", "bad decrypt" },
		{ "p256-sha256.key", "true", "bad decrypt" },
		{ "p256-sha256.key", "exit 3", "ssl_passphrase_command failed (exit status 3)" },
		{ "p256-sha256.key", "kill -9 $$", "failed (exit status 137)" },
		{ "p256-sha512.key", "echo secret", "a way that is not known here" },
		{ "p256-3des.key", "echo secret", "a way that is not known here" },
		{ "p256-scrypt.key", "echo secret", "a way that is not known here" },
	};
	char why[TLS_KEY_WHY];
	struct tls_key k;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		say(!load_key(&k, bad[i].file, bad[i].command, why) && strstr(why, bad[i].why),
			"%s %s: %s", bad[i].file, bad[i].command, why);
}

/* Every key cut short and with every byte changed: never read past its end. */
static void test_damaged_keys(void)
{
	static const char *const names[] = { "rsa2048.der", "p256-sec1.der" };
	char file[100], why[TLS_KEY_WHY];
	struct pem_file f;
	struct pem o;
	struct tls_key k;

	for (size_t i = 0; i < 2; i++) {
		int taken = 0;

		if (!pem_open(&f, path(file, names[i])) || !pem_next(&f, &o))
			return;
		for (size_t n = 0; n < o.der.n; n++) {
			uint8_t *cut = malloc(n + 1);

			memcpy(cut, o.der.at, n);
			taken += tls_key_read(&k, (struct bytes){ cut, n }, NULL, why) == TLS_KEY_GOOD;
			free(cut);
		}
		say(taken == 0, "no part of %s is a key", names[i]);
		uint8_t *changed = malloc(o.der.n);
		for (size_t n = 0; n < o.der.n; n++) {
			memcpy(changed, o.der.at, o.der.n);
			changed[n] ^= 0x55;
			if (tls_key_read(&k, (struct bytes){ changed, o.der.n }, "x", why) == TLS_KEY_GOOD)
				tls_key_free(&k);
		}
		free(changed);
		pem_close(&f);
	}
}

static void test_passphrases(void)
{
	char out[TLS_PASS_MAX], why[200] = "";

	say(tls_pass_ask(out, "echo 'a %p b'", "/k", why, sizeof why)
		&& !strcmp(out, "a Enter PEM pass phrase for \"/k\": b"), "the prompt: %s %s", out, why);
	say(tls_pass_ask(out, "echo 100%%", "/k", why, sizeof why) && !strcmp(out, "100%"),
		"percents: %s", out);
	say(tls_pass_ask(out, "yes 0123456789 | head -c 100000", "/k", why, sizeof why)
		&& !strcmp(out, "0123456789"), "more than one line");
	say(tls_pass_ask(out, "head -c 5000 /dev/zero | tr '\\0' x", "/k", why, sizeof why)
		&& strlen(out) == TLS_PASS_MAX - 1, "a long one is cut");
	signal(SIGCHLD, SIG_IGN);
	say(!tls_pass_ask(out, "exit 5", "/k", why, sizeof why) && strstr(why, "(exit status 5)"),
		"the status is seen although children are ignored: %s", why);
	say(signal(SIGCHLD, SIG_DFL) == SIG_IGN, "and they are ignored again");
	sigset_t set, before;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &before);
	say(!tls_pass_ask(out, "kill -15 $$", "/k", why, sizeof why) && strstr(why, "143"),
		"what we block reaches the command: %s", why);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* --- the certificate that is made --- */

static void test_self_made(void)
{
	struct tls_files f = files();
	char long_name[301];
	struct x509 c;
	char name[100];

	f.host = "proxy.example.com";
	struct tls_context *x = load(f);
	say(x && x->self_made && x->chain_len == 1 && x->key_type == BR_KEYTYPE_EC
		&& x->issuer_key_type == BR_KEYTYPE_EC && x->end_point_len == 32, "it is made %s", fatal);
	say(strstr(remarks, "self-signed certificate for \"proxy.example.com\", SHA-256 fingerprint ")
		&& !*warnings, "and told: %s", remarks);
	if (!x)
		return;
	struct bytes der = { x->chain[0].data, x->chain[0].data_len };
	const char *why = x509_read(&c, der);
	say(!why && x509_is_self_issued(&c) && c.begins < time(NULL)
		&& c.ends > time(NULL) + 1500 * 86400L, "it can be read %s", why ? why : "");
	say(x509_common_name(&c, name, sizeof name) && !strcmp(name, "proxy.example.com")
		&& c.has_alt_names && memmem(c.alt_names.at, c.alt_names.n, "proxy.example.com", 17),
		"it has the name");
	say(tls_key_fits(&(struct tls_key){ .type = x->key_type, .bits = 256, .key.ec = x->key.ec }, &c),
		"and the key");

	f = files();
	f.host = "other";
	f.old = x;
	struct tls_context *next = load(f);
	say(next && next->self_made && next->chain[0].data_len == der.n
		&& !memcmp(next->chain[0].data, der.at, der.n) && !*remarks
		&& !memcmp(next->key_bytes, x->key_bytes, x->key_len)
		&& next->key_bytes != x->key_bytes, "a reload keeps it");
	tls_context_drop(x);
	tls_context_drop(next);

	memset(long_name, 'x', 300);
	long_name[300] = '\0';
	f = files();
	f.host = long_name;
	x = load(f);
	say(x && !x509_read(&c, (struct bytes){ x->chain[0].data, x->chain[0].data_len })
		&& x509_common_name(&c, name, sizeof name) && !strcmp(name, "pgpool"), "a long name");
	tls_context_drop(x);
	x = load(files());
	say(x && !x->chain_len && !x->self_made && !x->end_point_len && x->suites == 6,
		"without a host there is none");
	tls_context_drop(tls_context_hold(x));
	say(x->holders == 1, "who holds it keeps it");
	tls_context_drop(x);
	tls_context_drop(NULL);
}

/* --- our certificate --- */

static struct tls_context *load_pair(const char *cert, const char *key)
{
	static char names[2][100];
	struct tls_files f = files();

	f.cert = *cert ? path(names[0], cert) : "";
	f.key = *key ? path(names[1], key) : "";
	f.host = "localhost";
	return load(f);
}

static void test_identity(void)
{
	static const struct { const char *cert, *key; size_t links; int issuer; size_t end_point;
		const char *warning; } good[] = {
		{ "leaf.crt", "leaf.key", 1, BR_KEYTYPE_EC, 32, "" },
		{ "leaf.der", "leaf.key", 1, BR_KEYTYPE_EC, 32, "" },
		{ "chain.crt", "leaf.key", 2, BR_KEYTYPE_EC, 32, "" },
		{ "by-rsa.crt", "leaf.key", 1, BR_KEYTYPE_RSA, 32, "" },
		{ "by-p384.crt", "leaf.key", 1, BR_KEYTYPE_EC, 48, "" },
		{ "sha512.crt", "leaf.key", 1, BR_KEYTYPE_EC, 64, "" },
		{ "sha1.crt", "leaf.key", 1, BR_KEYTYPE_RSA, 32, "" },
		{ "rsa2048-leaf.crt", "rsa2048.key", 1, BR_KEYTYPE_EC, 32, "" },
		{ "rsa4096-leaf.crt", "rsa4096.key", 1, BR_KEYTYPE_EC, 32, "has 4096 bits: a handshake" },
		{ "pss-signed.crt", "rsa2048.key", 1, 0, 48, "" },
		{ "by-ed25519.crt", "leaf.key", 1, 0, 0, "" },
		{ "expired.crt", "leaf.key", 1, BR_KEYTYPE_EC, 32, "\"db.example.com\" of file "
			"\"test/tls/expired.crt\" has expired" },
		{ "early.crt", "leaf.key", 1, BR_KEYTYPE_EC, 32, "is not yet valid" },
		{ "unordered.crt", "leaf.key", 2, BR_KEYTYPE_EC, 32, "the previous one's issuer" },
	};
	static const struct { const char *cert, *key, *why; } bad[] = {
		{ "leaf.crt", "", "ssl_cert is set, but ssl_key is not" },
		{ "", "leaf.key", "ssl_key is set, but ssl_cert is not" },
		{ "none.crt", "leaf.key", "could not load certificate file \"test/tls/none.crt\": No such" },
		{ "leaf.key", "leaf.key", "there is no certificate in it" },
		{ "rsa2048.der", "leaf.key", "it is not a well-formed certificate" },
		{ "leaf.crt", "p256.key", "\"test/tls/p256.key\" does not belong to certificate file" },
		{ "leaf.crt", "rsa2048.key", "does not belong" },
		{ "rsa4096-leaf.crt", "rsa2048.key", "does not belong" },
		{ "leaf.crt", "ed25519.key", "cannot be used: Ed25519" },
		{ "ed25519.crt", "ed25519.key", "keys of this kind cannot be used: Ed25519" },
		{ "pss.crt", "pss.key", "keys of this kind cannot be used: RSA-PSS" },
		{ "secp256k1.crt", "secp256k1.key", "keys of this kind cannot be used: secp256k1" },
		{ "damaged.key", "leaf.key", "not base64" },
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct tls_context *x = load_pair(good[i].cert, good[i].key);

		say(x && x->chain_len == good[i].links && x->issuer_key_type == good[i].issuer
			&& x->end_point_len == good[i].end_point && !x->self_made && !*remarks,
			"%s with %s: %s", good[i].cert, good[i].key, fatal);
		say(strstr(warnings, good[i].warning) && !*warnings == !*good[i].warning,
			"warned: \"%s\"", warnings);
		tls_context_drop(x);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct tls_context *x = load_pair(bad[i].cert, bad[i].key);

		say(!x && strstr(fatal, bad[i].why) && !strchr(strchr(fatal, '|') + 1, '|'),
			"%s with %s: %s", bad[i].cert, bad[i].key, fatal);
		tls_context_drop(x);
	}
}

static void test_permissions(void)
{
	static const char copy[] = "build/tls_cert_test.key";

	if (system("cp test/tls/leaf.key build/tls_cert_test.key"))
		return;
	for (int open = 0; open < 2; open++) {
		struct tls_files f = files();

		chmod(copy, open ? 0640 : 0600);
		f.cert = "test/tls/leaf.crt";
		f.key = copy;
		struct tls_context *x = load(f);
		say(x && !strstr(warnings, "has group or world access") == !open, "mode %s: %s",
			open ? "0640" : "0600", warnings);
		tls_context_drop(x);
	}
	unlink(copy);
}

/* --- trust --- */

static struct tls_context *load_trusted(const char *ca, const char *dir, const char *crl)
{
	static char names[2][100];
	struct tls_files f = files();

	f.ca = *ca ? path(names[0], ca) : "";
	f.ca_dir = dir;
	f.crl = *crl ? path(names[1], crl) : "";
	return load(f);
}

static void test_trust(void)
{
	static const struct { const char *ca; size_t anchors; bool is_ca; const char *warning; } good[] = {
		{ "ca.crt", 1, true, "" }, { "rsa-ca.crt", 1, true, "" }, { "p384-ca.crt", 1, true, "" },
		{ "v1-ca.crt", 1, true, "" }, { "usage-ca.crt", 1, true, "" },
		{ "no-usage-ca.crt", 1, false, "" }, { "plain-ca.crt", 1, false, "" },
		{ "self.crt", 1, false, "" }, { "both.crt", 2, true, "" },
		{ "middle.crt", 1, true, "\"test CA in the middle\" is unusable: it is not self-signed" },
		{ "old-ca.crt", 1, true, "\"old CA\" of file \"test/tls/old-ca.crt\" has expired" },
		{ "bundle.crt", 2, true, "certificate \"ed25519\" is left out: keys of this kind cannot be "
			"used: Ed25519" },
	};
	static const struct { const char *ca, *dir, *why; } bad[] = {
		{ "none.crt", "", "could not load root certificate file \"test/tls/none.crt\": No such" },
		{ "leaf.key", "", "there is no usable certificate in it" },
		{ "ed25519.crt", "", "there is no usable certificate in it" },
		{ "cut.key", "", "no end" },
		{ "", "test/none", "could not open ssl_ca_cert_dir \"test/none\": No such" },
		{ "", "test/corpus", "there is no usable certificate in ssl_ca_cert_dir" },
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct tls_context *x = load_trusted(good[i].ca, "", "");

		say(x && x->anchors == good[i].anchors
			&& x->anchor[0].flags == (good[i].is_ca ? BR_X509_TA_CA : 0), "%s: %s",
			good[i].ca, fatal);
		say(strstr(warnings, good[i].warning) && !*warnings == !*good[i].warning, "warned: %s",
			warnings);
		tls_context_drop(x);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct tls_context *x = load_trusted(bad[i].ca, bad[i].dir, "");

		say(!x && strstr(fatal, bad[i].why), "%s%s: %s", bad[i].ca, bad[i].dir, fatal);
		tls_context_drop(x);
	}
	struct tls_context *x = load_trusted("ca.crt", "test/tls", "");
	say(x && x->anchors > 30, "a directory, in which there are other things as well: %s", fatal);
	say(strstr(warnings, "test/tls/cut.key\": a certificate is left out: an object in it has no end"),
		"what is damaged in it is told");
	tls_context_drop(x);
}

static void test_lists(void)
{
	static const struct { const char *ca, *crl; size_t lists; const char *warning; } good[] = {
		{ "ca.crt", "ca.crl", 1, "" }, { "ca.crt", "ca-empty.crl", 1, "" },
		{ "all.crt", "all.crl", 3, "" }, { "ca.crt", "twice.crl", 1, "" },
		{ "ca.crt", "ca-sha512.crl", 1, "" }, { "rsa-ca.crt", "rsa.crl", 1, "" },
		{ "ca.crt", "expired.crl", 1, "a list has expired" }, { "ca.crt", "early.crl", 1, "" },
	};
	static const struct { const char *ca, *crl, *why; } bad[] = {
		{ "ca.crt", "none.crl", "could not load certificate revocation list file "
			"\"test/tls/none.crl\": No such" },
		{ "ca.crt", "ca.crt", "there is no list in it" },
		{ "ca.crt", "leaf.der", "it is not a well-formed CRL" },
		{ "", "ca.crl", "it is not signed by a certificate of ssl_ca_cert" },
		{ "usage-ca.crt", "usage.crl", "it is not signed by a certificate of ssl_ca_cert" },
		{ "stranger.crt", "ca.crl", "it is not signed by a certificate of ssl_ca_cert" },
		{ "ca.crt", "stranger.crl", "it is not signed" }, { "ca.crt", "forged.crl", "it is not signed" },
		{ "ca.crt", "all.crl", "it is not signed" },
		{ "rsa-ca.crt", "sha1.crl", "its signature is not of a kind" },
		{ "ca.crt", "unknown.crl", "a critical extension that is not known" },
		{ "ca.crt", "entry-unknown.crl", "a critical extension that is not known" },
		{ "ca.crt", "delta.crl", "it is a delta CRL" },
		{ "ca.crt", "part.crl", "issuing distribution point" },
		{ "ca.crt", "indirect.crl", "it is an indirect CRL" },
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct tls_context *x = load_trusted(good[i].ca, "", good[i].crl);

		say(x && x->crls == good[i].lists && strstr(warnings, good[i].warning)
			&& !*warnings == !*good[i].warning, "%s: %s%s", good[i].crl, fatal, warnings);
		tls_context_drop(x);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct tls_context *x = load_trusted(bad[i].ca, "", bad[i].crl);

		say(!x && strstr(fatal, bad[i].why), "%s under %s: %s", bad[i].crl, bad[i].ca, fatal);
		tls_context_drop(x);
	}
}

/* --- what we speak --- */

enum { EC128 = 0xC02B, EC256 = 0xC02C, RSA128 = 0xC02F, RSA256 = 0xC030, RSACHA = 0xCCA8,
	ECCHA = 0xCCA9 };

static int told;

static void count(void *ctx, const char *text)
{
	(void)ctx;
	told += *text != '\0';
}

static void test_suites(void)
{
	static const struct { const char *text; int warned; uint16_t suites[7]; } cases[] = {
		{ "HIGH:MEDIUM:+3DES:!aNULL", 0, { EC128, RSA128, EC256, RSA256, ECCHA, RSACHA } },
		{ "DEFAULT", 0, { EC128, RSA128, EC256, RSA256, ECCHA, RSACHA } },
		{ "ALL:@STRENGTH", 0, { EC256, RSA256, ECCHA, RSACHA, EC128, RSA128 } },
		{ "AES256, AES128;CHACHA20", 0, { EC256, RSA256, EC128, RSA128, ECCHA, RSACHA } },
		{ "EECDH+AESGCM:EDH+AESGCM", 1, { EC128, RSA128, EC256, RSA256 } },
		{ "ECDHE+aRSA+CHACHA20", 0, { RSACHA } },
		{ "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256", 0, { RSA256, EC128 } },
		{ "ALL:!AES128:!aRSA", 0, { EC256, ECCHA } },
		{ "ALL:-AES:AES128", 0, { ECCHA, RSACHA, EC128, RSA128 } },
		{ "!AES256:ALL", 0, { EC128, RSA128, ECCHA, RSACHA } },
		{ "ALL:+AES", 0, { ECCHA, RSACHA, EC128, RSA128, EC256, RSA256 } },
		{ "HIGH:!3DES:!MD5:!RC4:!eNULL:!kRSA:!DES-CBC3-SHA:-DSS", 0,
			{ EC128, RSA128, EC256, RSA256, ECCHA, RSACHA } },
		{ "AES128-SHA:HIGH:nonsense:!nonsense:@SECLEVEL=2:DHE", 5,
			{ EC128, RSA128, EC256, RSA256, ECCHA, RSACHA } },
		{ "", 0, { 0 } }, { " : , ", 0, { 0 } }, { "3DES", 1, { 0 } }, { "ALL:!ECDHE", 0, { 0 } },
		{ "ECDSA+", 1, { 0 } }, { "ECDHE+ECDSA+AES", 0, { EC128, EC256 } }, { "!", 1, { 0 } }, { "+:-:!:HIGH", 3,
			{ EC128, RSA128, EC256, RSA256, ECCHA, RSACHA } },
	};
	bool has_aes = br_aes_x86ni_ctr_get_vtable() || br_aes_pwr8_ctr_get_vtable();

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint16_t got[TLS_SUITES];
		size_t n, wanted = 0;

		told = 0;
		n = tls_suites(cases[i].text, got, count, NULL);
		while (cases[i].suites[wanted])
			wanted++;
		bool same = n == wanted && (!has_aes || !memcmp(got, cases[i].suites, n * sizeof *got));
		say(same && told == cases[i].warned, "\"%s\": %zu suites, %d warnings", cases[i].text, n,
			told);
	}
}

static void test_curves(void)
{
	static const struct { const char *text; int warned; uint32_t curves; } cases[] = {
		{ "prime256v1", 0, 1 << 23 }, { "secp256r1", 0, 1 << 23 }, { "P-256", 0, 1 << 23 },
		{ "X25519", 0, 1 << 29 }, { "X25519:prime256v1", 0, 1 << 29 | 1 << 23 },
		{ "x25519, P-256", 0, 1 << 29 | 1 << 23 }, { "secp384r1:P-256", 1, 1 << 23 },
		{ "secp384r1", 1, 0 }, { "", 0, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		told = 0;
		say(tls_curves(cases[i].text, count, NULL) == cases[i].curves && told == cases[i].warned,
			"curves \"%s\"", cases[i].text);
	}
	struct tls_files f = files();
	f.ciphers = "3DES:RC4-MD5";
	say(!load(f) && strstr(fatal, "ssl_ciphers leaves nothing") && strstr(warnings, "\"3DES\"")
		&& strstr(warnings, "\"RC4-MD5\""), "nothing left is an error: %s", fatal);
	f = files();
	f.curve = "foo";
	say(!load(f) && strstr(fatal, "ssl_ecdh_curve leaves nothing"), "no curve neither: %s", fatal);
}

/* With the n-th allocation failing, for every n: an error, nothing leaked, nothing half made. */
static void test_memory(void)
{
	static struct tls_files cases[3];
	int failures = 0;

	cases[0] = cases[1] = files();
	cases[0].host = "localhost";
	cases[1].cert = "test/tls/chain.crt";
	cases[1].key = "test/tls/leaf.key";
	cases[1].ca = "test/tls/all.crt";
	cases[1].crl = "test/tls/all.crl";
	cases[2] = cases[1];
	cases[2].cert = "test/tls/p256-leaf.crt";
	cases[2].key = "test/tls/p256-sha256.key";
	cases[2].passphrase_command = "echo secret";
	for (int i = 0; i < 3; i++) {
		struct tls_context *x = NULL;
		long n = 0;

		while (!x) {
			files();
			allocations = n++;
			x = load(cases[i]);
			allocations = -1;
			failures += !x && !*fatal;
		}
		say(n > 3, "%ld allocations", n);
		tls_context_drop(x);
	}
	say(failures == 0, "each one that fails is told");
}

/* A checkout does not know that keys are nobody else's. */
int main(void)
{
	if (system("chmod 600 test/tls/*.key"))
		return 1;
	test_der();
	test_pem();
	test_keys();
	test_bad_keys();
	test_damaged_keys();
	test_passphrases();
	test_self_made();
	test_identity();
	test_permissions();
	test_trust();
	test_lists();
	test_suites();
	test_curves();
	test_memory();
	return done();
}
