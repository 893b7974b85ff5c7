#include "net/listen.h"

#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { ACCEPT_BATCH = 64, PAUSE = 100 /* ms */ };

struct listener {
	struct watch watch;
	struct listeners *all;
	struct listener *next;
	char path[sizeof ((struct sockaddr_un *)0)->sun_path];  /* "" for TCP */
};

/* --- accepting ----------------------------------------------------------- */

static void accepting(struct listeners *all, bool on)
{
	for (struct listener *l = all->first; l; l = l->next)
		watch_want(all->base->loop, &l->watch, on ? POLLIN : 0);
}

static void go_on(struct timer *t)
{
	accepting(OWNER(t, struct listeners, pause), true);
}

/* Waiting connections would wake us at once, and in vain. */
static void pause_a_moment(struct listeners *all)
{
	all->pause.fire = go_on;
	if (timer_set(all->base->loop, &all->pause, PAUSE) == 0)
		accepting(all, false);
}

/* No descriptor is left: gives up the reserve, says so to one client, takes the reserve again.
 * false: no client waits, for accept4() looks for a descriptor first; or there is no reserve. */
static bool refuse_one(struct listeners *all, int fd)
{
	uint8_t block[256];
	struct put o = { .base = block, .cap = sizeof block };

	close(all->reserve);
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), error = errno;
	put_report(&o, 'E', &(struct report){ "FATAL", "53300", "Sorry, too many clients already",
		"All file descriptors of the proxy are in use.",
		"Raise its limit of open files." });
	if (client >= 0) {
		send(client, o.base, o.len, MSG_NOSIGNAL);
		/* Closing with the startup packet unread would reset the connection, and the
		 * client might never see why. */
		shutdown(client, SHUT_WR);
		recv(client, block, sizeof block, MSG_DONTWAIT);
		close(client);
	}
	all->reserve = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (all->reserve < 0)
		all->reserve = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client >= 0)
		log_write(all->base->log, NULL, LEVEL_LOG, NULL, "raise the limit of open files",
			"a client was refused: all file descriptors are in use");
	errno = error;
	return client >= 0;
}

static void acceptable(struct watch *w, short revents)
{
	struct listener *l = OWNER(w, struct listener, watch);
	struct listeners *all = l->all;
	unsigned room = all->room(all->ctx);

	(void)revents;
	for (unsigned i = 0; i < room && i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage peer = { 0 };
		socklen_t len = sizeof peer;
		int fd = accept4(w->fd, (struct sockaddr *)&peer, &len,
			SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			if (*l->path)
				peer.ss_family = AF_UNIX;
			all->accepted(all->ctx, fd, &peer);
			break;          /* looking for another is costly: it makes a socket */
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		bool full = errno == EMFILE || errno == ENFILE;
		if (full && all->yield(all->ctx))
			break;
		if (full && refuse_one(all, w->fd))
			continue;
		if (errno != EAGAIN)
			pause_a_moment(all);
		break;
	}
	net_flush(all->base->net);
}

/* --- opening ------------------------------------------------------------- */

static int add(struct listeners *all, int fd, const char *path)
{
	struct listener *l = calloc(1, sizeof *l);

	if (!l || watch_start(all->base->loop, &l->watch, fd, POLLIN) < 0) {
		free(l);
		close(fd);
		errno = ENOMEM;
		return -1;
	}
	l->watch.ready = acceptable;
	l->all = all;
	snprintf(l->path, sizeof l->path, "%s", path);
	l->next = all->first;
	all->first = l;
	return 0;
}

static int bind_and_listen(int fd, const struct sockaddr *at, socklen_t len,
                           const struct addresses *where)
{
	if (fd >= 0 && bind(fd, at, len) == 0 && listen(fd, where->backlog) == 0)
		return fd;
	int error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

static int open_tcp(struct listeners *all, const struct sockaddr *at, socklen_t len,
                    const struct addresses *where)
{
	int fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		/* Accepted sockets inherit these. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
		if (at->sa_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	}
	fd = bind_and_listen(fd, at, len, where);
	return fd < 0 ? -1 : add(all, fd, "");
}

/* Both families of "*" or "localhost": one of them is enough. */
static int open_both(struct listeners *all, const struct addresses *where, struct in_addr v4,
                     struct in6_addr v6)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)where->port),
		.sin_addr = v4 };
	struct sockaddr_in6 b = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)where->port), .sin6_addr = v6 };

	int first = open_tcp(all, (const struct sockaddr *)&a, sizeof a, where), error = errno;
	int second = open_tcp(all, (const struct sockaddr *)&b, sizeof b, where);
	if (first == 0 || (second == 0 && error != EADDRINUSE))
		return 0;
	errno = error;
	return -1;
}

static int open_address(struct listeners *all, const char *host, const struct addresses *where)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list;
	char port[8];

	if (!strcmp(host, "*"))
		return open_both(all, where, (struct in_addr){ htonl(INADDR_ANY) }, in6addr_any);
	if (!strcmp(host, "localhost"))
		return open_both(all, where, (struct in_addr){ htonl(INADDR_LOOPBACK) },
			in6addr_loopback);
	snprintf(port, sizeof port, "%d", where->port);
	if (getaddrinfo(host, port, &hints, &list) != 0) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	int bad = 0;
	for (const struct addrinfo *a = list; a && !bad; a = a->ai_next)
		bad = open_tcp(all, a->ai_addr, a->ai_addrlen, where);
	freeaddrinfo(list);
	return bad;
}

/* A socket file that nobody answers on was left by a dead program. */
static void remove_stale(const struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof *un) < 0
	    && errno == ECONNREFUSED)
		unlink(un->sun_path);
	if (fd >= 0)
		close(fd);
}

static gid_t group_of(const char *name)
{
	char *end;
	long n = strtol(name, &end, 10);
	const struct group *g = *end ? getgrnam(name) : NULL;

	return !*name ? (gid_t)-1 : !*end ? (gid_t)n : g ? g->gr_gid : (gid_t)-1;
}

static int open_unix(struct listeners *all, const char *dir, const struct addresses *where)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int n = snprintf(un.sun_path, sizeof un.sun_path, "%s/.s.PGSQL.%d", dir, where->port);

	if (n >= (int)sizeof un.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	remove_stale(&un);
	int fd = bind_and_listen(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
		(const struct sockaddr *)&un, sizeof un, where);
	if (fd < 0)
		return -1;
	gid_t group = group_of(where->group);
	if ((*where->group && chown(un.sun_path, (uid_t)-1, group) < 0)
	    || chmod(un.sun_path, (mode_t)where->permissions) < 0) {
		int error = errno;
		close(fd);
		unlink(un.sun_path);
		errno = error;
		return -1;
	}
	return add(all, fd, un.sun_path);
}

int listeners_open(struct listeners *all, const struct addresses *where)
{
	struct log *log = all->base->log;

	all->reserve = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (size_t i = 0; i < where->hosts->n; i++) {
		const char *host = where->hosts->item[i];
		log_write(log, NULL, LEVEL_LOG, NULL, NULL, "listen address[%zu]: %s", i, host);
		log_write(log, NULL, LEVEL_LOG, NULL, NULL, "Setting up socket for %s:%d", host,
			where->port);
		if (open_address(all, host, where) < 0) {
			log_write(log, NULL, LEVEL_FATAL, strerror(errno), NULL,
				"failed to bind a socket: \"%s:%d\"", host, where->port);
			return -1;
		}
	}
	for (size_t i = 0; i < where->directories->n; i++) {
		const char *dir = where->directories->item[i];
		log_write(log, NULL, LEVEL_LOG, NULL, NULL,
			"create socket files[%zu]: %s/.s.PGSQL.%d", i, dir, where->port);
		if (open_unix(all, dir, where) == 0)
			continue;
		int error = errno;
		bool skip = all->may_lack_directories && access(dir, W_OK | X_OK) < 0;
		log_write(log, NULL, skip ? LEVEL_WARNING : LEVEL_FATAL, strerror(error), NULL,
			"failed to bind a socket: \"%s/.s.PGSQL.%d\"", dir, where->port);
		if (!skip)
			return -1;
	}
	return 0;
}

void listeners_close(struct listeners *all)
{
	if (!all->base)
		return;
	timer_stop(all->base->loop, &all->pause);
	while (all->first) {
		struct listener *l = all->first;
		all->first = l->next;
		watch_stop(all->base->loop, &l->watch);
		close(l->watch.fd);
		if (*l->path)
			unlink(l->path);
		free(l);
	}
}
