#include "program/ping.h"

#include "wire.h"

#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE = 3000 };                       /* ms for each step */

/* Where a program of the same host finds it. */
static const char *near(const char *host)
{
	static const char *const all[] = { "*", "0.0.0.0", "::" };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (!strcmp(host, all[i]))
			return "localhost";
	return host;
}

/* -1: nobody is there. */
static int connect_to(const struct sockaddr *to, socklen_t len)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval limit = { PATIENCE / 1000, 0 };

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, to, len) == 0)
		return fd;
	close(fd);
	return -1;
}

static int connect_tcp(const struct conf_list *hosts, int64_t port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	char service[16];
	int fd = -1;

	snprintf(service, sizeof service, "%d", (int)port);
	if (!hosts->n || getaddrinfo(near(hosts->item[0]), service, &hints, &found))
		return -1;
	for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
		fd = connect_to(a->ai_addr, a->ai_addrlen);
	freeaddrinfo(found);
	return fd;
}

static int connect_unix(const struct conf_list *directories, int64_t port)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (!directories->n
	    || snprintf(to.sun_path, sizeof to.sun_path, "%s/.s.PGSQL.%d",
	                directories->item[0], (int)port) >= (int)sizeof to.sun_path)
		return -1;
	return connect_to((const struct sockaddr *)&to, sizeof to);
}

/* All that comes, up to the end of the connection or of the block. */
static size_t ask(int fd, const void *question, size_t len, char *answer, size_t size,
                  size_t enough)
{
	size_t n = 0;

	if (send(fd, question, len, MSG_NOSIGNAL) != (ssize_t)len)
		return 0;
	for (ssize_t got; n < enough && n < size - 1; n += (size_t)got)
		if ((got = recv(fd, answer + n, size - 1 - n, 0)) <= 0)
			break;
	answer[n] = '\0';
	return n;
}

static int ask_http(const struct conf *c)
{
	static const char question[] = "GET /readyz HTTP/1.0\r\n\r\n";
	char answer[4096];
	int fd = connect_tcp(&c->metrics_listen_addresses, c->metrics_port);

	if (fd < 0)
		return PING_NO_ANSWER;
	size_t n = ask(fd, question, sizeof question - 1, answer, sizeof answer, sizeof answer);
	close(fd);
	const char *body = strstr(answer, "\r\n\r\n");
	if (n < 12 || strncmp(answer, "HTTP/1.", 7) || !body)
		return PING_NO_ANSWER;
	fputs(body + 4, stdout);
	return strncmp(answer + 9, "200", 3) ? PING_NOT_READY : PING_READY;
}

static int ask_port(const struct conf *c)
{
	uint8_t block[16];
	struct put o = { .base = block, .cap = sizeof block };
	char answer[4];
	int fd = connect_tcp(&c->listen_addresses, c->port);

	if (fd < 0)
		fd = connect_unix(&c->unix_socket_directories, c->port);
	if (fd < 0)
		return PING_NO_ANSWER;
	put_begin(&o, 0);
	put_u32(&o, WIRE_SSL);
	put_end(&o);
	size_t n = ask(fd, block, o.len, answer, sizeof answer, 1);
	close(fd);
	if (!n)
		return PING_NO_ANSWER;
	puts("it answers");
	return PING_READY;
}

int ping_run(const struct conf *c)
{
	int status = c->metrics_listen_addresses.n ? ask_http(c) : ask_port(c);

	if (status == PING_NO_ANSWER)
		puts("no answer");
	return status;
}
