/* web/http.h - the head of an HTTP request (RFC 9112), read where it lies.
 *
 * Pure: bytes in, facts out.  What is understood is what monitoring needs: GET and HEAD without a
 * body, in HTTP/1.0 and 1.1.  All else is an answer with an error, after which the connection ends:
 * nobody knows where the next request would begin.
 */
#ifndef WEB_HTTP_H
#define WEB_HTTP_H

#include <stdbool.h>
#include <stddef.h>

enum { HTTP_HEAD_MAX = 8192 };                  /* bytes */

struct http_request {
	enum { HTTP_GET, HTTP_HEAD, HTTP_OTHER } method;
	const char *path;                       /* without the query behind "?"; not terminated */
	size_t path_len;
	bool keep_alive;
	bool open_metrics;                      /* Accept prefers application/openmetrics-text */
	int error;                              /* 0, or the status to answer with: 400, 413, 414,
	                                         * 431, 505 */
};

/* The length of the head at p; 0: there is more of it to come.  With an error it is n. */
size_t http_parse(struct http_request *r, const char *p, size_t n);

/* "404 Not Found" */
const char *http_status(int code);

#endif
