/* wire.h - the messages of PostgreSQL's protocol 3, as they lie in a buffer.
 *
 * Nothing here copies more than it is asked to, allocates or blocks.  A struct
 * msg points into the caller's bytes and is good until those bytes move.
 *
 * Reading: wire_next() finds one message, the msg_ functions read its fields.
 * Writing: a struct put fills a block of the caller's; it never runs past its
 * end but marks itself full, so a builder writes everything and checks once.
 *
 * Numbers on the wire are big-endian (protocol chapter, "Message Data Types").
 */
#ifndef WIRE_H
#define WIRE_H

#include "wire/source.h"
#include "wire/memory.h"
#include "wire/base64.h"
#include "wire/codes.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	WIRE_BAD = -1,
	WIRE_MORE = 0,
	WIRE_HEADER = 5,                        /* type and length of a typed message */
	WIRE_STARTUP_MAX = 10000,               /* MAX_STARTUP_PACKET_LENGTH of PostgreSQL */
	WIRE_NAME_MAX = 63,                     /* NAMEDATALEN - 1: longer names
	                                         * are cut at this byte */
	WIRE_SASL_MAX = 1024,                   /* PG_MAX_SASL_MESSAGE_LENGTH */
	WIRE_PASSWORD_MAX = 16384,              /* PostgreSQL takes 64 KB; the longest in use are
	                                         * cloud services' tokens with 200 groups: 12 KB */
};

/* The first word of an untyped packet: a version, or a request code. */
enum {
	WIRE_CANCEL = 80877102,
	WIRE_SSL = 80877103,
	WIRE_GSSENC = 80877104,
	WIRE_V3_0 = 196608,
	WIRE_V3_2 = 196610,
};

struct msg {
	char type;
	const uint8_t *at, *end;                /* what is left of the body */
	bool broken;                            /* a msg_ ran past the end */
};

static inline uint32_t wire_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Whether two names of users, databases, prepared statements or portals are the same to
 * PostgreSQL. */
static inline bool wire_same_name(const char *a, const char *b)
{
	return !strncmp(a, b, WIRE_NAME_MAX);
}

/* The length of the character in UTF-8 at p, whose text ends with a zero; 0: there is none, and
 * PostgreSQL would complain. */
unsigned wire_utf8(const uint8_t *p);

/* Puts "?" for all bytes of the text that are no UTF-8: who sees it may have another encoding. */
void wire_mask(char *text);

/* How much of these len bytes is at most max, without a piece of a character of UTF-8. */
static inline size_t wire_cut(const char *text, size_t len, size_t max)
{
	size_t n = len < max ? len : max;

	while (n < len && n && (text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* Looks for one typed message at p.  Returns its whole length with m filled
 * in; WIRE_MORE if fewer than that many bytes are there; WIRE_BAD if the length
 * it announces is below 4 or its whole length is above max. */
long wire_next(struct msg *m, const uint8_t *p, size_t n, size_t max);

/* Readers.  On a short body they return 0 or "" and set m->broken. */
uint32_t msg_u32(struct msg *m);
uint16_t msg_u16(struct msg *m);
const char *msg_text(struct msg *m);

/* The field of an ErrorResponse or NoticeResponse body with this code ('C' is
 * the SQLSTATE, 'M' the message), or NULL. */
const char *wire_field(const uint8_t *body, size_t len, char code);

struct put {
	uint8_t *base;
	size_t len, cap;
	size_t mark;                            /* where the open message began */
	bool full;                              /* something did not fit */
};

void put_byte(struct put *o, uint8_t v);
void put_u16(struct put *o, uint16_t v);
void put_u32(struct put *o, uint32_t v);
void put_bytes(struct put *o, const void *p, size_t n);
void put_text(struct put *o, const char *s);    /* with its zero byte */

/* Opens a message of this type (0: an untyped packet), and closes it, which
 * fills in the length. */
void put_begin(struct put *o, char type);
void put_end(struct put *o);

/* Whole messages. */
void put_message(struct put *o, char type, const void *body, size_t n);
void put_query(struct put *o, const char *sql);
void put_ready(struct put *o, char status);

/* An ErrorResponse ('E') or NoticeResponse ('N').  detail and hint may be NULL. */
struct report {
	const char *severity, *sqlstate, *message, *detail, *hint;
};
void put_report(struct put *o, char type, const struct report *r);

/* A position in the WAL, "16/B374D848": two halves of up to 8 hexadecimal digits.  0: malformed. */
uint64_t wire_lsn(const char *text);

#endif
