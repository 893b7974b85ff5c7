#include "tls/self.h"

#include "tls/der.h"

#include <bearssl_ec.h>
#include <bearssl_hash.h>
#include <bearssl_rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { COMMON_NAME_MAX = 64, HOST_MAX = 255, SERIAL = 16, DAY = 86400,
	CONTENTS_MAX = 1000 };

/* DER is written from its end to its front, so each length is known in time.  A certificate always
 * fits: its names are bounded. */
struct back {
	uint8_t *at;
};

static void put(struct back *b, const void *p, size_t n)
{
	b->at -= n;
	memcpy(b->at, p, n);
}

#define PUT(b, literal) put(b, literal, sizeof(literal) - 1)

static void put_byte(struct back *b, size_t value)
{
	*--b->at = (uint8_t)value;
}

/* The tag and the length of all that was put since the front was at `end`. */
static void wrap(struct back *b, int tag, const uint8_t *end)
{
	size_t n = (size_t)(end - b->at);

	put_byte(b, n & 0xff);
	if (n >= 0x100)
		put_byte(b, n >> 8);
	if (n >= 0x80)
		put_byte(b, n >= 0x100 ? 0x82 : 0x81);
	put_byte(b, (size_t)tag);
}

static void put_element(struct back *b, int tag, const void *p, size_t n)
{
	const uint8_t *end = b->at;

	put(b, p, n);
	wrap(b, tag, end);
}

static void put_time(struct back *b, time_t t)
{
	char text[32];
	struct tm tm;

	gmtime_r(&t, &tm);
	bool is_short = tm.tm_year < 150;
	size_t n = strftime(text, sizeof text, "%Y%m%d%H%M%SZ", &tm);
	put_element(b, is_short ? DER_UTC_TIME : DER_TIME, text + 2 * is_short, n - 2 * is_short);
}

static void put_ecdsa(struct back *b)
{
	PUT(b, "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02");     /* with SHA-256 */
}

/* A common name has at most 64 characters. */
static void put_name(struct back *b, const char *host)
{
	const uint8_t *end = b->at;
	size_t n = strlen(host);

	put_element(b, DER_UTF8, n > COMMON_NAME_MAX ? "pgpool" : host,
		n > COMMON_NAME_MAX ? 6 : n);
	PUT(b, "\x06\x03\x55\x04\x03");
	wrap(b, DER_SEQUENCE, end);
	wrap(b, DER_SET, end);
	wrap(b, DER_SEQUENCE, end);
}

static void put_alt_name(struct back *b, const char *host)
{
	const uint8_t *end = b->at;

	put_element(b, DER_CONTEXT + 2, host, strlen(host));
	wrap(b, DER_SEQUENCE, end);
	wrap(b, DER_OCTETS, end);
	PUT(b, "\x06\x03\x55\x1d\x11");
	wrap(b, DER_SEQUENCE, end);
	wrap(b, DER_SEQUENCE, end);
	wrap(b, DER_CONTEXT + DER_CONSTRUCTED + 3, end);
}

static void put_key(struct back *b, const br_ec_public_key *key)
{
	const uint8_t *end = b->at;

	put(b, key->q, key->qlen);
	put_byte(b, 0);
	wrap(b, DER_BITS, end);
	PUT(b, "\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
		"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07");
	wrap(b, DER_SEQUENCE, end);
}

/* The signed part. */
static void put_contents(struct back *b, const char *host, const br_ec_public_key *key,
	const uint8_t serial[static SERIAL])
{
	const uint8_t *end = b->at;
	time_t now = time(NULL);

	put_alt_name(b, host);
	put_key(b, key);
	put_name(b, host);
	const uint8_t *dates = b->at;
	put_time(b, now + (time_t)TLS_SELF_DAYS * DAY);
	put_time(b, now - DAY);                 /* clocks differ */
	wrap(b, DER_SEQUENCE, dates);
	put_name(b, host);
	put_ecdsa(b);
	put_element(b, DER_INTEGER, serial, SERIAL);
	PUT(b, "\xa0\x03\x02\x01\x02");         /* version 3 */
	wrap(b, DER_SEQUENCE, end);
}

static size_t sign(const br_ec_private_key *key, const uint8_t *text, size_t n,
	uint8_t out[static 80])
{
	uint8_t hash[br_sha256_SIZE];
	br_sha256_context c;

	br_sha256_init(&c);
	br_sha256_update(&c, text, n);
	br_sha256_out(&c, hash);
	return br_ecdsa_sign_asn1_get_default()(br_ec_get_default(), &br_sha256_vtable, hash, key,
		out);
}

static bool make_key(uint8_t secret[static TLS_SELF_KEY], br_ec_private_key *key,
	br_ec_public_key *pub, uint8_t *point, uint8_t serial[static SERIAL])
{
	br_hmac_drbg_context random;
	uint8_t seed[32];

	if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
		return false;
	br_hmac_drbg_init(&random, &br_sha256_vtable, seed, sizeof seed);
	br_hmac_drbg_generate(&random, serial, SERIAL);
	serial[0] = (serial[0] & 0x7f) | 0x40;  /* positive, and of this length */
	bool good = br_ec_keygen(&random.vtable, br_ec_get_default(), key, secret, BR_EC_secp256r1)
		== TLS_SELF_KEY && br_ec_compute_pub(br_ec_get_default(), pub, point, key) > 0;
	explicit_bzero(&random, sizeof random);
	explicit_bzero(seed, sizeof seed);
	return good;
}

size_t tls_self_make(const char *host, uint8_t secret[static TLS_SELF_KEY],
	uint8_t certificate[static TLS_SELF_MAX])
{
	uint8_t point[BR_EC_KBUF_PUB_MAX_SIZE], serial[SERIAL], signature[80], text[CONTENTS_MAX];
	uint8_t *end = certificate + TLS_SELF_MAX;
	struct back contents = { text + sizeof text }, all = { end };
	br_ec_private_key key;
	br_ec_public_key pub;
	char name[HOST_MAX + 1];

	if (!make_key(secret, &key, &pub, point, serial))
		return 0;
	snprintf(name, sizeof name, "%s", host);
	put_contents(&contents, name, &pub, serial);
	size_t n = (size_t)(text + sizeof text - contents.at);
	put(&all, signature, sign(&key, contents.at, n, signature));
	put_byte(&all, 0);
	wrap(&all, DER_BITS, end);
	put_ecdsa(&all);
	put(&all, contents.at, n);
	wrap(&all, DER_SEQUENCE, end);
	size_t len = (size_t)(end - all.at);
	memmove(certificate, all.at, len);
	return len;
}
