#include "wire/base64.h"

size_t base64_len(size_t len)
{
	return (len + 2) / 3 * 4;
}

void base64_encode(char *out, const uint8_t *in, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i;
		uint32_t w = (uint32_t)in[i] << 16;

		if (have > 1)
			w |= (uint32_t)in[i + 1] << 8;
		if (have > 2)
			w |= in[i + 2];
		*out++ = digits[w >> 18];
		*out++ = digits[w >> 12 & 63];
		*out++ = have > 1 ? digits[w >> 6 & 63] : '=';
		*out++ = have > 2 ? digits[w & 63] : '=';
	}
	*out = '\0';
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(uint8_t *out, size_t size, const char *in, size_t len)
{
	size_t pad = 0, n = 0;
	uint32_t w = 0;

	while (pad < 2 && pad < len && in[len - 1 - pad] == '=')
		pad++;
	if (len % 4 || len / 4 * 3 > size + pad)
		return -1;

	for (size_t i = 0; i < len; i++) {
		int v = i < len - pad ? base64_value(in[i]) : 0;

		if (v < 0)
			return -1;
		w = w << 6 | (uint32_t)v;
		if (i % 4 < 3)
			continue;
		for (int shift = 16; shift >= 0 && n < len / 4 * 3 - pad; shift -= 8)
			out[n++] = (uint8_t)(w >> shift);
	}
	if (w & (pad == 2 ? 0xffffu : pad == 1 ? 0xffu : 0u))   /* bits that belong to no byte */
		return -1;
	return (int)n;
}
