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

static bool same(struct span s, const char *text)
{
	return s.len == strlen(text) && !memcmp(s.at, text, s.len);
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

/* "0.125" in thousandths. */
static unsigned thousandths(struct span s)
{
	unsigned n = s.len && *s.at == '1' ? 1000 : 0;

	for (size_t i = 2, unit = 100; i < s.len && unit && n < 1000; i++, unit /= 10)
		if (s.at[i] >= '0' && s.at[i] <= '9')
			n += (unsigned)((size_t)(s.at[i] - '0') * unit);
	return n;
}

/* The weight that Accept gives to this media type, in thousandths (RFC 9110, 12.4.2); 0: it does
 * not name it, or does not want it. */
static unsigned weight(struct span list, const char *type)
{
	while (list.len) {
		struct span item = until(&list, ',');
		if (!is(trimmed(until(&item, ';')), type))
			continue;
		while (item.len) {
			struct span value = until(&item, ';'), name = until(&value, '=');
			if (is(trimmed(name), "q"))
				return thousandths(trimmed(value));
		}
		return 1000;
	}
	return 0;
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

/* "http://host/path" is what proxies are sent, and servers must understand (RFC 9112, 3.2.2). */
static void without_host(struct span *target)
{
	static const char scheme[] = "http";
	struct span s = *target;

	if (s.len < sizeof scheme || strncasecmp(s.at, scheme, 4))
		return;
	size_t skip = 4 + (s.at[4] == 's' || s.at[4] == 'S');
	if (s.len < skip + 4 || memcmp(s.at + skip, "://", 3))
		return;
	const char *path = memchr(s.at + skip + 3, '/', s.len - skip - 3);
	*target = path ? (struct span){ path, s.len - (size_t)(path - s.at) }
	               : (struct span){ "/", 1 };
}

static void read_line(struct http_request *r, struct span line)
{
	struct span method = until(&line, ' '), target = until(&line, ' '),
		version = trimmed(line);

	r->method = same(method, "GET") ? HTTP_GET : same(method, "HEAD") ? HTTP_HEAD : HTTP_OTHER;
	r->keep_alive = is(version, "HTTP/1.1");
	if (version.len < 7 || strncmp(version.at, "HTTP/", 5))
		r->error = 400;
	else if (version.at[5] != '1' || version.at[6] != '.')
		r->error = 505;
	without_host(&target);
	if (!r->error && (!method.len || !target.len || *target.at != '/'))
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
		r->open_metrics = weight(value, "application/openmetrics-text")
		                  && weight(value, "application/openmetrics-text")
		                     >= weight(value, "text/plain");
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
	size_t most = n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX, blank = 0;

	while (blank < most && (p[blank] == '\r' || p[blank] == '\n'))
		blank++;                        /* RFC 9112, 2.2: empty lines in front */
	size_t head = head_len(p + blank, most - blank), len = head ? blank + head : 0;
	struct span rest = { p + blank, head };

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
