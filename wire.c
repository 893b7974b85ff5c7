#include "wire.h"

#include <stdlib.h>
#include <string.h>

long wire_next(struct msg *m, const uint8_t *p, size_t n, size_t max)
{
	if (n < WIRE_HEADER)
		return WIRE_MORE;
	uint32_t len = wire_u32(p + 1);
	if (len < 4 || (size_t)len + 1 > max)
		return WIRE_BAD;
	if ((size_t)len + 1 > n)
		return WIRE_MORE;
	*m = (struct msg){ .type = (char)p[0], .at = p + WIRE_HEADER, .end = p + 1 + len };
	return (long)len + 1;
}

static const uint8_t *take(struct msg *m, size_t n)
{
	if (m->broken || (size_t)(m->end - m->at) < n) {
		m->broken = true;
		m->at = m->end;
		return NULL;
	}
	m->at += n;
	return m->at - n;
}

uint32_t msg_u32(struct msg *m)
{
	const uint8_t *p = take(m, 4);

	return p ? wire_u32(p) : 0;
}

uint16_t msg_u16(struct msg *m)
{
	const uint8_t *p = take(m, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

const char *msg_text(struct msg *m)
{
	const uint8_t *zero = m->broken ? NULL : memchr(m->at, 0, (size_t)(m->end - m->at));

	if (!zero) {
		m->broken = true;
		m->at = m->end;
		return "";
	}
	const char *s = (const char *)m->at;
	m->at = zero + 1;
	return s;
}

const char *wire_field(const uint8_t *body, size_t len, char code)
{
	struct msg m = { .at = body, .end = body + len };

	while (m.at < m.end && *m.at) {
		char c = (char)*m.at++;
		const char *s = msg_text(&m);
		if (m.broken)
			return NULL;
		if (c == code)
			return s;
	}
	return NULL;
}

void put_bytes(struct put *o, const void *p, size_t n)
{
	if (o->full || n > o->cap - o->len) {
		o->full = true;
		return;
	}
	if (n)
		memcpy(o->base + o->len, p, n);
	o->len += n;
}

void put_byte(struct put *o, uint8_t v)
{
	put_bytes(o, &v, 1);
}

void put_u16(struct put *o, uint16_t v)
{
	put_bytes(o, (uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

static void store_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

void put_u32(struct put *o, uint32_t v)
{
	uint8_t b[4];

	store_u32(b, v);
	put_bytes(o, b, 4);
}

void put_text(struct put *o, const char *s)
{
	put_bytes(o, s, strlen(s) + 1);
}

void put_begin(struct put *o, char type)
{
	if (type)
		put_byte(o, (uint8_t)type);
	o->mark = o->len;
	put_u32(o, 0);
}

void put_end(struct put *o)
{
	if (!o->full)
		store_u32(o->base + o->mark, (uint32_t)(o->len - o->mark));
}

void put_message(struct put *o, char type, const void *body, size_t n)
{
	put_begin(o, type);
	put_bytes(o, body, n);
	put_end(o);
}

void put_query(struct put *o, const char *sql)
{
	put_message(o, 'Q', sql, strlen(sql) + 1);
}

void put_ready(struct put *o, char status)
{
	put_message(o, 'Z', &status, 1);
}

static void put_field(struct put *o, char code, const char *text)
{
	if (!text)
		return;
	put_byte(o, (uint8_t)code);
	put_text(o, text);
}

void put_report(struct put *o, char type, const struct report *r)
{
	put_begin(o, type);
	put_field(o, 'S', r->severity);
	put_field(o, 'V', r->severity);
	put_field(o, 'C', r->sqlstate);
	put_field(o, 'M', r->message);
	put_field(o, 'D', r->detail);
	put_field(o, 'H', r->hint);
	put_byte(o, 0);
	put_end(o);
}

void wire_mask(char *text)
{
	for (uint8_t *p = (uint8_t *)text; *p; ) {
		unsigned n = wire_utf8(p);
		if (!n)
			*p = '?';
		p += n ? n : 1;
	}
}

unsigned wire_utf8(const uint8_t *p)
{
	unsigned n = *p < 0x80 ? 1 : *p < 0xc2 || *p > 0xf4 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;

	for (unsigned i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	bool bad = (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f)
	           || (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f);
	return bad ? 0 : n;
}

uint64_t wire_lsn(const char *text)
{
	static const char digits[] = "0123456789ABCDEFabcdef";
	size_t high = strspn(text, digits);

	if (high < 1 || high > 8 || text[high] != '/')
		return 0;
	size_t low = strspn(text + high + 1, digits);
	if (low < 1 || low > 8 || text[high + 1 + low])
		return 0;
	return strtoull(text, NULL, 16) << 32 | strtoull(text + high + 1, NULL, 16);
}
