/* secure_test.c - the sockets of connections to nodes: how long they outlive a node that is gone. */
#include "server/secure.c"

#include <arpa/inet.h>

#include "t.h"

void log_record(struct log *l, struct log_who *who, enum level v, const char *place,
	const char *detail, const char *hint, const char *fmt, ...)
{
	(void)l, (void)who, (void)v, (void)place, (void)detail, (void)hint, (void)fmt;
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;

	return getsockopt(fd, level, name, &value, &len) == 0 ? value : -1;
}

static int tcp(int fd, int name)
{
	return option(fd, IPPROTO_TCP, name);
}

int main(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage at = { .ss_family = AF_INET };
	socklen_t len = sizeof any;
	int door = socket(AF_INET, SOCK_STREAM, 0), system = tcp(door, TCP_KEEPIDLE);

	if (bind(door, (struct sockaddr *)&any, len) < 0 || listen(door, 8) < 0
	    || getsockname(door, (struct sockaddr *)&any, &len) < 0)
		return 1;
	memcpy(&at, &any, len);
	struct conf conf = { .tcp_keepalives_idle = 11, .tcp_keepalives_interval = 7,
		.tcp_keepalives_count = 4, .tcp_user_timeout = 23456 };
	int fd = secure_connect(&conf, &at, len);
	say(fd >= 0 && option(fd, SOL_SOCKET, SO_KEEPALIVE) == 1 && tcp(fd, TCP_NODELAY) == 1,
	    "keepalives, no delay");
	say(tcp(fd, TCP_KEEPIDLE) == 11 && tcp(fd, TCP_KEEPINTVL) == 7 && tcp(fd, TCP_KEEPCNT) == 4,
	    "as they are set");
	say(tcp(fd, TCP_USER_TIMEOUT) == 23456, "what is not acknowledged ends the connection");
	conf = (struct conf){ .tcp_keepalives_idle = 0 };
	int other = secure_connect(&conf, &at, len);
	say(other >= 0 && tcp(other, TCP_KEEPIDLE) == system && tcp(other, TCP_USER_TIMEOUT) == 0,
	    "0: the system's");
	close(fd);
	close(other);
	close(door);
	return done();
}
