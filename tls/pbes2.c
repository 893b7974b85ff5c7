#include "tls/pbes2.h"

#include <bearssl_block.h>
#include <bearssl_hmac.h>
#include <string.h>

enum { BLOCK = br_aes_ct64_BLOCK_SIZE, ITERATIONS_MAX = 2000000 };

#define OID_PKCS5 "\x2a\x86\x48\x86\xf7\x0d\x01\x05"
#define OID_HMAC "\x2a\x86\x48\x86\xf7\x0d\x02"
#define OID_AES "\x60\x86\x48\x01\x65\x03\x04\x01"

/* How a key is encrypted. */
struct scheme {
	struct bytes salt, iv;
	long iterations;
	const br_hash_class *hash;      /* NULL: another one */
	size_t key_len;                 /* 0: another cipher */
	struct bytes data;
};

bool pbes2_is(struct bytes der)
{
	bool bad = false;
	struct der all = der_read(der, &bad), in = der_get(&all, DER_SEQUENCE);

	return der_tag(&in) == DER_SEQUENCE;
}

static void read_derivation(struct scheme *s, struct der *d)
{
	struct der kdf = der_get(d, DER_SEQUENCE), oid = der_get(&kdf, DER_OID), prf;
	bool is_pbkdf2 = bytes_are(der_rest(&oid), BYTES(OID_PKCS5 "\x0c"));
	struct der p = der_get(&kdf, DER_SEQUENCE), salt = der_get(&p, DER_OCTETS);

	s->salt = der_rest(&salt);
	s->iterations = der_number(&p, ITERATIONS_MAX);
	if (der_tag(&p) == DER_INTEGER)
		der_number(&p, 32);             /* the key's length, which the cipher tells, too */
	s->hash = &br_sha1_vtable;
	if (der_maybe(&p, DER_SEQUENCE, &prf)) {
		oid = der_get(&prf, DER_OID);
		struct bytes name = der_rest(&oid);
		s->hash = bytes_are(name, BYTES(OID_HMAC "\x07")) ? &br_sha1_vtable
			: bytes_are(name, BYTES(OID_HMAC "\x09")) ? &br_sha256_vtable : NULL;
	}
	if (!is_pbkdf2)
		s->hash = NULL;
}

static void read_cipher(struct scheme *s, struct der *d)
{
	struct der cipher = der_get(d, DER_SEQUENCE), oid = der_get(&cipher, DER_OID);
	struct bytes name = der_rest(&oid);
	struct der iv = der_get(&cipher, DER_OCTETS);

	s->iv = der_rest(&iv);
	s->key_len = bytes_are(name, BYTES(OID_AES "\x02")) ? 16
		: bytes_are(name, BYTES(OID_AES "\x2a")) ? 32 : 0;
}

static const char *read_scheme(struct scheme *s, struct bytes der)
{
	static const char unknown[] = "it is encrypted in a way that is not known here; convert it "
		"with \"openssl pkcs8 -topk8 -v2 aes-256-cbc\"";
	bool bad = false;
	struct der all = der_read(der, &bad), in = der_get(&all, DER_SEQUENCE);
	struct der algorithm = der_get(&in, DER_SEQUENCE), oid = der_get(&algorithm, DER_OID);

	if (!bytes_are(der_rest(&oid), BYTES(OID_PKCS5 "\x0d")))
		return unknown;
	struct der parameters = der_get(&algorithm, DER_SEQUENCE);
	read_derivation(s, &parameters);
	read_cipher(s, &parameters);
	struct der data = der_get(&in, DER_OCTETS);
	s->data = der_rest(&data);
	if (bad || !s->hash || !s->key_len || !s->iterations)
		return unknown;
	return s->iv.n == BLOCK && s->data.n && s->data.n % BLOCK == 0 ? NULL
		: "it is not a well-formed encrypted key";
}

/* One block of PBKDF2. */
static void derive_block(const br_hmac_key_context *key, const struct scheme *s, uint32_t number,
	uint8_t *out, size_t n)
{
	uint8_t u[32], sum[32] = { 0 }, big_endian[4] = { (uint8_t)(number >> 24),
		(uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number };
	br_hmac_context c;
	size_t len = 0;

	for (long i = 0; i < s->iterations; i++) {
		br_hmac_init(&c, key, 0);
		if (i)
			br_hmac_update(&c, u, len);
		else
			br_hmac_update(&c, s->salt.at, s->salt.n);
		if (!i)
			br_hmac_update(&c, big_endian, sizeof big_endian);
		len = br_hmac_out(&c, u);
		for (size_t b = 0; b < len; b++)
			sum[b] ^= u[b];
	}
	memcpy(out, sum, n);
	explicit_bzero(u, sizeof u);
	explicit_bzero(sum, sizeof sum);
}

static void derive(const struct scheme *s, const char *passphrase, uint8_t key[static 32])
{
	br_hmac_key_context k;
	br_hmac_context c;

	br_hmac_key_init(&k, s->hash, passphrase, strlen(passphrase));
	br_hmac_init(&c, &k, 0);
	size_t step = br_hmac_size(&c);
	for (size_t at = 0; at < s->key_len; at += step)
		derive_block(&k, s, (uint32_t)(at / step) + 1, key + at,
			s->key_len - at < step ? s->key_len - at : step);
	explicit_bzero(&k, sizeof k);
}

const char *pbes2_open(uint8_t *der, size_t n, const char *passphrase, struct bytes *plain)
{
	struct scheme s;
	const char *why = read_scheme(&s, (struct bytes){ der, n });
	uint8_t key[32], iv[BLOCK], wrong = 0, *data;
	br_aes_ct64_cbcdec_keys c;

	if (why)
		return why;
	derive(&s, passphrase, key);
	memcpy(iv, s.iv.at, sizeof iv);
	data = der + (s.data.at - der);
	br_aes_ct64_cbcdec_init(&c, key, s.key_len);
	br_aes_ct64_cbcdec_run(&c, iv, data, s.data.n);
	explicit_bzero(&c, sizeof c);
	explicit_bzero(key, sizeof key);

	uint8_t padding = data[s.data.n - 1];
	if (padding >= 1 && padding <= BLOCK)
		for (size_t i = 1; i <= padding; i++)
			wrong |= data[s.data.n - i] ^ padding;
	if (padding < 1 || padding > BLOCK || wrong)
		return "bad decrypt: the passphrase is wrong";
	*plain = (struct bytes){ data, s.data.n - padding };
	return NULL;
}
