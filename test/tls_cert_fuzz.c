/* The first byte says what the rest is taken for: a file, a key, a certificate, a list, the chain of a
 * peer (lengths of two bytes, certificates), a cipher string, or the names of a certificate and the
 * constraints of an authority (lengths of two bytes, parts). */
#include "tls/crl.h"
#include "tls/key.h"
#include "tls/chain.h"
#include "tls/pem.h"
#include "tls/x509_name.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tls_engine *tls_engine_new(const struct tls_context *x)
{
	(void)x;
	return malloc(1);
}

void tls_engine_free(struct tls_engine *e)
{
	free(e);
}

static void nobody(void *ctx, enum level severity, const char *text)
{
	(void)ctx;
	(void)severity;
	if (!strlen(text))
		abort();
}

static void warn(void *ctx, const char *text)
{
	nobody(ctx, LEVEL_WARNING, text);
}

/* Bytes of their own, so that reading past their end is seen. */
static uint8_t *own(const uint8_t *data, size_t n)
{
	uint8_t *p = malloc(n + 1);

	memcpy(p, data, n);
	p[n] = '\0';
	return p;
}

/* Whatever its numbers are, it can be asked to sign. */
static void sign(const struct tls_key *k)
{
	static uint8_t number[512] = { 0xc5, [511] = 0x35 }, exponent[] = { 3 };
	struct x509 c = { .key_bits = k->bits, .key.key_type = (unsigned char)k->type };

	if (k->type == BR_KEYTYPE_RSA)
		c.key.key.rsa = (br_rsa_public_key){ number, (k->bits + 7) / 8, exponent, 1 };
	else
		c.key.key.ec = (br_ec_public_key){ k->key.ec.curve, number, 65 };
	tls_key_fits(k, &c);
}

static void fuzz_key(struct bytes der)
{
	struct tls_key k;
	char why[TLS_KEY_WHY];
	enum tls_key_result r = tls_key_read(&k, der, NULL, why);

	if (r == TLS_KEY_LOCKED)
		r = tls_key_read(&k, der, "secret", why);
	if (r == TLS_KEY_BAD && !strlen(why))
		abort();
	if (r != TLS_KEY_GOOD)
		return;
	sign(&k);
	tls_key_free(&k);
}

static void fuzz_certificate(struct bytes der)
{
	struct x509 c;
	uint8_t hash[64];
	char name[64];
	const char *why = x509_read(&c, der);

	if (why)
		return;
	x509_common_name(&c, name, sizeof name);
	x509_has_address(&c, "127.0.0.1");
	x509_has_address(&c, "::1");
	x509_has_host(&c, "db.example.com");
	x509_limit(&c, &c, true);
	x509_is_self_signed(&c);
	x509_has_signed(&c, &c);
	x509_end_point(&c, hash);
	if (c.key.key_type && !c.key_bits)
		abort();
}

static void fuzz_list(struct bytes der)
{
	struct tls_crl c;

	if (!tls_crl_read(&c, der))
		tls_crl_has(&c, BYTES("\1\2\3"));
}

static void fuzz_file(struct bytes text)
{
	struct pem_file f = { .n = 0 };
	struct pem o;

	if (pem_take(&f, (char *)own(text.at, text.n), text.n))
		while (pem_next(&f, &o)) {
			fuzz_certificate(o.der);
			fuzz_list(o.der);
		}
	pem_close(&f);
}

static struct tls_context *context(void)
{
	return tls_context_load(&(struct tls_files){ .cert = "", .key = "",
		.ca = "test/tls/all.crt", .ca_dir = "", .crl = "test/tls/all.crl",
		.passphrase_command = "", .ciphers = "ALL", .curve = "X25519", .host = "" }, nobody,
		NULL);
}

/* What stands behind a length of two bytes. */
static struct bytes part(struct bytes *b)
{
	size_t n = b->n < 2 ? 0 : (size_t)b->at[0] << 8 | b->at[1];
	struct bytes rest = { b->at + (b->n < 2 ? b->n : 2), b->n < 2 ? 0 : b->n - 2 };

	n = n < rest.n ? n : rest.n;
	*b = (struct bytes){ rest.at + n, rest.n - n };
	return (struct bytes){ rest.at, n };
}

/* Names are the same from both sides. */
static void fuzz_names(struct bytes b)
{
	struct x509 authority = { .permitted = part(&b), .excluded = part(&b) };
	struct x509 c = { .subject = part(&b), .alt_names = part(&b), .issuer = b };

	if (x509_same_name(c.subject, c.issuer) != x509_same_name(c.issuer, c.subject))
		abort();
	x509_limit(&authority, &c, true);
	x509_limit(&authority, &c, false);
	x509_has_host(&c, "db.example.com");
}

static void show(struct tls_peer *p, struct bytes b)
{
	const br_x509_class **c = tls_peer_class(p);
	bool seen = false;

	(*c)->start_chain(c, NULL);
	while (b.n >= 2) {
		struct bytes one = part(&b);

		(*c)->start_cert(c, (uint32_t)one.n);
		if (one.n)
			(*c)->append(c, one.at, one.n);
		(*c)->end_cert(c);
		seen = true;
	}
	if (!(*c)->end_chain(c) != !tls_peer_error(p) && seen)
		abort();
	(*c)->get_pkey(c, NULL);
}

static void fuzz_chain(struct bytes b, int how)
{
	static struct tls_context *x;
	uint8_t hash[64];

	if (!x && !(x = context()))
		abort();
	struct tls_peer *p = how == 0 ? tls_peer_client(x)
		: tls_peer_node(x, (enum tls_check)(how - 1), how & 1 ? "127.0.0.1" : "db.example.com");
	show(p, b);
	tls_peer_common_name(p);
	tls_peer_end_point(p, hash);
	tls_peer_free(p);
}

static void fuzz_words(const char *text)
{
	uint16_t suites[TLS_SUITES];

	if (tls_suites(text, suites, warn, NULL) > TLS_SUITES)
		abort();
	tls_curves(text, warn, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	uint8_t *p = own(data + 1, size - 1);
	uint8_t *tight = malloc(size - 1 ? size - 1 : 1);
	struct bytes b = { memcpy(tight, p, size - 1), size - 1 };

	switch (*data % 10) {
	case 0: fuzz_file(b); break;
	case 1: fuzz_key(b); break;
	case 2: fuzz_certificate(b); break;
	case 3: fuzz_list(b); break;
	case 4: fuzz_words((char *)p); break;
	case 9: fuzz_names(b); break;
	default: fuzz_chain(b, *data % 10 - 5); break;
	}
	free(tight);
	free(p);
	return 0;
}
