/* pcp_fuzz.c - any bytes from somebody who connects to PCP, in pieces, before a login and after one:
 * every reply is a whole message, and nobody is left over.
 *
 * The first byte says who it is and how large the pieces are. */
#include "net.c"
#include "loop.c"
#include "net/crowd.c"
#include "pcp.c"

#include <fcntl.h>
#include <sys/un.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(cond) do { if (!(cond)) abort(); } while (0)

/* --- the rest of the program --------------------------------------------- */

enum { ROWS = 700, WIDE = 200 };

static struct conf conf = { .nnodes = 3, .authentication_timeout = 60 };

int listeners_open(struct listeners *all, const struct addresses *at)
{
	(void)all, (void)at;
	return 0;
}

void listeners_close(struct listeners *all)
{
	(void)all;
}

void log_record(struct log *l, struct log_who *who, enum level v, const char *place,
	const char *detail, const char *hint, const char *fmt, ...)
{
	(void)l, (void)who, (void)v, (void)place, (void)detail, (void)hint, (void)fmt;
}

const char *log_level_name(enum level v)
{
	return v == LEVEL_FATAL ? "FATAL" : "ERROR";
}

int log_rotate(struct log *l)
{
	(void)l;
	errno = EINVAL;
	return -1;
}

const struct passwd_entry *passwd_find(const struct passwd *p, const char *user)
{
	(void)p, (void)user;
	return NULL;
}

void md5_password(char out[static 36], const char *password, size_t len, const char *user)
{
	(void)password, (void)len, (void)user;
	memset(out, 'x', 36);
}

void md5_answer(char out[static 36], const char stored[static 35], const uint8_t salt[static 4])
{
	(void)salt;
	memcpy(out, stored, 35);
}

bool scram_equal(const void *a, const void *b, size_t n)
{
	return !memcmp(a, b, n);
}

const struct conf_node node_nobody = { .hostname = "" };

/* Wide rows, so that some replies take many blocks. */
static void print(const struct admin_row *row, char out[static ADMIN_TEXT])
{
	memset(out, 'x', WIDE);
	out[WIDE] = '\0';
	(void)row;
}

static size_t count_rows(const struct admin *a)
{
	(void)a;
	return ROWS;
}

static bool find(const struct admin *a, size_t at, struct admin_row *row)
{
	*row = (struct admin_row){ .admin = a };
	return at < ROWS;
}

static const struct admin_column columns[] = { { "a", print }, { "b", print } };
#define FAKE { NULL, 2, columns, count_rows, find }
const struct admin_table admin_nodes = FAKE, admin_health_checks = FAKE, admin_pools = FAKE,
	admin_parameters = FAKE;

uint32_t admin_processes(const struct admin *a)
{
	(void)a;
	return ROWS / 7;
}

size_t admin_pools_each(const struct admin *a)
{
	(void)a;
	return 7;
}

static int stops, reloads;

static void stop_it(void *ctx, int number_of)
{
	(void)ctx;
	must(number_of == SIGTERM || number_of == SIGINT || number_of == SIGQUIT);
	stops++;
}

/* What the program does may use the scratch block. */
static int reload_it(void *ctx, char why[static PCP_WHY])
{
	struct pcp *p = ctx;

	memset(p->base->net->scratch, 0xff, sizeof p->base->net->scratch);
	snprintf(why, PCP_WHY, "%s", reloads % 2 ? "wrong" : "");
	return reloads++ % 3 == 2 ? -1 : 0;
}

/* --- the other end ------------------------------------------------------- */

/* What the peer has received so far, and how many whole messages that were. */
struct peer {
	int fd;
	uint8_t kept[2 * NET_BUILD];
	size_t n;
	unsigned long messages;
};

static void check_messages(struct peer *peer)
{
	struct msg m;
	size_t at = 0;
	long len;

	while ((len = wire_next(&m, peer->kept + at, peer->n - at, NET_BUILD)) > 0) {
		must(strchr("EmrlihnpbcdtzvaN", m.type));
		must(m.type == 'm' || m.at == m.end || m.end[-1] == '\0' || m.type == 'b');
		at += (size_t)len;
		peer->messages++;
	}
	must(len == WIRE_MORE);
	memmove(peer->kept, peer->kept + at, peer->n -= at);
}

/* true: there was something. */
static bool take_some(struct peer *peer)
{
	ssize_t got = recv(peer->fd, peer->kept + peer->n, sizeof peer->kept - peer->n, MSG_DONTWAIT);

	if (got <= 0)
		return false;
	peer->n += (size_t)got;
	check_messages(peer);
	return true;
}

/* Lets the caller's socket fire until nothing more comes of it. */
static void settle_all(struct pcp *p, struct peer *peer, short events)
{
	bool more;

	do {
		struct caller *c = p->first;
		if (c && c->conn.watch.events & events)
			ready(&c->conn.watch, c->conn.watch.events & events);
		loop_finish(p->base->loop);
		more = take_some(peer);
		events = POLLOUT;
	} while (more && p->first);
	while (take_some(peer))
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pcp_ops ops = { stop_it, reload_it };
	static struct base base;
	static struct nodes *nodes;
	static struct pcp p;
	static struct peer peer;
	struct sockaddr_storage at = { .ss_family = AF_UNIX };
	int pair[2];

	if (!p.base) {
		p.base = &base;
		base.conf = &conf;
		base.loop = loop_new();
		base.net = net_new(base.loop);
		p.nodes = nodes = calloc(1, sizeof *nodes + 3 * sizeof nodes->node[0]);
		must(nodes);
		nodes->base = &base;
		for (int i = 0; i < 3; i++) {
			nodes->node[i] = (struct node){ .all = nodes, .id = i };
			conf.node[i] = (struct conf_node){ .hostname = (char *)"h", .used = i != 1,
				.flag = i ? NODE_DISALLOW_TO_FAILOVER : NODE_ALLOW_TO_FAILOVER };
		}
		p.ops = &ops;
		p.ctx = &p;
	}
	if (!size)
		return 0;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
	peer = (struct peer){ .fd = pair[1] };
	accepted(&p, pair[0], &at);
	must(p.open == 1);
	if (data[0] & 1)
		enter(p.first, CALLER_READY);
	size_t piece = (data[0] >> 1) + 1;
	for (data++, size--; size && p.first; ) {
		size_t n = size < piece ? size : piece;
		must(send(peer.fd, data, n, MSG_NOSIGNAL) == (ssize_t)n || errno == EPIPE);
		data += n;
		size -= n;
		settle_all(&p, &peer, POLLIN);
	}
	shutdown(peer.fd, SHUT_WR);
	for (int i = 0; i < 3 && p.first; i++)
		settle_all(&p, &peer, POLLIN);
	must(!p.first && !p.open && !peer.n);
	close(peer.fd);
	return 0;
}
