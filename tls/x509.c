#include "tls/x509.h"

#include "tls/x509_name.h"

#include <arpa/inet.h>
#include <bearssl_ec.h>
#include <bearssl_hash.h>
#include <bearssl_rsa.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- algorithms ---------------------------------------------------------- */

#define OID(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

#define OID_RSA "\x2a\x86\x48\x86\xf7\x0d\x01\x01"
#define OID_PSS OID_RSA "\x0a"
#define OID_EC "\x2a\x86\x48\xce\x3d\x02\x01"
#define OID_ECDSA "\x2a\x86\x48\xce\x3d\x04"
#define OID_PE "\x2b\x06\x01\x05\x05\x07\x01"
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

/* The hash of RSA-PSS is in its parameters.  Nothing here can verify such a signature, but the end
 * point of a channel is made with that hash. */
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

/* Limits on what a stranger may make us calculate with. */
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

/* bearssl does not take compressed points. */
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

/* The extensions by which OpenSSL decides whether it is an authority. */
struct authority {
	bool constrained, is_ca;
	bool has_usage, may_sign;
};

static void read_constraints(struct x509 *c, struct der *value, struct authority *a)
{
	struct der in = der_get(value, DER_SEQUENCE);

	a->constrained = true;
	a->is_ca = der_tag(&in) == DER_BOOLEAN && der_boolean(&in);
	if (der_tag(&in) == DER_INTEGER)
		c->path_limit = (int)der_number(&in, INT_MAX);
	der_end(&in);
}

/* Named bits: the first one is 0x80 of the first byte. */
static unsigned read_bits(struct der *value)
{
	struct der in = der_get(value, DER_BITS);
	struct bytes b = der_rest(&in);

	if (!b.n || b.at[0] > 7)
		*value->bad = true;
	return b.n > 1 ? b.at[1] : 0;
}

/* Every handshake here begins with a signature of the leaf. */
static void read_usage(struct x509 *c, struct der *value, struct authority *a)
{
	enum { DIGITAL_SIGNATURE = 0x80, KEY_CERT_SIGN = 0x04, CRL_SIGN = 0x02 };
	unsigned bits = read_bits(value);

	a->has_usage = true;
	a->may_sign = bits & KEY_CERT_SIGN;
	c->may_sign_lists = bits & CRL_SIGN;
	if (!(bits & DIGITAL_SIGNATURE))
		c->own_uses = 0;
}

/* "Any" names no role, says OpenSSL. */
static void read_extended_usage(struct x509 *c, struct der *value, struct authority *a)
{
	struct der uses = der_get(value, DER_SEQUENCE);

	(void)a;
	c->uses = 0;
	do {
		struct der use = der_get(&uses, DER_OID);
		struct bytes id = der_rest(&use);

		c->uses |= bytes_are(id, BYTES(OID_USE "\x01")) ? X509_SERVER : 0;
		c->uses |= bytes_are(id, BYTES(OID_USE "\x02")) ? X509_CLIENT : 0;
	} while (der_tag(&uses) >= 0);
}

/* The usage of the time before extendedKeyUsage: nsCertType. */
static void read_old_usage(struct x509 *c, struct der *value, struct authority *a)
{
	unsigned bits = read_bits(value);

	(void)a;
	c->own_uses &= (bits & 0x80 ? X509_CLIENT : 0) | (bits & 0x40 ? X509_SERVER : 0);
}

/* Their tags in their order: each is either of a string or of a structure. */
static struct bytes read_general_names(struct der *names)
{
	static const uint8_t tags[] = { 0xa0, 0x81, 0x82, 0xa3, 0xa4, 0xa5, 0x86, 0x87, 0x88 };
	struct der walk = *names;

	while (der_tag(&walk) >= 0) {
		if (!memchr(tags, der_tag(&walk), sizeof tags))
			*walk.bad = true;
		der_any(&walk);
	}
	return der_rest(names);
}

static void read_alt_names(struct x509 *c, struct der *value, struct authority *a)
{
	struct der names = der_get(value, DER_SEQUENCE);

	(void)a;
	c->has_alt_names = true;
	c->alt_names = read_general_names(&names);
}

/* Each a name and, seldom, by how many steps the name may differ. */
static struct bytes read_subtrees(struct der *list)
{
	struct der walk = *list;

	while (der_tag(&walk) >= 0) {
		struct der tree = der_get(&walk, DER_SEQUENCE);

		der_any(&tree);
		while (der_tag(&tree) >= 0)
			der_any(&tree);
	}
	return der_rest(list);
}

static void read_name_constraints(struct x509 *c, struct der *value, struct authority *a)
{
	struct der in = der_get(value, DER_SEQUENCE), list;

	(void)a;
	if (der_maybe(&in, DER_CONTEXT + DER_CONSTRUCTED + 0, &list))
		c->permitted = read_subtrees(&list);
	if (der_maybe(&in, DER_CONTEXT + DER_CONSTRUCTED + 1, &list))
		c->excluded = read_subtrees(&list);
	der_end(&in);
}

static void read_key_id(struct x509 *c, struct der *value, struct authority *a)
{
	struct der id = der_get(value, DER_OCTETS);

	(void)a;
	c->key_id = der_rest(&id);
}

/* If the issuer's issuer has several names, the first directoryName counts. */
static void read_issuer_key_id(struct x509 *c, struct der *value, struct authority *a)
{
	struct der in = der_get(value, DER_SEQUENCE), id, names;

	(void)a;
	if (der_maybe(&in, DER_CONTEXT + 0, &id))
		c->issuer_key_id = der_rest(&id);
	if (der_maybe(&in, DER_CONTEXT + DER_CONSTRUCTED + 1, &names))
		while (der_tag(&names) >= 0) {
			bool is_name = der_tag(&names) == DER_CONTEXT + DER_CONSTRUCTED + 4;
			struct der name = der_any(&names);

			if (is_name && !c->issuer_issuer.n)
				c->issuer_issuer = der_rest(&name);
		}
	if (der_maybe(&in, DER_CONTEXT + 2, &id))
		c->issuer_serial = der_rest(&id);
	der_end(&in);
}

/* Proxy certificates and those of address blocks have rules of their own, critical or not. */
static void read_unsupported(struct x509 *c, struct der *value, struct authority *a)
{
	(void)a;
	c->is_strange = true;
	der_rest(value);
}

/* The known ones; policies are ignored, as with OpenSSL. */
static const struct extension {
	struct bytes oid;
	bool may_be_critical;
	void (*read)(struct x509 *c, struct der *value, struct authority *a);
} extensions[] = {
	{ OID("\x55\x1d\x13"), true, read_constraints },
	{ OID("\x55\x1d\x0f"), true, read_usage },
	{ OID("\x55\x1d\x25"), true, read_extended_usage },
	{ OID("\x60\x86\x48\x01\x86\xf8\x42\x01\x01"), true, read_old_usage },
	{ OID("\x55\x1d\x11"), true, read_alt_names },
	{ OID("\x55\x1d\x1e"), true, read_name_constraints },
	{ OID("\x55\x1d\x0e"), false, read_key_id },
	{ OID("\x55\x1d\x23"), false, read_issuer_key_id },
	{ OID(OID_PE "\x07"), true, read_unsupported },
	{ OID(OID_PE "\x08"), true, read_unsupported },
	{ OID(OID_PE "\x0e"), true, read_unsupported },
	{ OID("\x55\x1d\x1f"), true, NULL },            /* cRLDistributionPoints */
	{ OID("\x55\x1d\x20"), true, NULL },            /* certificatePolicies */
	{ OID("\x55\x1d\x21"), true, NULL },            /* policyMappings */
	{ OID("\x55\x1d\x24"), true, NULL },            /* policyConstraints */
	{ OID("\x55\x1d\x36"), true, NULL },            /* inhibitAnyPolicy */
};

/* Errors in an extension count only when the certificate is verified: they have a separate flag. */
static void read_extension(struct x509 *c, struct der *d, struct authority *a, unsigned *seen)
{
	struct der in = der_get(d, DER_SEQUENCE), name = der_get(&in, DER_OID);
	struct bytes oid = der_rest(&name);
	bool critical = der_tag(&in) == DER_BOOLEAN && der_boolean(&in), bad = false;
	struct der octets = der_get(&in, DER_OCTETS), value = der_read(der_rest(&octets), &bad);
	size_t i = 0;

	der_end(&in);
	while (i < COUNT(extensions) && !bytes_are(oid, extensions[i].oid))
		i++;
	if (i == COUNT(extensions)) {
		c->is_strange |= critical;
		return;
	}
	c->is_strange |= critical && !extensions[i].may_be_critical;
	if (extensions[i].read) {
		extensions[i].read(c, &value, a);
		der_end(&value);
	}
	c->is_odd |= bad || *seen & 1u << i;
	*seen |= 1u << i;
}

/* Without constraints OpenSSL accepts self-issued ones of version 1, and those whose usage is to
 * sign certificates. */
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
	unsigned seen = 0;

	for (int i = 1; i <= 2; i++)                    /* unique identifiers */
		if (der_tag(d) == DER_CONTEXT + i)
			der_any(d);
	if (der_maybe(d, DER_CONTEXT + DER_CONSTRUCTED + 3, &wrapped)) {
		struct der list = der_get(&wrapped, DER_SEQUENCE);

		while (der_tag(&list) >= 0)
			read_extension(c, &list, &a, &seen);
	}
	c->is_ca = is_authority(c, &a, version);
	c->is_old_ca = c->is_ca && !a.constrained;
}

/* A serial number may be anything: negative ones occur. */
static struct bytes read_serial(struct der *d)
{
	struct der in = der_get(d, DER_INTEGER);

	return der_rest(&in);
}

/* The signed part. */
static void read_text(struct x509 *c, struct der *d, struct bytes *how)
{
	struct der wrapped;
	long version = 0;

	if (der_maybe(d, DER_CONTEXT + DER_CONSTRUCTED + 0, &wrapped))
		version = der_number(&wrapped, 2);
	c->serial = read_serial(d);
	*how = der_whole(d, DER_SEQUENCE);
	c->issuer = der_whole(d, DER_SEQUENCE);
	struct der validity = der_get(d, DER_SEQUENCE);
	c->begins = der_time(&validity);
	c->ends = der_time(&validity);
	c->subject = der_whole(d, DER_SEQUENCE);
	read_key(c, d);
	read_extensions(c, d, version);
	der_end(d);
}

/* The signature algorithm is in it twice, once where the signature protects it. */
const char *x509_read(struct x509 *c, struct bytes whole)
{
	bool bad = false;
	struct der all = der_read(whole, &bad), outer = der_get(&all, DER_SEQUENCE);
	struct bytes protected;

	*c = (struct x509){ .whole = whole, .path_limit = -1, .uses = X509_CLIENT | X509_SERVER,
		.own_uses = X509_CLIENT | X509_SERVER, .may_sign_lists = true };
	c->text = der_whole(&outer, DER_SEQUENCE);
	struct der text = der_read(c->text, &bad), in = der_get(&text, DER_SEQUENCE);
	read_text(c, &in, &protected);
	struct bytes how = der_whole(&outer, DER_SEQUENCE);
	struct der signing = der_read(how, &bad);
	if (bytes_are(how, protected))
		c->signing = x509_signing(&signing);
	c->signature = der_bits(&outer);
	der_end(&outer);
	der_end(&all);
	return bad ? "it is not a well-formed certificate" : NULL;
}

bool x509_is_self_issued(const struct x509 *c)
{
	return x509_same_name(c->issuer, c->subject);
}

static bool are_none_or_same(struct bytes a, struct bytes b)
{
	return !a.n || !b.n || bytes_are(a, b);
}

bool x509_may_have_issued(const struct x509 *issuer, const struct x509 *c)
{
	return x509_same_name(issuer->subject, c->issuer)
		&& are_none_or_same(c->issuer_key_id, issuer->key_id)
		&& are_none_or_same(c->issuer_serial, issuer->serial)
		&& (!c->issuer_issuer.n || x509_same_name(c->issuer_issuer, issuer->issuer));
}

bool x509_is_self_signed(const struct x509 *c)
{
	return x509_may_have_issued(c, c);
}

bool x509_has_signed(const struct x509 *issuer, const struct x509 *c)
{
	return x509_is_signed(c->text, c->signing, c->signature, &issuer->key);
}

size_t x509_end_point(const struct x509 *c, uint8_t out[static 64])
{
	int id = c->signing.hash;

	if (id == br_md5_ID || id == br_sha1_ID)
		id = br_sha256_ID;
	return x509_hash(id, c->whole, out);
}

/* --- names --------------------------------------------------------------- */

/* Strings whose bytes are ASCII or UTF-8, as here. */
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

/* Is there an alternative name of this kind, and does one of them match? */
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

/* A star stands for one label, in front. */
static bool is_host(struct bytes name, const char *host)
{
	const char *dot = strchr(host, '.');

	if (name.n > 2 && name.at[0] == '*' && name.at[1] == '.' && dot && dot > host)
		return is_name(NAME_DNS, (struct bytes){ name.at + 1, name.n - 1 }, dot,
			(struct bytes){ 0 });
	return is_name(NAME_DNS, name, host, (struct bytes){ 0 });
}

bool x509_has_host(const struct x509 *c, const char *host)
{
	bool bad = false, any = false, found = false;
	struct der names = der_read(c->alt_names, &bad);
	char name[256];

	while (der_tag(&names) >= 0) {
		bool is_kind = der_tag(&names) == NAME_DNS;
		struct der one = der_any(&names);

		any |= is_kind;
		found |= is_kind && is_host(der_rest(&one), host);
	}
	if (!any && !bad && x509_common_name(c, name, sizeof name))
		found = is_host((struct bytes){ (uint8_t *)name, strlen(name) }, host);
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
