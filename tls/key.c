#include "tls/key.h"

#include "tls/pbes2.h"
#include "tls/pass.h"
#include "tls/pem.h"
#include "wire.h"

#include <bearssl_ec.h>
#include <bearssl_rsa.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RSA_LEAST = 2048, RSA_MOST = 4096, SCALAR_MOST = 66 };

__attribute__((format(printf, 2, 3)))
static bool fail(char why[static TLS_KEY_WHY], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, TLS_KEY_WHY, fmt, args);
	va_end(args);
	return false;
}

/* --- kinds of keys ------------------------------------------------------- */

static bool unusable(char *why, const char *name)
{
	return fail(why, "keys of this kind cannot be used: %s; make one of RSA (2048 to 4096 "
		"bits) or ECDSA (P-256, P-384, P-521)", name);
}

static bool read_rsa(struct tls_key *k, struct der *in, long version, char *why)
{
	enum { E, D, P, Q, DP, DQ, IQ, PARTS };
	struct bytes n = der_positive(in), part[PARTS];

	for (int i = 0; i < PARTS; i++)
		part[i] = der_positive(in);
	if (version)
		return unusable(why, "RSA of more than two primes");
	if (*in->bad)
		return fail(why, "it is not a well-formed RSA key");
	k->bits = bytes_bits(n);
	if (k->bits < RSA_LEAST)
		return fail(why, "the RSA key is too small: %u bits, but 2048 are the minimum",
			k->bits);
	if (k->bits > RSA_MOST)
		return fail(why, "the RSA key is too large: %u bits, but 4096 are the maximum",
			k->bits);
	for (int i = P; i < PARTS; i++)
		if (part[i].n > (n.n + 1) / 2)
			return unusable(why, "RSA whose primes differ in length");
	k->type = BR_KEYTYPE_RSA;
	k->key.rsa = (br_rsa_private_key){ k->bits,
		(uint8_t *)part[P].at, part[P].n, (uint8_t *)part[Q].at, part[Q].n,
		(uint8_t *)part[DP].at, part[DP].n, (uint8_t *)part[DQ].at, part[DQ].n,
		(uint8_t *)part[IQ].at, part[IQ].n };
	return true;
}

/* The curve stands in front of the key or, of SEC 1 alone, in it. */
static bool read_ec(struct tls_key *k, struct der *in, struct x509_algorithm a, char *why)
{
	struct der secret = der_get(in, DER_OCTETS), parameters;
	struct bytes x = der_rest(&secret);

	if (der_maybe(in, DER_CONTEXT + DER_CONSTRUCTED + 0, &parameters) && !a.key_type)
		a = x509_curve(&parameters);
	if (*in->bad || !x.n || x.n > SCALAR_MOST)
		return fail(why, "it is not a well-formed EC key");
	if (!a.key_type)
		return unusable(why, a.name);
	k->bits = a.bits;
	k->type = BR_KEYTYPE_EC;
	k->key.ec = (br_ec_private_key){ a.curve, (uint8_t *)x.at, x.n };
	return true;
}

static bool read_pkcs8(struct tls_key *k, struct der *in, char *why)
{
	struct x509_algorithm a = x509_algorithm(in);
	struct der wrapped = der_get(in, DER_OCTETS);

	if (*in->bad)
		return fail(why, "it is not a well-formed key");
	if (!a.key_type)
		return unusable(why, a.name);
	struct der key = der_get(&wrapped, DER_SEQUENCE);
	long version = der_number(&key, 1);
	return a.key_type == BR_KEYTYPE_RSA ? read_rsa(k, &key, version, why)
		: read_ec(k, &key, a, why);
}

/* All three begin with a version; the next element tells them apart. */
static bool read_any(struct tls_key *k, struct bytes der, char *why)
{
	static const struct x509_algorithm unnamed = { .name = "an elliptic curve without a name" };
	bool bad = false;
	struct der all = der_read(der, &bad), in = der_get(&all, DER_SEQUENCE);
	long version = der_number(&in, 1);

	switch (der_tag(&in)) {
	case DER_SEQUENCE:
		return read_pkcs8(k, &in, why);
	case DER_INTEGER:
		return read_rsa(k, &in, version, why);
	case DER_OCTETS:
		return read_ec(k, &in, unnamed, why);
	default:
		return fail(why, "it is not a private key");
	}
}

enum tls_key_result tls_key_read(struct tls_key *k, struct bytes der, const char *passphrase,
	char why[static TLS_KEY_WHY])
{
	struct bytes plain = der;
	const char *problem = NULL;

	*k = (struct tls_key){ 0 };
	if (pbes2_is(der)) {
		if (!passphrase)
			return TLS_KEY_LOCKED;
		problem = pbes2_open((uint8_t *)der.at, der.n, passphrase, &plain);
	}
	if (problem)
		return (enum tls_key_result)fail(why, "%s", problem);
	k->bytes = malloc(plain.n);
	if (!k->bytes)
		return (enum tls_key_result)fail(why, "out of memory");
	memcpy(k->bytes, plain.at, k->n = plain.n);
	if (read_any(k, (struct bytes){ k->bytes, k->n }, why))
		return TLS_KEY_GOOD;
	tls_key_free(k);
	return TLS_KEY_BAD;
}

void tls_key_free(struct tls_key *k)
{
	memory_wipe(k->bytes, k->n);
	explicit_bzero(k, sizeof *k);
}

/* --- files --------------------------------------------------------------- */

/* The first key of the file; parameters of a curve and certificates may stand in front. */
static bool find(struct pem_file *f, struct pem *o)
{
	static const char word[] = "PRIVATE KEY";

	while (pem_next(f, o)) {
		size_t n = strlen(o->label);

		if (!n || (n >= sizeof word - 1 && !strcmp(o->label + n - (sizeof word - 1), word)))
			return true;
	}
	if (!*f->why)
		snprintf(f->why, sizeof f->why, "there is no private key in it");
	return false;
}

static bool unlock(struct tls_key *k, const struct pem *o, const char *file, const char *command,
	char *why)
{
	char passphrase[TLS_PASS_MAX], problem[TLS_KEY_WHY];

	if (!*command)
		return fail(why, "private key file \"%s\" cannot be reloaded because it requires a "
			"passphrase: set ssl_passphrase_command", file);
	if (!tls_pass_ask(passphrase, command, file, problem, sizeof problem))
		return fail(why, "could not load private key file \"%s\": %.250s", file, problem);
	enum tls_key_result result = tls_key_read(k, o->der, passphrase, problem);
	explicit_bzero(passphrase, sizeof passphrase);
	return result == TLS_KEY_GOOD
		|| fail(why, "could not load private key file \"%s\": %.250s", file, problem);
}

static bool load(struct tls_key *k, struct pem_file *f, const char *file, const char *command,
	char *why)
{
	char problem[TLS_KEY_WHY];
	struct pem o;

	if (!find(f, &o))
		return fail(why, "could not load private key file \"%s\": %s", file, f->why);
	if (o.is_encrypted)
		return fail(why, "could not load private key file \"%s\": it is encrypted in the "
			"traditional format; convert it with \"openssl pkcs8 -topk8 -v2 "
			"aes-256-cbc\"", file);
	switch (tls_key_read(k, o.der, NULL, problem)) {
	case TLS_KEY_GOOD:
		return true;
	case TLS_KEY_LOCKED:
		return unlock(k, &o, file, command, why);
	default:
		return fail(why, "could not load private key file \"%s\": %.250s", file, problem);
	}
}

bool tls_key_load(struct tls_key *k, const char *file, const char *command,
	char why[static TLS_KEY_WHY])
{
	struct pem_file f;

	bool good = pem_open(&f, file) ? load(k, &f, file, command, why)
		: fail(why, "could not load private key file \"%s\": %s", file, f.why);
	k->exposed = good && f.exposed;
	pem_close(&f);
	return good;
}

/* --- does it fit? -------------------------------------------------------- */

static struct bytes sign(const struct tls_key *k, const uint8_t hash[static br_sha256_SIZE],
	uint8_t out[static RSA_MOST / 8])
{
	size_t n;

	if (k->type == BR_KEYTYPE_EC)
		n = br_ecdsa_sign_asn1_get_default()(br_ec_get_default(), &br_sha256_vtable, hash,
			&k->key.ec, out);
	else
		n = br_rsa_pkcs1_sign_get_default()(BR_HASH_OID_SHA256, hash, br_sha256_SIZE,
			&k->key.rsa, out) ? (k->bits + 7) / 8 : 0;
	return (struct bytes){ out, n };
}

bool tls_key_fits(const struct tls_key *k, const struct x509 *certificate)
{
	static const struct bytes text = BYTES("does this key belong to this certificate?");
	uint8_t hash[64], signature[RSA_MOST / 8];

	if (k->type != certificate->key.key_type || k->bits != certificate->key_bits)
		return false;
	x509_hash(br_sha256_ID, text, hash);
	struct bytes made = sign(k, hash, signature);
	return made.n && x509_is_signed(text, (struct x509_signing){ k->type, br_sha256_ID }, made,
		&certificate->key);
}
