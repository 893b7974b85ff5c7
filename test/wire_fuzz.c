/* wire_fuzz.c - any bytes as a stream of messages, read by every reader and written again.
 * The bytes are copied to exactly their length, so that reading one more is found. */
#include "wire.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(cond) do { if (!(cond)) abort(); } while (0)

enum { LONGEST = 4096 };

/* Reads fields of the kinds that the message's own bytes name, until one is missing. */
static void read_fields(struct msg m, const uint8_t *kinds, size_t n)
{
	for (size_t i = 0; i < n && !m.broken; i++) {
		const uint8_t *before = m.at;
		if (kinds[i] % 3 == 0)
			msg_u32(&m);
		else if (kinds[i] % 3 == 1)
			msg_u16(&m);
		else
			must(memchr(msg_text(&m), 0, LONGEST));
		must(m.at <= m.end && (m.broken ? m.at == m.end : m.at > before));
	}
}

/* A message that was read and is written again is the same bytes; with one byte less of room it
 * is full. */
static void write_again(const struct msg *m, const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n);
	struct put o = { .base = copy, .cap = n };

	must(copy);
	put_begin(&o, m->type);
	put_bytes(&o, m->at, (size_t)(m->end - m->at));
	put_end(&o);
	if (m->type)
		must(!o.full && o.len == n && !memcmp(copy, p, n));
	o = (struct put){ .base = copy, .cap = n - 1 };
	put_message(&o, m->type, m->at, (size_t)(m->end - m->at));
	must(o.len <= n - 1 && (o.full || !m->type));
	free(copy);
}

static void find_fields(const struct msg *m)
{
	for (int code = 0; code < 256; code++) {
		const char *s = wire_field(m->at, (size_t)(m->end - m->at), (char)code);
		must(!s || ((const uint8_t *)s > m->at && (const uint8_t *)s < m->end
		            && s[-1] == (char)code && code));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *p = malloc(size ? size : 1);
	struct msg m;
	long n;

	must(p);
	memcpy(p, data, size);
	for (size_t at = 0; (n = wire_next(&m, p + at, size - at, LONGEST)) > 0; at += (size_t)n) {
		must(n >= WIRE_HEADER && n <= LONGEST && (size_t)n <= size - at);
		must(m.end == p + at + n && m.at == p + at + WIRE_HEADER && !m.broken);
		read_fields(m, m.at, (size_t)(m.end - m.at));
		find_fields(&m);
		write_again(&m, p + at, (size_t)n);
	}
	must(n == WIRE_MORE || n == WIRE_BAD);
	find_fields(&(struct msg){ .at = p, .end = p + size });
	free(p);
	return 0;
}
