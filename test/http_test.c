/* http_test.c - heads of HTTP requests, whole, in pieces, and broken. */
#include "web/http.c"

#include <stdio.h>
#include <stdlib.h>
#include "t.h"

static const struct {
	const char *head;
	int error, method;
	const char *path;
	bool keep_alive, open_metrics;
} cases[] = {
	{ "GET / HTTP/1.1\r\n\r\n", 0, HTTP_GET, "/", true, false },
	{ "GET / HTTP/1.1\n\n", 0, HTTP_GET, "/", true, false },
	{ "HEAD /a/b?c=d HTTP/1.0\r\n\r\n", 0, HTTP_HEAD, "/a/b", false, false },
	{ "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 0, HTTP_OTHER, "/", true, false },
	{ "GET / HTTP/1.1\r\nconnection:  Close \r\n\r\n", 0, HTTP_GET, "/", false, false },
	{ "GET / HTTP/1.1\r\nConnection: TE, close\r\n\r\n", 0, HTTP_GET, "/", false, false },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, HTTP_GET, "/", true, false },
	{ "GET / HTTP/1.1\r\nAccept: text/plain;q=1, application/openmetrics-text;version=1.0.0\r\n"
	  "X: y\r\n\r\n", 0, HTTP_GET, "/", true, true },
	{ "GET / HTTP/1.1\r\nAccept: application/openmetrics-text;q=0.5,text/plain;q=0.3,*/*;q=0.2\r\n\r\n",
	  0, HTTP_GET, "/", true, true },
	{ "GET / HTTP/1.1\r\nAccept: application/openmetrics-text; q=0.3 , text/plain; q=0.9\r\n\r\n",
	  0, HTTP_GET, "/", true, false },
	{ "GET / HTTP/1.1\r\nAccept: application/openmetrics-text;q=0,text/plain\r\n\r\n",
	  0, HTTP_GET, "/", true, false },
	{ "GET / HTTP/1.1\r\nAccept: application/openmetrics-text;q=1.000\r\n\r\n", 0, HTTP_GET, "/", true, true },
	{ "get / HTTP/1.1\r\n\r\n", 0, HTTP_OTHER, "/", true, false },
	{ "GET http://x:1/a?b HTTP/1.1\r\n\r\n", 0, HTTP_GET, "/a", true, false },
	{ "GET HTTPS://x HTTP/1.1\r\n\r\n", 0, HTTP_GET, "/", true, false },
	{ "GET http:/x HTTP/1.1\r\n\r\n", 400, 0, "", false, false },
	{ "GET httpx HTTP/1.1\r\n\r\n", 400, 0, "", false, false },
	{ "\r\n\r\nGET / HTTP/1.1\r\n\r\n", 0, HTTP_GET, "/", true, false },
	{ "GET / HTTP/1.1\r\nAccept: application/openmetrics-textual\r\n\r\n", 0, HTTP_GET, "/", true, false },
	{ "GET / HTTP/2.0\r\n\r\n", 505, 0, "", false, false },
	{ "GET /\r\n\r\n", 400, 0, "", false, false }, { "GET  HTTP/1.1\r\n\r\n", 400, 0, "", false, false },
	{ " / HTTP/1.1\r\n\r\n", 400, 0, "", false, false }, { "GET a HTTP/1.1\r\n\r\n", 400, 0, "", false, false },
	{ "GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, 0, "", false, false },
	{ "GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400, 0, "", false, false },
	{ "GET / HTTP/1.1\r\nA : x\r\n\r\n", 400, 0, "", false, false },
	{ "GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 413, 0, "", false, false },
	{ "GET / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", 413, 0, "", false, false },
};

static void test_heads(void)
{
	struct http_request r;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *head = cases[i].head;
		size_t len = strlen(head), used = http_parse(&r, head, len);
		say(used == len && r.error == cases[i].error, "%.40s: %d (%d)", head,
			cases[i].error, r.error);
		if (cases[i].error)
			continue;
		say((int)r.method == cases[i].method && r.path_len == strlen(cases[i].path)
		    && !memcmp(r.path, cases[i].path, r.path_len), "its method and path");
		say(r.keep_alive == cases[i].keep_alive && r.open_metrics == cases[i].open_metrics,
			"what it asks for");
		bool waits = true;
		for (size_t n = 0; n < len; n++)
			waits &= http_parse(&r, head, n) == 0 && !r.error;
		say(waits, "it waits for its end");
	}
}

static void test_long(void)
{
	static char long_[HTTP_HEAD_MAX + 1];
	struct http_request r;

	memset(long_, 'x', sizeof long_);
	say(!http_parse(&r, long_, HTTP_HEAD_MAX - 1) && !r.error, "a long line may go on");
	say(http_parse(&r, long_, HTTP_HEAD_MAX) && r.error == 414, "but not for ever");
	long_[100] = '\n';
	say(http_parse(&r, long_, HTTP_HEAD_MAX) && r.error == 431, "nor may fields");
	say(http_parse(&r, "GET\0 / HTTP/1.1\r\n\r\n", 19) && r.error == 400, "no zero bytes");
}

int main(void)
{
	test_heads();
	test_long();
	return done();
}
