#include "web/http.h"

#include <string.h>
#include <strings.h>

const char *http_status(int code)
{
	static const struct { int code; const char *text; } codes[] = {
		{ 200, "200 OK" }, { 400, "400 Bad Request" }, { 404, "404 Not Found" },
		{ 405, "405 Method Not Allowed" }, { 413, "413 Content Too Large" },
		{ 414, "414 URI Too Long" }, { 431, "431 Request Header Fields Too Large" },
		{ 503, "503 Service Unavailable" }, { 505, "505 HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (codes[i].code == code)
			return codes[i].text;
	return "500 Internal Server Error";
}

/* A piece of the head. */
struct span { const char *at; size_t len; };

static bool is(struct span s, const char *text)
{
	return s.len == strlen(text) && !strncasecmp(s.at, text, s.len);
}

/* The next piece up to `stop`, which is taken away, too. */
static struct span until(struct span *rest, char stop)
{
	const char *end = memchr(rest->at, stop, rest->len);
	struct span s = { rest->at, end ? (size_t)(end - rest->at) : rest->len };
	size_t taken = s.len + (end != NULL);

	rest->at += taken;
	rest->len -= taken;
	return s;
}

static struct span trimmed(struct span s)
{
	while (s.len && strchr(" \t\r", s.at[s.len - 1]))
		s.len--;
	while (s.len && strchr(" \t", *s.at))
		s.at++, s.len--;
	return s;
}

/* Does a list of words, each maybe with parameters behind ";", have this one? */
static bool lists(struct span list, const char *word)
{
	while (list.len) {
		struct span item = until(&list, ',');
		if (is(trimmed(until(&item, ';')), word))
			return true;
	}
	return false;
}

static void read_line(struct http_request *r, struct span line)
{
	struct span method = until(&line, ' '), target = until(&line, ' '),
		version = trimmed(line);

	r->method = is(method, "GET") ? HTTP_GET : is(method, "HEAD") ? HTTP_HEAD : HTTP_OTHER;
	r->keep_alive = is(version, "HTTP/1.1");
	if (version.len < 7 || strncmp(version.at, "HTTP/", 5))
		r->error = 400;
	else if (version.at[5] != '1' || version.at[6] != '.')
		r->error = 505;
	else if (!method.len || !target.len || *target.at != '/')
		r->error = 400;
	struct span path = until(&target, '?');
	r->path = path.at;
	r->path_len = path.len;
}

static void read_field(struct http_request *r, struct span line)
{
	bool colon = memchr(line.at, ':', line.len);
	struct span name = until(&line, ':'), value = trimmed(line);

	if (!colon || !name.len || strchr(" \t", name.at[name.len - 1]) || strchr(" \t", *name.at))
		r->error = 400;                 /* RFC 9112, 5.1 and 5.2 */
	else if (is(name, "Connection"))
		r->keep_alive = lists(value, "keep-alive")
		                || (r->keep_alive && !lists(value, "close"));
	else if (is(name, "Accept"))
		r->open_metrics |= lists(value, "application/openmetrics-text");
	else if (is(name, "Transfer-Encoding") || (is(name, "Content-Length") && !is(value, "0")))
		r->error = 413;
}

/* Behind its head, with the empty line; 0: that is not there. */
static size_t head_len(const char *p, size_t n)
{
	for (const char *at = p, *end; (end = memchr(at, '\n', n - (size_t)(at - p))); at = end + 1)
		if (at > p && (end == at || (end == at + 1 && *at == '\r')))
			return (size_t)(end + 1 - p);
	return 0;
}

size_t http_parse(struct http_request *r, const char *p, size_t n)
{
	size_t len = head_len(p, n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX);
	struct span rest = { p, len };

	*r = (struct http_request){ .method = HTTP_OTHER, .path = p };
	if (memchr(p, '\0', len ? len : n))
		r->error = 400;
	else if (!len && n >= HTTP_HEAD_MAX)
		r->error = memchr(p, '\n', n) ? 431 : 414;
	if (r->error)
		return n;
	if (!len)
		return 0;
	read_line(r, until(&rest, '\n'));
	while (rest.len && !r->error) {
		struct span line = until(&rest, '\n');
		if (trimmed(line).len)
			read_field(r, line);
	}
	r->keep_alive &= !r->error;
	return r->error ? n : len;
}
