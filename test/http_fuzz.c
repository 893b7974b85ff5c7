/* http_fuzz.c - http_parse() on any bytes: what it finds lies within them, and it never goes on
 * behind a request that it did not understand. */
#include "web/http.c"

#include <stdint.h>
#include <stdlib.h>

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = malloc(n ? n : 1);         /* so that a byte too far is seen */
	struct http_request r;

	memcpy(copy, data, n);
	size_t used = http_parse(&r, copy, n);
	check(used <= n);
	check(!r.error || (used == n && !r.keep_alive));
	if (used && !r.error)
		check(r.path >= copy && r.path + r.path_len <= copy + used && *r.path == '/');
	if (!used)
		check(n < HTTP_HEAD_MAX);
	free(copy);
	return 0;
}
