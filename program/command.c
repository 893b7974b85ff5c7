#include "program/command.h"

#include "md5.h"
#include "program/pidfile.h"
#include "program/ping.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { EXIT_NO_RELOAD = 1 };

enum { LOOK_MS = 100, DOT_LOOKS = 10 };

/* --- a server that runs -------------------------------------------------- */

/* Held open, so that we see it end even when the file is gone. */
struct server {
	int pid;
	int pid_file;                   /* or -1: process 1 of our own container */
};

static bool read_name(const char *file, char name[static 32])
{
	FILE *f = fopen(file, "re");
	bool got = f && fgets(name, 32, f);

	if (f)
		fclose(f);
	return got;
}

/* A container often has no place for a pid file, but the server is process 1.  Only its name can be
 * seen: its memory and the file that it runs are hidden. */
static bool is_process_1(void)
{
	char ours[32], its[32];

	return getpid() != 1 && read_name("/proc/self/comm", ours)
	       && read_name("/proc/1/comm", its) && !strcmp(ours, its);
}

static bool find_server(struct server *server, const struct sources *from, struct log *log,
	int *status)
{
	struct telling t = { .log = log, .quiet = true };
	struct setup s;
	char path[PATH_MAX];

	*server = (struct server){ 1, -1 };
	if (!*from->conf && image_refuses_variables(environ, image_file("pgpool.conf", path))) {
		if (is_process_1())
			return true;
		log_write(log, NULL, LEVEL_FATAL, NULL, "Name its configuration file with -f:"
			" pid_file_name in it says where its process id is.",
			"it is not known which server is meant");
		return false;
	}
	if (setup_load_conf(&s, from, &t)) {
		*status = SETUP_EXIT;
		return false;
	}
	setup_path(&s, s.conf->pid_file_name, path);
	setup_free(&s);
	server->pid_file = pidfile_open(path, &server->pid);
	if (server->pid_file >= 0)
		return true;
	int error = errno;
	server->pid = 1;
	if (is_process_1())
		return true;
	log_write(log, NULL, LEVEL_FATAL, NULL, NULL, "could not read pid file \"%s\": %s", path,
		error == EINVAL ? "there is no process id in it" : strerror(error));
	return false;
}

static bool is_alive(const struct server *server)
{
	int held = server->pid_file < 0 ? -1 : pidfile_is_held(server->pid_file);

	return held < 0 ? kill(server->pid, 0) == 0 || errno == EPERM : held;
}

/* The number of a dead server may now belong to another program. */
static bool signal_server(const struct server *server, int number)
{
	if (!is_alive(server)) {
		errno = ESRCH;
		return false;
	}
	return kill(server->pid, number) == 0;
}

/* One signal is enough: a second one would be a faster end. */
static void wait_for_end(const struct server *server)
{
	static const struct timespec look = { .tv_nsec = LOOK_MS * 1000000L };

	for (int looks = 1, told = -1; is_alive(server); looks++) {
		nanosleep(&look, NULL);
		if (looks % DOT_LOOKS)
			continue;
		int left = server->pid_file < 0 ? -1 : pidfile_left(server->pid_file);
		if (left > 0 && left != told)
			fprintf(stderr, "%d session%s left", left, left == 1 ? "" : "s");
		fputc('.', stderr);
		told = left;
	}
	fputs("done.\n", stderr);
}

static int stop(const struct sources *from, int number)
{
	struct log log = { .verbosity = VERBOSITY_DEFAULT };
	struct server server;
	int status = SETUP_EXIT;

	if (!find_server(&server, from, &log, &status))
		return status;
	if (!signal_server(&server, number)) {
		log_write(&log, NULL, LEVEL_FATAL, strerror(errno), NULL,
			"could not stop process with pid: %d", server.pid);
		return SETUP_EXIT;
	}
	log_write(&log, NULL, LEVEL_LOG, NULL, NULL,
		"stop request sent to pgpool (pid: %d). waiting for termination...", server.pid);
	wait_for_end(&server);
	return 0;
}

static int reload(const struct sources *from, int number)
{
	struct log log = { .verbosity = VERBOSITY_DEFAULT };
	struct server server;
	int status = EXIT_NO_RELOAD;

	(void)number;
	if (!find_server(&server, from, &log, &status))
		return status;
	if (signal_server(&server, SIGHUP))
		return 0;
	log_write(&log, NULL, LEVEL_FATAL, strerror(errno), NULL,
		"could not reload configuration file pid: %d", server.pid);
	return EXIT_NO_RELOAD;
}

/* --- a configuration ----------------------------------------------------- */

static int check(const struct sources *from, int number)
{
	struct log log = { .verbosity = VERBOSITY_DEFAULT };
	struct telling t = { .log = &log };
	struct setup s;
	int status = setup_load(&s, from, &t);

	(void)number;
	if (!status)
		setup_tell_files(&s, &t);
	/* A start would succeed without the rules, but nobody could log in. */
	if (!status && s.hba_unusable)
		status = SETUP_EXIT;
	setup_free(&s);
	puts(status ? "the configuration is not usable" : "the configuration is usable");
	return status ? SETUP_EXIT : 0;
}

/* Loads what a start loads, and reports only what prevents it. */
static int load(struct setup *s, const struct sources *from)
{
	struct log log = { .verbosity = VERBOSITY_DEFAULT };
	struct telling t = { .log = &log, .quiet = true };

	return setup_load(s, from, &t);
}

/* Can this stand between quotes in the file?  There are no escapes there, but \ takes the next
 * character along. */
static bool can_be_quoted(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n' || *text == '\'')
			return false;
		if (*text == '\\' && (!*++text || *text == '\n'))
			return false;
	}
	return true;
}

static void print_line(const struct conf_row *row, const char *name, const char *value)
{
	bool bare = !strcmp(row->type, "BOOL") || !strcmp(row->type, "INT")
		|| !strcmp(row->type, "REAL");
	const char *quote = bare ? "" : "'";

	if (!strcmp(row->type, "SECRET") && strcmp(name, "pool_passwd"))
		printf("# %s is not shown\n", name);
	else if (!can_be_quoted(value))
		printf("# %s has a value that cannot be written in a file\n", name);
	else
		printf("%s = %s%s%s\n", name, quote, value, quote);
}

/* Prints into a text, which the caller frees; NULL without memory. */
static char *value_of(const struct conf *c, const char *name)
{
	int n = conf_show(c, name, NULL, 0);
	char *text = n < 0 ? NULL : malloc((size_t)n + 1);

	if (text)
		conf_show(c, name, text, (size_t)n + 1);
	return text;
}

static void print_row(const struct conf *c, const struct conf_row *row)
{
	bool is_file = !strcmp(row->name, "pool_passwd");
	char *value = is_file ? strdup(c->pool_passwd) : value_of(c, row->name);

	if (value)
		print_line(row, row->name, value);
	free(value);
}

/* A node's own values: those that differ from the name without an index. */
static void print_node_row(const struct conf *c, const struct conf_row *row)
{
	char *common = row->bare ? value_of(c, row->name) : NULL;

	if (row->bare)
		print_row(c, row);
	for (int i = 0; i < c->nnodes; i++) {
		char name[64];

		snprintf(name, sizeof name, "%s%d", row->name, i);
		char *value = c->node[i].used ? value_of(c, name) : NULL;
		if (value && (!common || strcmp(value, common)))
			print_line(row, name, value);
		free(value);
	}
	free(common);
}

/* Parameters that will never have an effect here are left out. */
static void print_any_row(void *ctx, const struct conf_row *row)
{
	const struct conf *c = ctx;

	if (row->effect == EFFECT_USELESS)
		return;
	if (row->per_node)
		print_node_row(c, row);
	else
		print_row(c, row);
}

static int show_conf(const struct sources *from, int number)
{
	struct setup s;
	int status = load(&s, from);

	(void)number;
	if (status)
		return status;
	printf("# from %s\n", *s.conf_file ? s.conf_file : "PGPOOL_PARAMS_* variables");
	conf_each(print_any_row, s.conf);
	if (*s.rules)
		printf("\n# pool_hba.conf, generated:\n#\n");
	for (char *line = strtok(s.rules, "\n"); line; line = strtok(NULL, "\n"))
		printf("#   %s\n", line);
	setup_free(&s);
	return 0;
}

/* --- users --------------------------------------------------------------- */

static void put_entry(void *ctx, const struct passwd_entry *e)
{
	const struct passwd_entry **all = ctx;

	all[e->id] = e;
}

/* What PostgreSQL's md5 would store, whatever form we have: it can be compared but not read. */
static void print_entry(const struct passwd_entry *e, const char *file)
{
	static const char *const kinds[] = {
		[PASSWD_MD5] = "md5", [PASSWD_CLEAR] = "clear text",
		[PASSWD_AES] = "AES, not decrypted: unusable", [PASSWD_SCRAM] = "SCRAM verifier",
	};
	char hash[36] = "-";

	if (e->kind == PASSWD_CLEAR)
		md5_password(hash, e->text, e->len, e->user);
	else if (e->kind == PASSWD_MD5)
		snprintf(hash, sizeof hash, "%s", e->text);
	printf("%s\t%s\t%s\t", e->user, kinds[e->kind], hash);
	if (e->variable)
		printf("%.*s\n", (int)strcspn(e->variable, "="), e->variable);
	else
		printf("%s:%d\n", file, e->line);
}

static int show_passwd(const struct sources *from, int number)
{
	struct setup s;
	int status = load(&s, from);

	(void)number;
	if (status)
		return status;
	size_t n = passwd_count(s.passwd);
	const struct passwd_entry **all = calloc(n + 1, sizeof *all);
	if (all)
		passwd_each(s.passwd, put_entry, all);
	for (size_t i = 0; all && i < n; i++)
		print_entry(all[i], s.passwd_file);
	free(all);
	setup_free(&s);
	return 0;
}

static int ping(const struct sources *from, int number)
{
	struct setup s;

	(void)number;
	int status = load(&s, from) ? PING_NO_ATTEMPT : ping_run(s.conf);
	setup_free(&s);
	return status;
}

static int settings(const struct sources *from, int number)
{
	(void)from;
	(void)number;
	conf_document(stdout);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const struct sources *from, int number);
} commands[] = {
	{ "stop", stop },
	{ "reload", reload },
	{ "check", check },
	{ "show-conf", show_conf },
	{ "show-passwd", show_passwd },
	{ "ping", ping },
	{ "settings", settings },
};

int command_run(const char *name, const struct sources *from, int stop_signal)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(commands[i].name, name))
			return commands[i].run(from, stop_signal);
	return -1;
}
