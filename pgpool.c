/* pgpool.c - command line, start, signals, reload, shutdown. */
#include "check.h"
#include "client.h"
#include "pcp.h"
#include "program/command.h"
#include "program/pidfile.h"
#include "program/tools.h"
#include "web.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define VERSION "4.7.0"
#define VERSION_NAME "musl"

enum { EXIT_USAGE = 1, EXIT_PID_FILE = 1, EXIT_START = SETUP_EXIT };
enum {
	LAST_MOMENT = 2000,                     /* ms for clients to take their last words */
	DRAIN_LOOK = 100,                       /* ms between looks for sessions at rest */
	KUBERNETES_DELAY = 5, KUBERNETES_DRAIN = 20,    /* s: together below its grace of 30 */
	BACKLOG_MAX = 65535,
	LOOK = 10,                              /* seconds between looks at the files */
};

/* The program: everything of which there is one. */
struct pgpool {
	struct sources sources;
	const char *command;                    /* to run instead of a start, or NULL */
	int stop_signal;                        /* of the command */
	bool foreground, debug;
	char pid_file[PATH_MAX], log_directory[PATH_MAX];
	bool has_pid_file;                      /* ours, locked, to be removed */
	int pid_file_lock;
	int word;                               /* on which the parent waits for our exit status */

	struct log log;
	struct base base;
	struct conf *conf;                      /* these five come from files */
	struct passwd *passwd;
	struct passwd *pcp_users;
	struct hba *hba;
	struct tls_context *tls;
	struct nodes *nodes;
	struct route route;
	struct written written;
	struct servers servers;
	struct clients clients;
	struct listeners listeners;
	struct checks *checks;
	struct pcp pcp;
	struct web web;

	struct watch signals;
	struct timer look;                      /* at the files of the configuration */
	struct timer last_moment;
	struct timer drain;                     /* its next step */
	int64_t drained_by;                     /* loop_now() when the sessions left are ended; 0:
	                                         * never */
	int stopping;                           /* the signal, or 0 */
	bool leaving;                           /* the same for the HTTP port */
	uint32_t left;                          /* sessions, as `pgpool stop` was told */
	bool over;
};

/* --- configuration ------------------------------------------------------- */

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

/* From now on this is in force.  Unusable rules leave the old ones in place. */
static void use(struct pgpool *pg, const struct setup *s)
{
	pg->base.conf = pg->conf = s->conf;
	pg->base.passwd = pg->passwd = s->passwd;
	pg->pcp.users = pg->pcp_users = s->pcp;
	if (!s->hba_unusable)
		pg->base.hba = pg->hba = s->hba;
	pg->base.tls = pg->tls = s->tls;
	setup_path(s, s->conf->log_directory, pg->log_directory);
	set_log(pg);
}

/* Two looks find the same before files are read, lest they be half written. */
static void look_soon(struct pgpool *pg)
{
	int64_t period = pg->conf->reload_check_period;

	if (period < 0)
		period = *pg->sources.conf ? 0 : LOOK;
	if (period && !pg->stopping)
		timer_set(pg->base.loop, &pg->look, period * 1000);
	else
		timer_stop(pg->base.loop, &pg->look);
}

/* All or nothing: an error in a file changes nothing (-1).  Exception: bad rules only leave the old
 * rules in force. */
static int load_again(struct pgpool *pg, struct telling *t)
{
	struct conf_messages m = { setup_tell, t };
	struct setup fresh;
	struct route route;

	pg->sources.tls = pg->tls;
	pg->sources.now = pg->conf;
	bool loaded = setup_load(&fresh, &pg->sources, t) == 0;
	source_settle();

	/* Bad rules leave the old ones in force, but without enable_pool_hba so far there are
	 * none. */
	bool ready = loaded && (pg->conf->enable_pool_hba || !fresh.hba_unusable)
		&& route_init(&route, fresh.conf, pg->nodes, &pg->written) == 0;
	if (ready && verifiers_of(pg->clients.verifiers, fresh.passwd) < 0) {
		route_free(&route);
		ready = false;
	}
	if (!ready) {
		log_write(&pg->log, NULL, LEVEL_WARNING, NULL,
			"correct what is named above, then reload again",
			"the configuration was not reloaded: nothing has changed");
		if (loaded)
			setup_free(&fresh);
		return -1;
	}
	conf_keep_start(fresh.conf, pg->conf, &m);
	struct setup old = { .conf = pg->conf, .passwd = pg->passwd, .pcp = pg->pcp_users,
		.hba = fresh.hba_unusable ? NULL : pg->hba,
		.tls = fresh.tls == pg->tls ? NULL : pg->tls };
	use(pg, &fresh);
	route_free(&pg->route);
	pg->route = route;
	nodes_reload(pg->nodes, old.conf);
	servers_reload(&pg->servers);
	catalog_reload(pg->clients.catalog);
	bodies_reload(pg->clients.bodies);
	clients_reload(&pg->clients);
	healths_start(pg->servers.healths);
	checks_start(pg->checks);
	setup_free(&old);
	setup_tell_files(&fresh, t);
	log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL, "reload config files.");
	look_soon(pg);
	return 0;
}

static int reload(struct pgpool *pg, struct telling *t)
{
	struct admin *a = &pg->pcp.admin;
	int bad = load_again(pg, t);

	a->reloads += !bad;
	a->bad_reloads += bad != 0;
	a->loaded = bad ? a->loaded : loop_now(pg->base.loop);
	return bad;
}

static void look(struct timer *timer)
{
	struct pgpool *pg = OWNER(timer, struct pgpool, look);
	struct telling t = { .log = &pg->log, .reload = true };
	const char *changed = source_changed();

	if (changed) {
		log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL,
			"\"%s\" has changed: the configuration is reloaded", changed);
		reload(pg, &t);
		net_flush(pg->base.net);
	}
	look_soon(pg);
}

/* --- signals ------------------------------------------------------------- */

static void end(struct timer *t)
{
	OWNER(t, struct pgpool, last_moment)->over = true;
}

static const char ending[] = "terminating connection due to administrator command";

/* No new sessions from here on. */
static void close_doors(struct pgpool *pg)
{
	pg->clients.draining = pg->servers.draining = true;
	listeners_close(&pg->listeners);
	healths_stop(pg->servers.healths);
	checks_stop(pg->checks);
	servers_close_idle(&pg->servers);
	timer_stop(pg->base.loop, &pg->look);
}

static int64_t in_kubernetes(int64_t set, int64_t there)
{
	return set >= 0 ? set : getenv("KUBERNETES_SERVICE_HOST") ? there : 0;
}

/* Sessions that are at rest end, time and again, until all have, or it is too late. */
static void drain(struct timer *t)
{
	struct pgpool *pg = OWNER(t, struct pgpool, drain);
	int64_t now = loop_now(pg->base.loop);

	if (!pg->clients.draining) {
		int64_t timeout = in_kubernetes(pg->conf->drain_timeout, KUBERNETES_DRAIN);
		close_doors(pg);
		pg->drained_by = timeout ? now + timeout * 1000 : 0;
	}
	if (!pg->drained_by)
		return;
	if (now < pg->drained_by) {
		clients_end_resting(&pg->clients, "57P01", ending);
		timer_set(pg->base.loop, t, DRAIN_LOOK);
	} else {
		clients_end(&pg->clients, "57P01", ending);
		timer_set(pg->base.loop, &pg->last_moment, LAST_MOMENT);
	}
}

/* For those who wait: `pgpool stop` sees it in the pid file. */
static void tell_left(struct pgpool *pg)
{
	pg->left = pg->clients.used;
	if (pg->has_pid_file)
		pidfile_tell_left(pg->pid_file_lock, pg->left);
}

/* Smart waits for the clients to leave, or drains them; fast ends their sessions; immediate waits
 * for nothing.  A second smart one is fast. */
static void stop(struct pgpool *pg, int signal_number)
{
	char detail[64];

	log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL, "exit handler called (signal: %d)",
		signal_number);
	snprintf(detail, sizeof detail, "Sessions that are open: %u.", pg->clients.used);
	log_write(&pg->log, NULL, LEVEL_LOG, detail, NULL, "shutting down by signal %d",
		signal_number);
	if (pg->stopping && signal_number == SIGTERM)
		signal_number = SIGINT;
	pg->stopping = signal_number;
	pg->leaving = true;
	if (signal_number == SIGTERM) {
		pg->drain.fire = drain;
		timer_set(pg->base.loop, &pg->drain,
			in_kubernetes(pg->conf->drain_accept_delay, KUBERNETES_DELAY) * 1000);
		return;
	}
	timer_stop(pg->base.loop, &pg->drain);
	close_doors(pg);
	clients_end(&pg->clients, "57P01", ending);
	if (signal_number == SIGINT)
		timer_set(pg->base.loop, &pg->last_moment, LAST_MOMENT);
	else
		pg->over = true;
}

/* Reaps our own children and, as process 1, orphans of other processes. */
static void reap(struct pgpool *pg)
{
	int status;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0; )
		checks_reaped(pg->checks, pid, status);
}

static void signaled(struct watch *w, short revents)
{
	struct pgpool *pg = OWNER(w, struct pgpool, signals);
	struct telling t = { .log = &pg->log, .reload = true };
	struct signalfd_siginfo info;

	(void)revents;
	while (read(w->fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGHUP)
			reload(pg, &t);
		else if (info.ssi_signo == SIGCHLD)
			reap(pg);
		else
			stop(pg, (int)info.ssi_signo);
	}
	net_flush(pg->base.net);
}

/* --- what PCP asks for --------------------------------------------------- */

static void pcp_stop(void *pg, int signal_number)
{
	stop(pg, signal_number);
}

static int pcp_reload(void *ctx, char why[static PCP_WHY])
{
	struct pgpool *pg = ctx;
	struct telling t = { .log = &pg->log, .reload = true };
	int bad = reload(pg, &t);

	snprintf(why, PCP_WHY, "%s", t.errors);
	return bad;
}

static const struct pcp_ops pcp_ops = { pcp_stop, pcp_reload };

/* --- start --------------------------------------------------------------- */

/* Before anybody can know us: early signals wait. */
static sigset_t block_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);       /* ignored, children would leave no status */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return set;
}

static int watch_signals(struct pgpool *pg)
{
	sigset_t set = block_signals();
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	pg->signals.ready = signaled;
	return fd < 0 ? -1 : watch_start(pg->base.loop, &pg->signals, fd, POLLIN);
}

static void usage(FILE *to)
{
	fputs("pgpool - connection pool and read load balancer for PostgreSQL\n\n"
	      "Usage:\n"
	      "  pgpool [-f FILE] [-a FILE] [-F FILE] [-k FILE] [-n] [-d]\n"
	      "  pgpool [-f FILE] [-m MODE] stop\n"
	      "  pgpool [-f FILE] reload | ping\n"
	      "  pgpool [-f FILE] [-a FILE] [-F FILE] [-k FILE] --check | show-conf | show-passwd\n"
	      "  pgpool pg_md5 ... | pg_enc ...\n"
	      "  pgpool --settings | -h | -v\n\n"
	      "  -f, --config-file=FILE   pgpool.conf (default: as in the container image, from\n"
	      "                           its folders or PGPOOL_PARAMS_*; in the foreground)\n"
	      "  -a, --hba-file=FILE      pool_hba.conf (default: beside pgpool.conf)\n"
	      "  -F, --pcp-file=FILE      pcp.conf (default: beside pgpool.conf)\n"
	      "  -k, --key-file=FILE      the key of AES passwords (default: $PGPOOLKEYFILE, else\n"
	      "                           $HOME/.pgpoolkey)\n"
	      "  -n, --dont-detach        stay in the foreground (always so as process 1)\n"
	      "  -d, --debug              log debug messages\n"
	      "  -D, -C, -x               accepted and ignored: there is no saved status, no\n"
	      "                           query cache, no assertion\n"
	      "      --core-files         allow core dumps and debuggers: they see passwords\n"
	      "  -m, --mode=MODE          of stop: smart (default) waits for clients to leave,\n"
	      "                           fast ends their sessions, immediate waits for nothing\n"
	      "  -t, --check              say what a start would say; exit status 0 if it works\n"
	      "      --settings           the documentation of all parameters\n"
	      "  -h, --help               this text\n"
	      "  -v, --version            the version\n\n"
	      "  stop, reload             the server that wrote pid_file_name\n"
	      "  ping                     exit status 0: it serves; 1: not now; 2: no answer\n"
	      "  show-conf, show-passwd   print what is in force, without secrets or as hashes\n"
	      "  pg_md5, pg_enc           make lines of pcp.conf and pool_passwd\n", to);
}

/* A relative name stays what it was when a daemon changes its directory.  Links are not followed:
 * Kubernetes replaces them when a mounted file changes. */
static void set_file(char out[static PATH_MAX], const char *name)
{
	char here[PATH_MAX];
	bool relative = *name && *name != '/' && getcwd(here, sizeof here);

	if (!relative)
		*here = '\0';
	if (snprintf(out, PATH_MAX, "%s%s%s", here, relative ? "/" : "", name) < PATH_MAX)
		return;
	fprintf(stderr, "a file name is longer than %d bytes\n", PATH_MAX - 1);
	exit(EXIT_USAGE);
}

/* The first letter of a mode counts; 0 for a word that is not a mode. */
static int stop_signal(const char *mode)
{
	return *mode == 's' ? SIGTERM : *mode == 'f' ? SIGINT : *mode == 'i' ? SIGQUIT : 0;
}

static int misused(void)
{
	usage(stderr);
	return EXIT_USAGE;
}

enum { OPTION_SETTINGS = 256, OPTION_CORE_FILES };

/* Returns -1 to go on, or the exit status. */
static int options(struct pgpool *pg, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "hba-file", 1, NULL, 'a' }, { "config-file", 1, NULL, 'f' },
		{ "pcp-file", 1, NULL, 'F' }, { "key-file", 1, NULL, 'k' },
		{ "dont-detach", 0, NULL, 'n' }, { "mode", 1, NULL, 'm' },
		{ "discard-status", 0, NULL, 'D' }, { "clear-oidmaps", 0, NULL, 'C' },
		{ "debug", 0, NULL, 'd' }, { "debug-assertions", 0, NULL, 'x' },
		{ "check", 0, NULL, 't' },
		{ "settings", 0, NULL, OPTION_SETTINGS }, { "help", 0, NULL, 'h' },
		{ "core-files", 0, NULL, OPTION_CORE_FILES },
		{ "version", 0, NULL, 'v' }, { NULL, 0, NULL, 0 } };

	pg->stop_signal = SIGTERM;
	for (int o; (o = getopt_long(argc, argv, "a:f:F:k:m:nDCdxthv", longs, NULL)) != -1; )
		switch (o) {
		case 'a':
			set_file(pg->sources.hba, optarg);
			break;
		case 'f':
			set_file(pg->sources.conf, optarg);
			break;
		case 'F':
			set_file(pg->sources.pcp, optarg);
			break;
		case 'k':
			set_file(pg->sources.key, optarg);
			break;
		case 'm':
			pg->stop_signal = stop_signal(optarg);
			if (!pg->stop_signal)
				return misused();
			break;
		case 'n':
			pg->foreground = true;
			break;
		case 'd':
			pg->debug = true;
			break;
		case 't':
			pg->command = "check";
			break;
		case OPTION_SETTINGS:
			pg->command = "settings";
			break;
		case OPTION_CORE_FILES:
			prctl(PR_SET_DUMPABLE, 1);
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'v':
			fputs("pgpool-II version " VERSION " (" VERSION_NAME ")\n", stderr);
			return 0;
		case 'D': case 'C': case 'x':
			break;
		default:
			return misused();
		}
	if (optind < argc && !pg->command)
		pg->command = argv[optind++];
	return optind < argc ? misused() : -1;
}

static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* The parent of a daemon exits with the status that its child reports, so its starter learns how
 * that went.  A signal that it gets before is meant for the daemon. */
static void wait_for_word(int from, pid_t child)
{
	unsigned char status = EXIT_START;
	struct signalfd_siginfo info;
	sigset_t set = block_signals();
	struct pollfd on[] = { { .fd = from, .events = POLLIN },
		{ .fd = signalfd(-1, &set, SFD_NONBLOCK), .events = POLLIN } };

	while (!on[0].revents) {
		poll(on, 2, -1);
		while (read(on[1].fd, &info, sizeof info) == sizeof info)
			if (info.ssi_signo != SIGCHLD)
				kill(child, (int)info.ssi_signo);
	}
	if (read(from, &status, 1) < 0)
		status = EXIT_START;
	_exit(status);
}

static void say_word(struct pgpool *pg, int status)
{
	unsigned char byte = (unsigned char)status;

	if (pg->word && write(pg->word, &byte, 1) == 1)
		close(pg->word);
	pg->word = 0;
}

/* stderr stays as it is: the log goes there. */
static int detach(struct pgpool *pg)
{
	int word[2], fd;

	if (pg->foreground)
		return 0;
	if (pipe2(word, O_CLOEXEC) < 0)
		return -1;
	pid_t child = fork();
	if (child < 0)
		return -1;
	close(word[child == 0 ? 0 : 1]);
	if (child)
		wait_for_word(word[0], child);
	pg->word = word[1];
	pg->log.pid = 0;
	setsid();
	if (chdir("/") < 0)
		return -1;
	if ((fd = open("/dev/null", O_RDWR)) >= 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		close(fd);
	}
	return 0;
}

/* A daemon without a pid file could not be stopped.  In the foreground it is a convenience; a
 * container often has no place for it, and nobody misses it. */
static int write_pid_file(struct pgpool *pg)
{
	enum level level = !pg->foreground ? LEVEL_FATAL
		: *pg->sources.conf ? LEVEL_LOG : LEVEL_DEBUG1;
	int holder, lock = pidfile_take(pg->pid_file, &holder);

	pg->has_pid_file = lock >= 0;
	pg->pid_file_lock = lock;
	if (lock == PIDFILE_HELD) {
		fprintf(stderr, "ERROR: pid file found. is another pgpool(%d) is running?\n",
			holder);
		return EXIT_PID_FILE;
	}
	if (lock == PIDFILE_ERROR) {
		log_write(&pg->log, NULL, level, strerror(errno),
			"set pid_file_name: \"stop\" and \"reload\" need it to find the server",
			"could not write the pid file \"%s\"", pg->pid_file);
		return pg->foreground ? 0 : EXIT_START;
	}
	return 0;
}

static bool wire_up(struct pgpool *pg)
{
	struct servers *s = &pg->servers;
	struct clients *c = &pg->clients;

	struct base *base = &pg->base;

	base->log = &pg->log;
	base->loop = loop_new();
	base->net = base->loop ? net_new(base->loop) : NULL;
	pg->nodes = base->loop ? nodes_new(base) : NULL;
	if (!base->net || !pg->nodes
	    || route_init(&pg->route, pg->conf, pg->nodes, &pg->written) < 0)
		return false;
	*s = (struct servers){ .base = base, .nodes = pg->nodes, .accounts = accounts_new(),
		.stmts = stmts_new(), .entries = entries_new(base) };
	*c = (struct clients){ .base = base, .servers = s, .route = &pg->route,
		.verifiers = verifiers_new(base->loop) };
	pg->pcp = (struct pcp){ .base = base, .nodes = pg->nodes, .users = pg->pcp_users,
		.ops = &pcp_ops, .ctx = pg };
	admin_start(&pg->pcp.admin, c, VERSION " (" VERSION_NAME ")");
	pg->web = (struct web){ .admin = &pg->pcp.admin, .base = base, .draining = &pg->leaving };
	c->own = &admin_own_ops;
	c->own_ctx = &pg->pcp.admin;
	pg->last_moment.fire = end;
	pg->look.fire = look;
	s->healths = healths_new(s);
	pg->checks = checks_new(s);
	if (!s->accounts || !s->stmts || !s->entries || !s->healths || !pg->checks || !c->verifiers
	    || clients_init(c) < 0 || verifiers_of(c->verifiers, pg->passwd) < 0)
		return false;
	servers_init(s);
	c->bodies = bodies_new(s, clients_told, c);
	c->catalog = c->bodies ? catalog_new(s, c->bodies, clients_told, c) : NULL;
	pg->nodes->sampled_more = clients_told;
	pg->nodes->hearer = c;
	return c->catalog != NULL;
}

static int backlog(const struct conf *c)
{
	int64_t n = c->num_init_children * c->listen_backlog_multiplier;

	return n > BACKLOG_MAX ? BACKLOG_MAX : (int)n;
}

static unsigned room(void *clients)
{
	return clients_room(clients);
}

static bool yield(void *clients)
{
	return clients_yield(clients);
}

static void accepted(void *clients, int fd, const struct sockaddr_storage *peer)
{
	client_accept(clients, fd, peer);
}

static int listen_for_clients(struct pgpool *pg)
{
	const struct conf *c = pg->conf;

	pg->listeners = (struct listeners){ .base = &pg->base, .room = room, .yield = yield,
		.accepted = accepted, .ctx = &pg->clients, .may_lack_directories = pg->foreground };
	if (listeners_open(&pg->listeners, &(struct addresses){ .hosts = &c->listen_addresses,
			.directories = &c->unix_socket_directories, .port = (int)c->port,
			.backlog = backlog(c), .group = c->unix_socket_group,
			.permissions = (unsigned)c->unix_socket_permissions }) < 0)
		return -1;
	if (pg->listeners.first)
		return 0;
	log_write(&pg->log, NULL, LEVEL_FATAL, NULL,
		"set listen_addresses or unix_socket_directories",
		"there is no address to listen on");
	return -1;
}

/* The part that runs in a daemon's child. */
static int open_all(struct pgpool *pg)
{
	int status = write_pid_file(pg);

	if (status)
		return status;
	if (!wire_up(pg) || watch_signals(pg) < 0) {
		log_write(&pg->log, NULL, LEVEL_FATAL, strerror(errno), NULL, "could not start");
		return EXIT_START;
	}
	/* Clients come last, so that they find everything in place. */
	if (pcp_open(&pg->pcp) < 0 || web_open(&pg->web) < 0 || listen_for_clients(pg) < 0) {
		pcp_close(&pg->pcp);
		web_close(&pg->web);
		listeners_close(&pg->listeners);
		return EXIT_START;
	}
	return 0;
}

static int start(struct pgpool *pg)
{
	struct telling t = { .log = &pg->log };
	struct setup s;
	int status = setup_load(&s, &pg->sources, &t);

	if (status)
		return status;
	setup_path(&s, s.conf->pid_file_name, pg->pid_file);
	use(pg, &s);
	setup_tell_files(&s, &t);
	raise_limits();
	if (detach(pg) < 0) {
		log_write(&pg->log, NULL, LEVEL_FATAL, strerror(errno), NULL, "could not detach");
		return EXIT_START;
	}
	if ((status = open_all(pg)) != 0)
		return status;
	log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL, "find_primary_node: primary node is %d",
		pg->nodes->primary);
	healths_start(pg->servers.healths);
	checks_start(pg->checks);
	look_soon(pg);
	log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL,
		"pgpool-II successfully started. version %s (%s)", VERSION, VERSION_NAME);
	return 0;
}

/* The system closes the listeners; whatever holds secrets is wiped here. */
static void clean_up(struct pgpool *pg)
{
	log_write(&pg->log, NULL, LEVEL_LOG, NULL, NULL, "Pgpool-II system is shutdown");
	if (pg->has_pid_file)
		unlink(pg->pid_file);
	pcp_close(&pg->pcp);
	web_close(&pg->web);
	pg->nodes->sampled_more = NULL;         /* nobody is there to hear of it any more */
	clients_free(&pg->clients);
	catalog_free(pg->clients.catalog);
	bodies_free(pg->clients.bodies);
	checks_free(pg->checks);
	healths_free(pg->servers.healths);
	entries_free(pg->servers.entries);
	servers_free(&pg->servers);
	verifiers_free(pg->clients.verifiers);
	passwd_free(pg->passwd);
	passwd_free(pg->pcp_users);
	hba_free(pg->hba);
	accounts_free(pg->servers.accounts);
	stmts_free(pg->servers.stmts);
	route_free(&pg->route);
	written_free(&pg->written);
	conf_free(pg->conf);
	nodes_free(pg->nodes);
	net_free(pg->base.net);
	tls_context_drop(pg->tls);
	loop_free(pg->base.loop);
}

static int serve(struct pgpool *pg)
{
	/* Without -f we are the entry point of a container.  There the started process is the one
	 * that is watched, whether it is number 1 or not. */
	pg->foreground |= getpid() == 1 || !*pg->sources.conf;
	pg->log.verbosity = VERBOSITY_DEFAULT;
	block_signals();
	log_open(&pg->log);
	int status = start(pg);
	if (status && pg->has_pid_file)
		unlink(pg->pid_file);
	say_word(pg, status);
	if (status)
		return status;
	while (!pg->over && !(pg->clients.draining && !pg->clients.open)) {
		loop_turn(pg->base.loop);
		if (pg->stopping && pg->clients.used != pg->left)
			tell_left(pg);
	}
	clean_up(pg);
	return 0;
}

/* The tool that goes by the last part of this name, or NULL. */
static int (*tool(const char *name))(int, char **)
{
	const char *slash = strrchr(name, '/');

	name = slash ? slash + 1 : name;
	return !strcmp(name, "pg_md5") ? tool_pg_md5 : !strcmp(name, "pg_enc") ? tool_pg_enc : NULL;
}

/* Descriptors 0, 1 and 2 are never anything but the standard ones. */
static void open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

#ifdef __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#elif defined __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* Passwords and keys are in memory, and often in the environment: neither a core dump nor another
 * process of the same user gets them.  LeakSanitizer is a debugger. */
static void hide_memory(void)
{
	if (!SANITIZED)
		prctl(PR_SET_DUMPABLE, 0);
}

int main(int argc, char **argv)
{
	extern char **environ;
	static struct pgpool pg;
	char key[PATH_MAX];

	hide_memory();
	open_standard();
	if (argc && tool(argv[0]))
		return tool(argv[0])(argc, argv);
	if (argc > 1 && tool(argv[1]))
		return tool(argv[1])(argc - 1, argv + 1);
	int status = options(&pg, argc, argv);

	if (status >= 0)
		return status;
	passwd_key_file(key, *pg.sources.key ? pg.sources.key : NULL, environ);
	set_file(pg.sources.key, key);
	if (!pg.command)
		return serve(&pg);
	status = command_run(pg.command, &pg.sources, pg.stop_signal);
	return status < 0 ? misused() : status;
}
