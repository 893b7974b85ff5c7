#include "x509.h"

#include <arpa/inet.h>
#include <bearssl_ec.h>
#include <bearssl_hash.h>
#include <bearssl_rsa.h>
#include <string.h>
#include <strings.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- algorithms ---------------------------------------------------------- */

#define OID(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

#define OID_RSA "\x2a\x86\x48\x86\xf7\x0d\x01\x01"
#define OID_PSS OID_RSA "\x0a"
#define OID_EC "\x2a\x86\x48\xce\x3d\x02\x01"
#define OID_ECDSA "\x2a\x86\x48\xce\x3d\x04"
#define OID_USE "\x2b\x06\x01\x05\x05\x07\x03"
#define OID_SHA2 "\x60\x86\x48\x01\x65\x03\x04\x02"

static const struct {
	struct bytes oid;
	struct x509_signing how;
} signings[] = {
	{ OID(OID_RSA "\x04"), { BR_KEYTYPE_RSA, br_md5_ID } },
	{ OID(OID_RSA "\x05"), { BR_KEYTYPE_RSA, br_sha1_ID } },
	{ OID(OID_RSA "\x0b"), { BR_KEYTYPE_RSA, br_sha256_ID } },
	{ OID(OID_RSA "\x0c"), { BR_KEYTYPE_RSA, br_sha384_ID } },
	{ OID(OID_RSA "\x0d"), { BR_KEYTYPE_RSA, br_sha512_ID } },
	{ OID(OID_ECDSA "\x01"), { BR_KEYTYPE_EC, br_sha1_ID } },
	{ OID(OID_ECDSA "\x03\x02"), { BR_KEYTYPE_EC, br_sha256_ID } },
	{ OID(OID_ECDSA "\x03\x03"), { BR_KEYTYPE_EC, br_sha384_ID } },
	{ OID(OID_ECDSA "\x03\x04"), { BR_KEYTYPE_EC, br_sha512_ID } },
};

/* The hash of RSA-PSS stands in its parameters; nothing here can verify it, but the end point of
 * a channel is made with it. */
static struct x509_signing pss(struct der *d)
{
	struct der parameters, hash;
	struct x509_signing how = { 0, br_sha1_ID };

	if (!der_maybe(d, DER_SEQUENCE, &parameters)
	    || !der_maybe(&parameters, DER_CONTEXT + DER_CONSTRUCTED + 0, &hash))
		return how;
	struct der algorithm = der_get(&hash, DER_SEQUENCE), in = der_get(&algorithm, DER_OID);
	struct bytes oid = der_rest(&in);
	how.hash = bytes_are(oid, BYTES(OID_SHA2 "\x01")) ? br_sha256_ID
		: bytes_are(oid, BYTES(OID_SHA2 "\x02")) ? br_sha384_ID
		: bytes_are(oid, BYTES(OID_SHA2 "\x03")) ? br_sha512_ID : 0;
	return how;
}

struct x509_signing x509_signing(struct der *d)
{
	struct der in = der_get(d, DER_SEQUENCE), name = der_get(&in, DER_OID);
	struct bytes oid = der_rest(&name);

	if (bytes_are(oid, BYTES(OID_PSS)))
		return pss(&in);
	for (size_t i = 0; i < COUNT(signings); i++)
		if (bytes_are(oid, signings[i].oid))
			return signings[i].how;
	return (struct x509_signing){ 0 };
}

struct x509_algorithm x509_curve(struct der *d)
{
	static const struct {
		struct bytes oid;
		struct x509_algorithm is;
	} curves[] = {
		{ OID("\x2a\x86\x48\xce\x3d\x03\x01\x07"),
			{ BR_KEYTYPE_EC, BR_EC_secp256r1, "P-256", 256 } },
		{ OID("\x2b\x81\x04\x00\x22"), { BR_KEYTYPE_EC, BR_EC_secp384r1, "P-384", 384 } },
		{ OID("\x2b\x81\x04\x00\x23"), { BR_KEYTYPE_EC, BR_EC_secp521r1, "P-521", 521 } },
		{ OID("\x2b\x81\x04\x00\x0a"), { 0, 0, "secp256k1", 256 } },
	};
	struct der name;

	if (!der_maybe(d, DER_OID, &name))
		return (struct x509_algorithm){ 0, 0, "an elliptic curve without a name", 0 };
	struct bytes oid = der_rest(&name);
	for (size_t i = 0; i < COUNT(curves); i++)
		if (bytes_are(oid, curves[i].oid))
			return curves[i].is;
	return (struct x509_algorithm){ 0, 0, "an elliptic curve of another name", 0 };
}

struct x509_algorithm x509_algorithm(struct der *d)
{
	static const struct {
		struct bytes oid;
		struct x509_algorithm is;
	} kinds[] = {
		{ OID(OID_RSA "\x01"), { BR_KEYTYPE_RSA, 0, "RSA", 0 } },
		{ OID(OID_PSS), { 0, 0, "RSA-PSS", 0 } },
		{ OID("\x2b\x65\x70"), { 0, 0, "Ed25519", 0 } },
		{ OID("\x2b\x65\x71"), { 0, 0, "Ed448", 0 } },
		{ OID("\x2a\x86\x48\xce\x38\x04\x01"), { 0, 0, "DSA", 0 } },
	};
	struct der in = der_get(d, DER_SEQUENCE), name = der_get(&in, DER_OID);
	struct bytes oid = der_rest(&name);

	if (bytes_are(oid, BYTES(OID_EC)))
		return x509_curve(&in);
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (bytes_are(oid, kinds[i].oid))
			return kinds[i].is;
	return (struct x509_algorithm){ 0, 0, "an unknown algorithm", 0 };
}

static const br_hash_class *hash_of(int id)
{
	return id == br_sha256_ID ? &br_sha256_vtable : id == br_sha384_ID ? &br_sha384_vtable
		: id == br_sha512_ID ? &br_sha512_vtable : NULL;
}

size_t x509_hash(int id, struct bytes text, uint8_t out[static 64])
{
	const br_hash_class *hash = hash_of(id);
	br_hash_compat_context c;

	if (!hash)
		return 0;
	hash->init(&c.vtable);
	hash->update(&c.vtable, text.at, text.n);
	hash->out(&c.vtable, out);
	return (hash->desc >> BR_HASHDESC_OUT_OFF) & BR_HASHDESC_OUT_MASK;
}

/* The object identifiers as PKCS #1 wants them: with their length. */
static const unsigned char *hash_oid(int id)
{
	return id == br_sha256_ID ? BR_HASH_OID_SHA256 : id == br_sha384_ID ? BR_HASH_OID_SHA384
		: BR_HASH_OID_SHA512;
}

bool x509_is_signed(struct bytes text, struct x509_signing how, struct bytes signature,
	const br_x509_pkey *key)
{
	uint8_t wanted[64], got[64];
	size_t n = x509_hash(how.hash, text, wanted);

	if (!n || how.key_type != key->key_type)
		return false;
	if (key->key_type == BR_KEYTYPE_EC)
		return br_ecdsa_vrfy_asn1_get_default()(br_ec_get_default(), wanted, n,
			&key->key.ec, signature.at, signature.n);
	return br_rsa_pkcs1_vrfy_get_default()(signature.at, signature.n, hash_oid(how.hash), n,
		&key->key.rsa, got) && !memcmp(wanted, got, n);
}

/* --- a certificate ------------------------------------------------------- */

/* What a stranger may make us calculate with. */
enum { RSA_BITS = 4096, EXPONENT = 8 };

static void read_rsa(struct x509 *c, struct bytes key, bool *bad)
{
	struct der all = der_read(key, bad), in = der_get(&all, DER_SEQUENCE);
	struct bytes n = der_positive(&in), e = der_positive(&in);

	if (*bad)
		return;
	c->key_bits = bytes_bits(n);
	if (c->key_bits > RSA_BITS || e.n > EXPONENT) {
		c->key_name = "RSA with numbers longer than those of 4096 bits";
		return;
	}
	c->key.key_type = BR_KEYTYPE_RSA;
	c->key.key.rsa = (br_rsa_public_key){ (uint8_t *)n.at, n.n, (uint8_t *)e.at, e.n };
}

/* Compressed points are not for bearssl. */
static void read_point(struct x509 *c, struct x509_algorithm a, struct bytes point)
{
	c->key_bits = a.bits;
	if (!point.n || point.at[0] != 4) {
		c->key_name = "a compressed point of an elliptic curve";
		return;
	}
	c->key.key_type = BR_KEYTYPE_EC;
	c->key.key.ec = (br_ec_public_key){ a.curve, (uint8_t *)point.at, point.n };
}

static void read_key(struct x509 *c, struct der *d)
{
	struct der in = der_get(d, DER_SEQUENCE);
	struct x509_algorithm a = x509_algorithm(&in);
	struct bytes key = der_bits(&in);

	c->key_name = a.name;
	if (a.key_type == BR_KEYTYPE_RSA)
		read_rsa(c, key, d->bad);
	else if (a.key_type == BR_KEYTYPE_EC)
		read_point(c, a, key);
}

/* What of the extensions decides whether OpenSSL takes it for an authority. */
struct authority {
	bool constrained, is_ca;
	bool has_usage, may_sign;
	bool has_uses;
};

enum { PATH_MAXIMUM = 0x7fff };

/* One that stands there twice says two things. */
static bool is_again(bool *flag)
{
	bool again = *flag;

	*flag = true;
	return again;
}

static void read_extension(struct x509 *c, struct der *d, struct authority *a)
{
	struct der in = der_get(d, DER_SEQUENCE), name = der_get(&in, DER_OID), value;
	struct bytes oid = der_rest(&name);

	if (der_tag(&in) == DER_BOOLEAN)
		der_boolean(&in);
	value = der_get(&in, DER_OCTETS);
	if (bytes_are(oid, BYTES("\x55\x1d\x13"))) {            /* basicConstraints */
		struct der constraints = der_get(&value, DER_SEQUENCE);

		*d->bad |= is_again(&a->constrained);
		a->is_ca = der_tag(&constraints) == DER_BOOLEAN && der_boolean(&constraints);
		if (der_tag(&constraints) == DER_INTEGER)
			c->path = der_number(&constraints, PATH_MAXIMUM);
	} else if (bytes_are(oid, BYTES("\x55\x1d\x0f"))) {     /* keyUsage: bit 5 is keyCertSign */
		struct der bits = der_get(&value, DER_BITS);

		*d->bad |= is_again(&a->has_usage);
		a->may_sign = bits.end - bits.at >= 2 && (bits.at[1] & 0x04);
	} else if (bytes_are(oid, BYTES("\x55\x1d\x25"))) {     /* extKeyUsage */
		struct der uses = der_get(&value, DER_SEQUENCE);

		*d->bad |= is_again(&a->has_uses);
		c->no_client = c->no_server = true;
		while (der_tag(&uses) >= 0) {
			struct der use = der_get(&uses, DER_OID);
			struct bytes id = der_rest(&use);

			c->no_server &= !bytes_are(id, BYTES(OID_USE "\x01"));
			c->no_client &= !bytes_are(id, BYTES(OID_USE "\x02"));
		}
	} else if (bytes_are(oid, BYTES("\x55\x1d\x1e"))) {     /* nameConstraints */
		*d->bad |= is_again(&c->limits_names);
	} else if (bytes_are(oid, BYTES("\x55\x1d\x11"))) {     /* subjectAltName */
		struct der names = der_get(&value, DER_SEQUENCE);

		*d->bad |= is_again(&c->has_alt_names);
		c->alt_names = der_rest(&names);
	}
}

/* Without constraints OpenSSL takes self-issued ones of version 1, and those whose use is to sign
 * certificates. */
static bool is_authority(const struct x509 *c, const struct authority *a, long version)
{
	if (a->has_usage && !a->may_sign)
		return false;
	if (a->constrained)
		return a->is_ca;
	return a->has_usage || (version == 0 && x509_is_self_issued(c));
}

static void read_extensions(struct x509 *c, struct der *d, long version)
{
	struct der wrapped;
	struct authority a = { 0 };

	for (int i = 1; i <= 2; i++)                    /* unique identifiers */
		if (der_tag(d) == DER_CONTEXT + i)
			der_any(d);
	if (der_maybe(d, DER_CONTEXT + DER_CONSTRUCTED + 3, &wrapped)) {
		struct der list = der_get(&wrapped, DER_SEQUENCE);

		while (der_tag(&list) >= 0)
			read_extension(c, &list, &a);
	}
	c->is_ca = is_authority(c, &a, version);
}

/* A serial number is what it is: negative ones occur. */
static struct bytes read_serial(struct der *d)
{
	struct der in = der_get(d, DER_INTEGER);

	return der_rest(&in);
}

const char *x509_read(struct x509 *c, struct bytes whole)
{
	bool bad = false;
	struct der all = der_read(whole, &bad), outer = der_get(&all, DER_SEQUENCE);
	struct der d = der_get(&outer, DER_SEQUENCE), wrapped;
	long version = 0;

	*c = (struct x509){ .whole = whole, .path = -1 };
	if (der_maybe(&d, DER_CONTEXT + DER_CONSTRUCTED + 0, &wrapped))
		version = der_number(&wrapped, 2);
	c->serial = read_serial(&d);
	x509_signing(&d);
	c->issuer = der_whole(&d, DER_SEQUENCE);
	struct der validity = der_get(&d, DER_SEQUENCE);
	c->begins = der_time(&validity);
	c->ends = der_time(&validity);
	c->subject = der_whole(&d, DER_SEQUENCE);
	read_key(c, &d);
	read_extensions(c, &d, version);
	c->signing = x509_signing(&outer);
	der_bits(&outer);
	der_end(&outer);
	der_end(&all);
	return bad ? "it is not a well-formed certificate" : NULL;
}

bool x509_is_self_issued(const struct x509 *c)
{
	return bytes_are(c->issuer, c->subject);
}

size_t x509_end_point(const struct x509 *c, uint8_t out[static 64])
{
	int id = c->signing.hash;

	if (id == br_md5_ID || id == br_sha1_ID)
		id = br_sha256_ID;
	return x509_hash(id, c->whole, out);
}

/* --- names --------------------------------------------------------------- */

/* Strings whose bytes are text as it is written here: ASCII or UTF-8. */
static bool is_text(int tag)
{
	return tag == DER_UTF8 || tag == DER_PRINTABLE || tag == DER_IA5 || tag == DER_T61;
}

static bool copy_text(struct bytes text, char *out, size_t size)
{
	if (text.n >= size || memchr(text.at, '\0', text.n))
		return false;
	memcpy(out, text.at, text.n);
	out[text.n] = '\0';
	return true;
}

bool x509_common_name(const struct x509 *c, char *out, size_t size)
{
	bool bad = false;
	struct der all = der_read(c->subject, &bad), names = der_get(&all, DER_SEQUENCE);

	while (der_tag(&names) >= 0) {
		struct der set = der_get(&names, DER_SET);

		while (der_tag(&set) >= 0) {
			struct der one = der_get(&set, DER_SEQUENCE), oid = der_get(&one, DER_OID);
			int tag = der_tag(&one);
			struct der value = der_any(&one);

			if (bytes_are(der_rest(&oid), BYTES("\x55\x04\x03")))
				return !bad && is_text(tag)
					&& copy_text(der_rest(&value), out, size);
		}
	}
	return false;
}

enum { NAME_DNS = DER_CONTEXT + 2, NAME_ADDRESS = DER_CONTEXT + 7 };

static bool is_name(int tag, struct bytes name, const char *text, struct bytes address)
{
	if (tag == NAME_ADDRESS)
		return bytes_are(name, address);
	return name.n == strlen(text) && !strncasecmp((const char *)name.at, text, name.n);
}

/* Is there an alternative name of this kind; and is one of them the one that is wanted? */
static bool alt_names(const struct x509 *c, int tag, const char *text, struct bytes address,
	bool *any)
{
	bool bad = false, found = false;
	struct der names = der_read(c->alt_names, &bad);

	*any = false;
	while (der_tag(&names) >= 0) {
		bool is_kind = der_tag(&names) == tag;
		struct der name = der_any(&names);

		*any |= is_kind;
		found |= is_kind && is_name(tag, der_rest(&name), text, address);
	}
	return found && !bad;
}

bool x509_has_address(const struct x509 *c, const char *text)
{
	uint8_t binary[sizeof(struct in6_addr)];
	struct bytes address = { binary, 0 };
	char name[64];
	bool any;

	if (inet_pton(AF_INET, text, binary) == 1)
		address.n = sizeof(struct in_addr);
	else if (inet_pton(AF_INET6, text, binary) == 1)
		address.n = sizeof(struct in6_addr);
	else
		return false;
	if (!c->has_alt_names)
		return x509_common_name(c, name, sizeof name) && !strcmp(name, text);
	if (alt_names(c, NAME_ADDRESS, text, address, &any) || any)
		return alt_names(c, NAME_ADDRESS, text, address, &any);
	return alt_names(c, NAME_DNS, text, address, &any);
}
