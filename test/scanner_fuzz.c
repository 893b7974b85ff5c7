/* scanner_fuzz.c - any bytes as what a server sends, cut anywhere.
 *
 *     0..3   how the stream is cut: below 128 so many bytes at a time, else about SCANNER_WHOLE
 *     4      asked: two bits for each of the first four replies, N S A A
 *     5      which of the messages that are shown are dropped
 *     6      from 128 on: where in the stream a long filler lies
 *     7      behind so many pieces somebody asks, whoever asked before; 0: never
 *     8...   the stream
 *
 * All is told that is told of the uncut stream, unless somebody asks in between. */
#include "server/scanner.c"

#include "scanner_heard.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 8, FILLER = SCANNER_WHOLE + 256, PIECES = 100 };

static void must(const struct heard *h, bool cond)
{
	if (cond && !h->wrong)
		return;
	fprintf(stderr, "wrong: line %d\n", h->wrong);
	abort();
}

static size_t piece(const uint8_t *data, size_t i)
{
	uint8_t how = data[i % 4];

	return how < 128 ? how + 1u : SCANNER_WHOLE - 192u + how;
}

/* The bytes that have a fate are in front of those that have none: these are kept, or were not
 * looked at behind something bad. */
static void account(const struct heard *h)
{
	const char *none = h->n ? memchr(h->fates, NOT_YET, h->n) : NULL;

	must(h, (none ? (size_t)(none - h->fates) : h->n) == h->at);
	must(h, h->bad || h->at + h->kept == h->n);
	for (size_t i = h->at; i < h->n; i++)
		must(h, h->fates[i] == NOT_YET);
}

static void feed_pieces(struct heard *h, const uint8_t *data)
{
	for (size_t i = 0; h->fed < h->n && !h->bad; i++) {
		size_t left = h->n - h->fed, n = i < PIECES ? piece(data, i) : left;
		if (data[7] && i == data[7])
			h->asked = "AAAA";
		heard_feed(h, n < left ? n : left);
		must(h, h->bad || h->at + h->kept == h->fed);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < HEAD || size > 1 << 16)
		return 0;
	size_t n = size - HEAD, filler = data[6] >= 128 ? FILLER : 0, place = data[6] & 127;
	size_t before = place < n ? place : n;
	uint8_t *stream = heard_alloc(n + filler);
	memcpy(stream, data + HEAD, before);
	memset(stream + before, 'N', filler);
	memcpy(stream + before + filler, data + HEAD + before, n - before);

	char asked[5] = "";
	for (int i = 0; i < 4; i++)
		asked[i] = "NSAA"[data[4] >> 2 * i & 3];

	struct heard once, cut;
	heard_begin(&once, stream, n + filler, asked, data[5] * UINT64_C(0x0101010101010101));
	heard_begin(&cut, stream, n + filler, asked, once.drops);
	heard_feed(&once, once.n);
	account(&once);
	feed_pieces(&cut, data);
	account(&cut);
	must(&cut, data[7] || heard_same(&once, &cut));
	heard_end(&once);
	heard_end(&cut);
	free(stream);
	return 0;
}
