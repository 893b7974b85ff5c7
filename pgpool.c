/* pgpool.c - command line, start, signals, reload, shutdown. */
#include "client.h"
#include "entry.h"
#include "listen.h"
#include "tools.h"
#include "verifier.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define VERSION "4.7.0"
#define VERSION_NAME "musl"
#define DEFAULT_DIRECTORY "/config"

enum { EXIT_USAGE = 1, EXIT_START = 3 };
enum { LAST_MOMENT = 2000 };                    /* ms for clients to take their last words */

#define OWNER(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* The program: everything that there is one of. */
struct pgpool {
	char conf_file[PATH_MAX], hba_file[PATH_MAX], key_file[PATH_MAX], log_directory[PATH_MAX];
	const char *key_option;                 /* -k */
	bool foreground, debug;
	bool pid_file;                          /* ours, to be removed */

	struct log log;
	struct conf *conf;
	struct loop *loop;
	struct net *net;
	struct nodes *nodes;
	struct passwd *passwd;
	struct hba *hba;
	struct route route;
	struct servers servers;
	struct clients clients;
	struct listeners listeners;

	struct watch signals;
	struct timer last_moment;
	int stopping;                           /* the signal, or 0 */
	bool over;
};

/* --- configuration ------------------------------------------------------- */

struct telling {
	struct pgpool *pg;
	bool reload;                            /* nothing is fatal then */
};

static void tell(void *ctx, enum level severity, const char *file, int line, int column,
	const char *text)
{
	struct telling *t = ctx;

	if (t->reload && severity == LEVEL_FATAL)
		severity = LEVEL_WARNING;
	if (file && column)
		log_write(&t->pg->log, NULL, severity, NULL, NULL, "%s:%d:%d: %s", file, line, column, text);
	else if (file && line)
		log_write(&t->pg->log, NULL, severity, NULL, NULL, "%s:%d: %s", file, line, text);
	else
		log_write(&t->pg->log, NULL, severity, NULL, NULL, "%s%s%s", file ? file : "",
			file ? ": " : "", text);
}

static void warn(void *ctx, const char *file, int line, const char *text)
{
	tell(ctx, LEVEL_WARNING, file, line, 0, text);
}

/* A file beside the configuration file, unless its name is absolute. */
static void beside(const struct pgpool *pg, const char *name, char *out, size_t size)
{
	const char *slash = strrchr(pg->conf_file, '/');

	if (*name == '/' || !slash)
		snprintf(out, size, "%s", name);
	else
		snprintf(out, size, "%.*s/%s", (int)(slash - pg->conf_file), pg->conf_file, name);
}

static struct passwd *load_passwd(struct pgpool *pg, const struct conf *conf, struct telling *t)
{
	extern char **environ;
	struct auth_report report = { .warn = warn, .ctx = t };
	char path[PATH_MAX];

	beside(pg, conf->pool_passwd, path, sizeof path);
	struct passwd_key key;
	passwd_key_load(&key, pg->key_file);
	struct passwd *p = passwd_load(*conf->pool_passwd ? path : NULL, &key, environ, &report);
	explicit_bzero(&key, sizeof key);
	if (!p)
		tell(t, LEVEL_FATAL, NULL, 0, 0, report.error);
	return p;
}

static struct hba *load_hba(struct pgpool *pg, const struct conf *conf, struct telling *t)
{
	struct auth_report report = { .warn = warn, .ctx = t };

	if (!conf->enable_pool_hba)
		return NULL;
	struct hba *h = hba_load(pg->hba_file, &report);
	if (!h)
		log_write(&pg->log, NULL, LEVEL_WARNING, report.error, t->reload
			? "the rules in force are kept" : "every login fails until it is corrected",
			"missing or erroneous pool_hba.conf file");
	return h;
}

static unsigned log_destinations(const struct conf_list *list)
{
	unsigned to = 0;

	for (size_t i = 0; i < list->n; i++)
		if (!strcasecmp(list->item[i], "syslog"))
			to |= LOG_TO_SYSLOG;
		else if (!strcasecmp(list->item[i], "stderr"))
			to |= LOG_TO_STDERR;
	return to;
}

static void set_log(struct pgpool *pg)
{
	const struct conf *c = pg->conf;
	struct log *l = &pg->log;

	beside(pg, c->log_directory, pg->log_directory, sizeof pg->log_directory);
	l->prefix = c->log_line_prefix;
	l->min = pg->debug ? LEVEL_DEBUG1 : c->log_min_messages;
	l->verbosity = c->log_error_verbosity;
	l->to = log_destinations(&c->log_destination);
	l->facility = c->syslog_facility;
	l->ident = c->syslog_ident;
	l->collect = c->logging_collector;
	l->file.directory = pg->log_directory;
	l->file.filename = c->log_filename;
	l->file.mode = (unsigned)c->log_file_mode;
	l->file.age = c->log_rotation_age * 60;
	l->file.size = c->log_rotation_size * 1024;
	l->file.truncate = c->log_truncate_on_rotation;
	log_apply(l);
}

/* All or nothing: a file in error changes nothing. */
static void reload(struct pgpool *pg)
{
	extern char **environ;
	struct telling t = { pg, true };
	struct conf_messages m = { tell, &t };
	struct conf *fresh = conf_load(pg->conf_file, environ, &m);
	struct passwd *passwd = fresh ? load_passwd(pg, fresh, &t) : NULL;
	struct route route;

	if (!passwd || route_init(&route, fresh, pg->nodes) < 0
	    || verifiers_of(pg->clients.verifiers, passwd) < 0) {
		log_write(&pg->log, NULL, LEVEL_WARNING, NULL, "correct what is named above, then reload again",
			"the configuration was not reloaded: nothing has changed");
		passwd_free(passwd);
		conf_free(fresh);
		return;
	}
	struct hba *hba = load_hba(pg, fresh, &t);
	conf_keep_start(fresh, pg->conf, &m);
	route_free(&pg->route);
	pg->route = route;
	nodes_reload(pg->nodes, fresh);
	pg->servers.conf = pg->clients.conf = fresh;
	pg->servers.passwd = passwd;
	memset(pg->clients.recent, 0, RECENT_STATEMENTS * sizeof *pg->clients.recent);
	if (hba || !fresh->enable_pool_hba) {
		pg->clients.hba = hba;
		hba_free(pg->hba);
		pg->hba = hba;
	}
	conf_free(pg->conf);
	passwd_free(pg->passwd);
	pg->conf = fresh;
	pg->passwd = passwd;
	set_log(pg);
	servers_reload(&pg->servers);
	log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL, "reload config files.");
}

/* --- signals ------------------------------------------------------------- */

static void end(struct timer *t)
{
	OWNER(t, struct pgpool, last_moment)->over = true;
}

/* Smart waits for the clients to leave; fast ends their sessions; immediate waits for nothing. */
static void stop(struct pgpool *pg, int signal_number)
{
	log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL, "exit handler called (signal: %d)", signal_number);
	log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL, "shutting down by signal %d", signal_number);
	pg->stopping = signal_number;
	pg->clients.draining = pg->servers.draining = true;
	listeners_close(&pg->listeners);
	servers_close_idle(&pg->servers);
	if (signal_number == SIGTERM)
		return;
	clients_end(&pg->clients, "57P01", "terminating connection due to administrator command");
	if (signal_number == SIGINT)
		timer_set(pg->loop, &pg->last_moment, LAST_MOMENT);
	else
		pg->over = true;
}

static void signaled(struct watch *w, short revents)
{
	struct pgpool *pg = OWNER(w, struct pgpool, signals);
	struct signalfd_siginfo info;

	(void)revents;
	while (read(w->fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGHUP)
			reload(pg);
		else
			stop(pg, (int)info.ssi_signo);
	}
	net_flush(pg->net);
}

static int watch_signals(struct pgpool *pg)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	pg->signals.ready = signaled;
	return fd < 0 ? -1 : watch_start(pg->loop, &pg->signals, fd, POLLIN);
}

/* --- start --------------------------------------------------------------- */

static void usage(FILE *to)
{
	fputs("pgpool - connection pool and read load balancer for PostgreSQL\n\n"
	      "Usage:\n"
	      "  pgpool [-f FILE] [-a FILE] [-k FILE] [-n] [-d]\n"
	      "  pgpool -h | -v\n\n"
	      "  -f, --config-file=FILE   pgpool.conf (default " DEFAULT_DIRECTORY "/pgpool.conf; without\n"
	      "                           a file, PGPOOL_PARAMS_* variables)\n"
	      "  -a, --hba-file=FILE      pool_hba.conf (default: beside pgpool.conf)\n"
	      "  -n, --dont-detach        stay in the foreground, log to stderr; so it is as process 1\n"
	      "  -d, --debug              log debug messages\n"
	      "  -k, --key-file=FILE      key of AES entries in pool_passwd (default: $PGPOOLKEYFILE, else\n"
	      "                           ~/.pgpoolkey)\n"
	      "  -F, -D, -C, -x           accepted, without effect\n"
	      "  -h, --help               this text\n"
	      "  -v, --version            the version\n", to);
}

/* Returns -1 to go on, or the exit status. */
static int options(struct pgpool *pg, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "hba-file", 1, NULL, 'a' }, { "config-file", 1, NULL, 'f' }, { "pcp-file", 1, NULL, 'F' },
		{ "key-file", 1, NULL, 'k' }, { "dont-detach", 0, NULL, 'n' },
		{ "discard-status", 0, NULL, 'D' }, { "clear-oidmaps", 0, NULL, 'C' },
		{ "debug", 0, NULL, 'd' }, { "debug-assertions", 0, NULL, 'x' }, { "help", 0, NULL, 'h' },
		{ "version", 0, NULL, 'v' }, { NULL, 0, NULL, 0 } };

	for (int o; (o = getopt_long(argc, argv, "a:f:F:k:nDCdxhv", longs, NULL)) != -1; )
		switch (o) {
		case 'a':
			snprintf(pg->hba_file, sizeof pg->hba_file, "%s", optarg);
			break;
		case 'f':
			snprintf(pg->conf_file, sizeof pg->conf_file, "%s", optarg);
			break;
		case 'n':
			pg->foreground = true;
			break;
		case 'd':
			pg->debug = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'v':
			fputs("pgpool-II version " VERSION " (" VERSION_NAME ")\n", stderr);
			return 0;
		case 'k':
			pg->key_option = optarg;
			break;
		case 'F': case 'D': case 'C': case 'x':
			break;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	if (optind < argc) {
		usage(stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/* A relative name stays what it was when a daemon changes its directory. */
static void set_files(struct pgpool *pg)
{
	extern char **environ;
	char path[PATH_MAX];

	if (!*pg->conf_file)
		snprintf(pg->conf_file, sizeof pg->conf_file, DEFAULT_DIRECTORY "/pgpool.conf");
	else if (realpath(pg->conf_file, path))
		memcpy(pg->conf_file, path, sizeof path);
	if (!*pg->hba_file)
		beside(pg, "pool_hba.conf", pg->hba_file, sizeof pg->hba_file);
	passwd_key_file(pg->key_file, pg->key_option, environ);
	if (realpath(pg->key_file, path))
		memcpy(pg->key_file, path, sizeof path);
}

static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* stderr stays what it is: that is where the log goes. */
static int detach(struct pgpool *pg)
{
	int fd;

	if (pg->foreground || getpid() == 1)
		return 0;
	if (daemon(0, 1) < 0)
		return -1;
	pg->log.pid = 0;
	if ((fd = open("/dev/null", O_RDWR)) >= 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		close(fd);
	}
	return 0;
}

/* In a container there is often no place for it, and no use. */
static void write_pid_file(struct pgpool *pg)
{
	char path[PATH_MAX];

	beside(pg, pg->conf->pid_file_name, path, sizeof path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0) {
		log_write(&pg->log, NULL, pg->foreground ? LEVEL_DEBUG1 : LEVEL_WARNING, strerror(errno), NULL,
			"could not write the pid file \"%s\"", path);
		return;
	}
	pg->pid_file = true;
	dprintf(fd, "%d%c", (int)getpid(), 0);
	close(fd);
}

static bool wire_up(struct pgpool *pg)
{
	struct servers *s = &pg->servers;
	struct clients *c = &pg->clients;

	pg->loop = loop_new();
	pg->net = pg->loop ? net_new(pg->loop) : NULL;
	pg->nodes = pg->loop ? nodes_new(pg->conf, pg->loop, &pg->log) : NULL;
	if (!pg->net || !pg->nodes || route_init(&pg->route, pg->conf, pg->nodes) < 0)
		return false;
	*s = (struct servers){ .conf = pg->conf, .loop = pg->loop, .log = &pg->log, .net = pg->net,
		.nodes = pg->nodes, .accounts = accounts_new(), .stmts = stmts_new(), .passwd = pg->passwd };
	*c = (struct clients){ .servers = s, .route = &pg->route, .conf = pg->conf, .loop = pg->loop,
		.log = &pg->log, .net = pg->net, .hba = pg->hba,
		.verifiers = verifiers_new(pg->loop) };
	pg->listeners.clients = c;
	pg->last_moment.fire = end;
	s->entries = entries_new(s);
	if (!s->accounts || !s->stmts || !s->entries || !c->verifiers || clients_init(c) < 0
	    || verifiers_of(c->verifiers, pg->passwd) < 0)
		return false;
	servers_init(s);
	return true;
}

static int start(struct pgpool *pg)
{
	extern char **environ;
	struct telling t = { pg, false };
	struct conf_messages m = { tell, &t };

	pg->conf = conf_load(pg->conf_file, environ, &m);
	if (!pg->conf)
		return EXIT_START;
	set_log(pg);
	if (!pg->conf->nnodes) {
		log_write(&pg->log, NULL, LEVEL_FATAL, NULL, "set backend_hostname0 and backend_port0",
			"no backend is configured");
		return EXIT_START;
	}
	pg->passwd = load_passwd(pg, pg->conf, &t);
	pg->hba = load_hba(pg, pg->conf, &t);
	if (!pg->passwd)
		return EXIT_START;
	raise_limits();
	if (detach(pg) < 0 || !wire_up(pg) || watch_signals(pg) < 0) {
		log_write(&pg->log, NULL, LEVEL_FATAL, strerror(errno), NULL, "could not start");
		return EXIT_START;
	}
	if (listeners_open(&pg->listeners, pg->conf) < 0) {
		listeners_close(&pg->listeners);
		return EXIT_START;
	}
	write_pid_file(pg);
	log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL, "find_primary_node: primary node is %d",
		pg->nodes->primary);
	log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL, "pgpool-II successfully started. version %s (%s)",
		VERSION, VERSION_NAME);
	return 0;
}

/* The listeners are closed by the system; what holds secrets is wiped here. */
static void clean_up(struct pgpool *pg)
{
	char path[PATH_MAX];

	log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL, "Pgpool-II system is shutdown");
	if (pg->pid_file) {
		beside(pg, pg->conf->pid_file_name, path, sizeof path);
		unlink(path);
	}
	clients_free(&pg->clients);
	entries_free(pg->servers.entries);
	servers_free(&pg->servers);
	verifiers_free(pg->clients.verifiers);
	passwd_free(pg->passwd);
	hba_free(pg->hba);
	accounts_free(pg->servers.accounts);
	stmts_free(pg->servers.stmts);
	route_free(&pg->route);
	conf_free(pg->conf);
	nodes_free(pg->nodes);
	net_free(pg->net);
	loop_free(pg->loop);
}

/* The tool that goes by the last part of this name, or NULL. */
static int (*tool(const char *name))(int, char **)
{
	const char *slash = strrchr(name, '/');

	name = slash ? slash + 1 : name;
	return !strcmp(name, "pg_md5") ? tool_pg_md5 : !strcmp(name, "pg_enc") ? tool_pg_enc : NULL;
}

int main(int argc, char **argv)
{
	static struct pgpool pg;

	if (argc && tool(argv[0]))
		return tool(argv[0])(argc, argv);
	if (argc > 1 && tool(argv[1]))
		return tool(argv[1])(argc - 1, argv + 1);
	int status = options(&pg, argc, argv);

	if (status >= 0)
		return status;
	set_files(&pg);
	log_open(&pg.log);
	status = start(&pg);
	if (status)
		return status;
	while (!pg.over && !(pg.stopping && !pg.clients.open))
		loop_turn(pg.loop);
	clean_up(&pg);
	return 0;
}
