/* hello_fuzz.c - the whole program but PostgreSQL, and whatever somebody sends who connects: from the
 * first byte of the connection on, TLS or not, in pieces, up to its login.
 *
 * The first byte says how the rest is cut: into pieces of so many bytes; 0: all at once. */
#define main pgpool_main
#include "pgpool.c"
#undef main

#include <netinet/in.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(cond) do { if (!(cond)) abort(); } while (0)

static struct pgpool pg;

/* Nobody listens there, and nobody waits for it. */
static const char configuration[] =
	"backend_hostname0 = '127.0.0.1'\n" "backend_port0 = 1024\n" "primary_wait_timeout = 0\n"
	"ssl = on\n" "enable_pool_hba = on\n" "log_min_messages = panic\n"
	"pool_passwd = 'passwords'\n";
static const char rules[] =
	"host all t all trust\n" "host all m all md5\n" "host all p all password\n"
	"hostssl all c all cert\n" "hostssl all h all scram-sha-256\n" "host all s all scram-sha-256\n";
static const char passwords[] = "s:TEXTsecret\nm:md50123456789abcdef0123456789abcdef\n";

static void put_file(const char *folder, const char *name, const char *text, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	must(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char folder[] = "/tmp/hello_fuzz.XXXXXX", path[PATH_MAX];
	struct telling t = { .log = &pg.log };
	struct setup s;

	(void)argc, (void)argv;
	signal(SIGPIPE, SIG_IGN);
	must(mkdtemp(folder));
	put_file(folder, "passwords", passwords, path);
	put_file(folder, "pgpool.conf", configuration, pg.sources.conf);
	put_file(folder, "pool_hba.conf", rules, pg.sources.hba);
	pg.log.fd = -1;
	must(setup_load(&s, &pg.sources, &t) == 0 && s.hba);
	unlink(path);
	unlink(pg.sources.conf);
	unlink(pg.sources.hba);
	rmdir(folder);
	use(&pg, &s);
	must(wire_up(&pg));
	healths_start(pg.servers.healths);
	return 0;
}

/* Some of it arrives, and is looked at; whatever is answered is thrown away. */
static void send_piece(int fd, const uint8_t *p, size_t n)
{
	char answer[4096];

	if (send(fd, p, n, MSG_DONTWAIT) <= 0)
		return;
	loop_turn(pg.base.loop);
	while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_storage peer = { .ss_family = AF_INET };
	int pair[2];

	if (!size)
		return 0;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	client_accept(&pg.clients, pair[0], &peer);
	size_t piece = *data ? *data : size;
	for (size_t at = 1, n; at < size && pg.clients.open; at += n) {
		n = size - at < piece ? size - at : piece;
		send_piece(pair[1], data + at, n);
	}
	close(pair[1]);
	for (int turns = 0; pg.clients.open; turns++) {
		must(turns < 1000);
		loop_turn(pg.base.loop);
	}
	return 0;
}
