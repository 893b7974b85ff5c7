/* tls/der.h - reading ASN.1 in its distinguished encoding.
 *
 * Nothing is copied: a struct bytes is a range of the caller's memory, a struct der a cursor over
 * such a range.  Cursors into the parts of a thing share one flag.  A cursor that meets something
 * unexpected sets it and gives empty ranges from then on, so that a reader reads everything first
 * and checks once.
 */
#ifndef TLS_DER_H
#define TLS_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
	const uint8_t *at;
	size_t n;
};

struct der {
	const uint8_t *at, *end;
	bool *bad;
};

enum {
	DER_BOOLEAN = 1, DER_INTEGER = 2, DER_BITS = 3, DER_OCTETS = 4, DER_NULL = 5, DER_OID = 6,
	DER_ENUMERATED = 10, DER_UTF8 = 12, DER_PRINTABLE = 19, DER_T61 = 20, DER_IA5 = 22,
	DER_UTC_TIME = 23, DER_TIME = 24, DER_VISIBLE = 26, DER_UNIVERSAL = 28, DER_BMP = 30,
	DER_SEQUENCE = 0x30, DER_SET = 0x31,
	DER_CONTEXT = 0x80,             /* + number */
	DER_CONSTRUCTED = 0x20
};

struct der der_read(struct bytes b, bool *bad);

/* The tag of the next element; -1 at the end. */
int der_tag(const struct der *d);

/* The next element's contents: of this tag, or of any. */
struct der der_get(struct der *d, int tag);
struct der der_any(struct der *d);

/* The same if it has this tag; else reads nothing and returns false. */
bool der_maybe(struct der *d, int tag, struct der *contents);

/* The next element as it lies there, with its tag and length. */
struct bytes der_whole(struct der *d, int tag);

/* All that is left. */
struct bytes der_rest(struct der *d);

/* Declares that nothing may be left. */
void der_end(struct der *d);

/* A positive INTEGER without leading zeros; at least one byte. */
struct bytes der_positive(struct der *d);

/* An INTEGER from 0 to max. */
long der_number(struct der *d, long max);

/* A BIT STRING of whole bytes. */
struct bytes der_bits(struct der *d);

bool der_boolean(struct der *d);

/* UTCTime or GeneralizedTime as seconds since 1970. */
int64_t der_time(struct der *d);

bool bytes_are(struct bytes a, struct bytes b);

/* The length in bits of a number without leading zeros, at least one byte. */
unsigned bytes_bits(struct bytes number);

/* An object identifier's contents against those in a literal. */
#define BYTES(literal) (struct bytes){ (const uint8_t *)(literal), sizeof(literal) - 1 }

#endif
