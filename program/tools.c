#include "program/tools.h"

#include "auth.h"
#include "conf.h"
#include "md5.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define DEFAULT_CONF "/config/pgpool.conf"

enum { LONGEST_PASSWORD = 128 };        /* Pgpool-II's limit */

/* One run of either tool. */
struct tool {
	const char *name;
	const char *conf_file, *user, *input, *key_file;
	char *key_text;                 /* -K */
	bool prompt, prompt_key, update, help;

	struct passwd_key key;
	char path[PATH_MAX];            /* of pool_passwd */
	/* The password field of pool_passwd for this user, to be freed; NULL: out of memory. */
	char *(*encode)(const struct tool *t, const char *user, const char *password);
	/* Prints the password's form, without -m. */
	int (*print)(const struct tool *t, const char *password);
	/* Reports on a line of the input file; a wrong line has no user. */
	void (*tell)(int line, const char *user, bool blank);
};

static int fail(const char *text)
{
	fprintf(stderr, "%s\n", text);
	return 1;
}

/* ---- asking ---- */

/* A line typed without echo, to be wiped; NULL if there is none.  An interrupt waits until the
 * terminal is restored. */
static char *ask(const char *prompt)
{
	struct termios was, quiet;
	sigset_t set, old;
	char *line = NULL;
	size_t size = 0;

	if (tcgetattr(0, &was) < 0) {
		fail("stdin is not tty");
		return NULL;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTSTP);
	sigprocmask(SIG_BLOCK, &set, &old);
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(0, TCSAFLUSH, &quiet);
	fputs(prompt, stdout);
	fflush(stdout);
	ssize_t n = getline(&line, &size, stdin);
	putchar('\n');
	tcsetattr(0, TCSAFLUSH, &was);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (n < 0) {
		free(line);
		fail("no password was given");
		return NULL;
	}
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* ---- pool_passwd ---- */

static void tell_error(void *ctx, enum level severity, const char *file, int line, int column,
	const char *text)
{
	(void)ctx;
	if (severity == LEVEL_FATAL)
		fprintf(stderr, "%s:%d:%d: %s\n", file ? file : "", line, column, text);
}

/* Finds the file, relative to the configuration's. */
static int find_passwd(struct tool *t)
{
	struct conf_messages m = { tell_error, NULL };
	struct conf *c = NULL;

	if (access(t->conf_file, R_OK) < 0)
		fprintf(stderr, "could not open configuration file: \"%s\": %s\n", t->conf_file,
			strerror(errno));
	else
		c = conf_load(t->conf_file, NULL, &m);
	if (!c)
		return fail("Unable to get configuration. Exiting...\n");

	const char *slash = strrchr(t->conf_file, '/'), *name = c->pool_passwd;
	int folder = *name == '/' || !slash ? 0 : (int)(slash - t->conf_file + 1);
	int n = snprintf(t->path, sizeof t->path, "%.*s%s", folder, t->conf_file, name);
	bool none = !*name;
	conf_free(c);
	if (none)
		return fail("pool_passwd is empty in the configuration file: nothing to change");
	return n < (int)sizeof t->path ? 0 : fail("the name of pool_passwd is too long");
}

/* Is this the line, of n bytes, of the user?  Its name ends at a ':' without a backslash. */
static bool line_of(const char *line, size_t n, const char *user)
{
	const char *end = line + n;

	for (; line < end && *line != ':'; line++, user++) {
		if (*line == '\\' && line + 1 < end)
			line++;
		if (!*user || *line != *user)
			return false;
	}
	return line < end && !*user;
}

static void write_entry(FILE *to, const char *user, const char *field)
{
	for (; *user; user++) {
		if (*user == ':' || *user == '\\')
			putc('\\', to);
		putc(*user, to);
	}
	fprintf(to, ":%s\n", field);
}

/* Copies the lines and replaces the user's; adds a missing newline at the end. */
static void write_lines(FILE *to, FILE *from, const char *user, const char *field)
{
	bool written = false, open = false;
	char *line = NULL;
	size_t size = 0;

	for (ssize_t n; (n = getline(&line, &size, from)) > 0; ) {
		open = line[n - 1] != '\n';
		if (!written && line_of(line, (size_t)n, user)) {
			write_entry(to, user, field);
			written = true;
			open = false;
		} else {
			fwrite(line, 1, (size_t)n, to);
		}
	}
	if (open && !written)
		putc('\n', to);
	if (!written)
		write_entry(to, user, field);
	memory_wipe(line, size);
}

/* The new file beside the old one, complete and on disk. */
static int write_file(char *path, FILE *from, const char *user, const char *field)
{
	int fd = mkstemp(path);
	struct stat st;

	if (fd < 0)
		return -1;
	bool kept = !from || (fstat(fileno(from), &st) == 0 &&
		fchmod(fd, st.st_mode & 07777) == 0 &&
		(fchown(fd, st.st_uid, st.st_gid) == 0 || geteuid() != 0));
	FILE *to = fdopen(fd, "w");
	if (!to) {
		close(fd);
		return -1;
	}
	if (from)
		write_lines(to, from, user, field);
	else
		write_entry(to, user, field);
	bool good = kept && !(from && ferror(from)) && fflush(to) == 0 && fsync(fd) == 0;
	return fclose(to) == 0 && good ? 0 : -1;
}

/* The user's line of pool_passwd becomes, or is, user:field.  A name that is a symbolic link stays
 * one. */
static int update(const struct tool *t, const char *user, const char *field)
{
	char real[PATH_MAX], fresh[PATH_MAX + 8];
	FILE *from;

	if (!realpath(t->path, real))
		snprintf(real, sizeof real, "%s", t->path);
	from = fopen(real, "re");
	snprintf(fresh, sizeof fresh, "%s.XXXXXX", real);
	if ((!from && errno != ENOENT) || write_file(fresh, from, user, field) < 0 ||
		rename(fresh, real) < 0) {
		fprintf(stderr, "could not write \"%s\": %s\n", t->path, strerror(errno));
		unlink(fresh);
		if (from)
			fclose(from);
		return 1;
	}
	if (from)
		fclose(from);
	return 0;
}

/* ---- passwords ---- */

static int too_long(size_t n)
{
	fprintf(stderr, "Error: Input exceeds maximum password length given:%zu "
		"max allowed:%d!\n", n, LONGEST_PASSWORD);
	return 1;
}

static int take(const struct tool *t, const char *user, const char *password)
{
	if (strlen(password) > LONGEST_PASSWORD)
		return too_long(strlen(password));
	if (!t->update)
		return t->print(t, password);
	if (strchr(user, '\n'))
		return fail("a user name in pool_passwd must be on one line");
	char *field = t->encode(t, user, password);
	int status = field ? update(t, user, field) : fail("out of memory");
	memory_wipe_text(field);
	return status;
}

/* A line of the input file, without its end: user:password, with nothing escaped. */
static int take_pair(const struct tool *t, int number, char *line)
{
	char *colon = strchr(line, ':');
	bool good = colon && colon > line && colon[1];

	if (good)
		*colon = '\0';
	t->tell(number, good ? line : NULL, !*line);
	if (!good)
		return *line != '\0';
	return take(t, line, colon + 1);
}

static int take_file(const struct tool *t)
{
	FILE *from;
	char *line = NULL;
	size_t size = 0;
	int status = 0;

	printf("trying to read username:password pairs from file %s\n", t->input);
	if (!(from = fopen(t->input, "re"))) {
		fprintf(stderr, "failed to open input_file \"%s\" (%s)\n\n", t->input,
			strerror(errno));
		return 1;
	}
	for (int number = 1; getline(&line, &size, from) >= 0; number++) {
		line[strcspn(line, "\n")] = '\0';
		size_t n = strlen(line);
		if (n && line[n - 1] == '\r')
			line[n - 1] = '\0';
		status |= take_pair(t, number, line);
	}
	if (ferror(from)) {
		fprintf(stderr, "could not read \"%s\": %s\n", t->input, strerror(errno));
		status = 1;
	}
	fclose(from);
	memory_wipe(line, size);
	return status;
}

static const char *own_name(void)
{
	const struct passwd *p = getpwuid(geteuid());

	return p ? p->pw_name : NULL;
}

/* The whole run, once the key is there.  password was typed or given; NULL with -i. */
static int run(struct tool *t, const char *password)
{
	if (t->update && find_passwd(t))
		return 1;
	if (t->input)
		return take_file(t);
	const char *user = t->user ? t->user : t->update ? own_name() : "";
	if (!user || (t->update && !*user))
		return fail("there is no user name: give it with -u");
	return take(t, user, password);
}

/* ---- the command line ---- */

/* Puts options into t; arguments begin at optind.  Returns whether they are valid. */
static bool options(struct tool *t, int argc, char **argv, const char *shorts,
	const struct option *longs)
{
	optind = 1;
	for (int o; (o = getopt_long(argc, argv, shorts, longs, NULL)) != -1; )
		switch (o) {
		case 'f':
			t->conf_file = optarg;
			break;
		case 'i':
			t->input = optarg;
			break;
		case 'k':
			t->key_file = optarg;
			break;
		case 'K':
			t->key_text = optarg;
			break;
		case 'm':
			t->update = true;
			break;
		case 'p':
			t->prompt = true;
			break;
		case 'P':
			t->prompt_key = true;
			break;
		case 'u':
			t->user = optarg;
			break;
		case 'h':
			t->help = true;
			break;
		default:
			return false;
		}
	return true;
}

/* The password of an argument is wiped, as others may look at the command line. */
static char *argument(char *text)
{
	char *copy = strdup(text);

	explicit_bzero(text, strlen(text));
	return copy;
}

/* ---- pg_md5 ---- */

static char *md5_field(const struct tool *t, const char *user, const char *password)
{
	char *field = malloc(36);

	(void)t;
	if (field)
		md5_password(field, password, strlen(password), user);
	return field;
}

static int md5_print(const struct tool *t, const char *password)
{
	char hash[33];

	(void)t;
	md5_hex(hash, password, strlen(password));
	puts(hash);
	return 0;
}

static void md5_tell(int line, const char *user, bool blank)
{
	if (user)
		printf("LINE#%02d: USER: <%s>\n", line, user);
	else
		printf("LINE#%02d: %s\n", line,
			blank ? "BLANK LINE" : "Invalid username:password pair");
}

static int md5_usage(FILE *to, const char *name, int status)
{
	fprintf(to, "Usage:\n\n"
		"  %s [OPTIONS]\n"
		"  %s <PASSWORD>\n\n"
		"  --prompt, -p             ask for the password on the terminal\n"
		"  --md5auth, -m            write md5(password, user) to pool_passwd, for logins;\n"
		"                           without it, md5(password) is printed, for pcp.conf\n"
		"  --username, -u USER      user name, with -m (default: the current user's)\n"
		"  --config-file, -f FILE   pgpool.conf, which names pool_passwd, with -m\n"
		"                           (default: " DEFAULT_CONF ")\n"
		"  --input-file, -i FILE    take user:password lines from this file\n"
		"  --help, -h               this text\n\n"
		"A password has at most %d bytes.  As an argument it may be seen by others and\n"
		"stays in the shell's history: -p and -i are better.\n", name, name,
		LONGEST_PASSWORD);
	return status;
}

int tool_pg_md5(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", 0, NULL, 'h' }, { "prompt", 0, NULL, 'p' }, { "md5auth", 0, NULL, 'm' },
		{ "username", 1, NULL, 'u' }, { "config-file", 1, NULL, 'f' },
		{ "input-file", 1, NULL, 'i' }, { NULL, 0, NULL, 0 } };
	struct tool t = { .name = argv[0], .conf_file = DEFAULT_CONF, .encode = md5_field,
		.print = md5_print, .tell = md5_tell };

	if (!options(&t, argc, argv, "hpmf:u:i:", longs))
		return md5_usage(stderr, t.name, 1);
	if (t.help)
		return md5_usage(stdout, t.name, 0);
	if (!t.prompt && !t.input && optind >= argc)
		return md5_usage(stdout, t.name, 1);
	char *password = t.input ? NULL : t.prompt ? ask("password: ") : argument(argv[optind]);
	int status = t.input || password ? run(&t, password) : 1;
	memory_wipe_text(password);
	return status;
}

/* ---- pg_enc ---- */

static char *enc_field(const struct tool *t, const char *user, const char *password)
{
	size_t n = strlen(password);
	char *field = malloc(3 + passwd_encrypted_len(n) + 1);

	(void)user;
	if (!field)
		return NULL;
	memcpy(field, "AES", 3);
	passwd_encrypt(field + 3, &t->key, password, n);
	return field;
}

static int enc_print(const struct tool *t, const char *password)
{
	char *field = enc_field(t, "", password);

	if (!field)
		return fail("out of memory");
	printf("\n%s\npool_passwd string: %s\n", field + 3, field);
	memory_wipe_text(field);
	return 0;
}

static void enc_tell(int line, const char *user, bool blank)
{
	if (!user && !blank)
		fprintf(stderr, "LINE#%02d: invalid username:password pair\n", line);
}

static int enc_usage(FILE *to, const char *name, int status)
{
	char file[PATH_MAX];
	extern char **environ;

	passwd_key_file(file, NULL, environ);
	fprintf(to, "Usage:\n\n"
		"  %s [OPTIONS] <PASSWORD>\n\n"
		"  -k, --key-file=FILE      the encryption key is the first line of this file\n"
		"                           (default: %s; PGPOOLKEYFILE names another)\n"
		"  -K, --enc-key=KEY        the encryption key\n"
		"  -f, --config-file=FILE   pgpool.conf, which names pool_passwd, with -m\n"
		"                           (default: " DEFAULT_CONF ")\n"
		"  -i, --input-file=FILE    take user:password lines from this file\n"
		"  -p, --prompt             ask for the password on the terminal\n"
		"  -P, --prompt-for-key     ask for the encryption key on the terminal\n"
		"  -m, --update-pass        write the encrypted password to pool_passwd\n"
		"  -u, --username=USER      user name, with -m (default: the current user's)\n"
		"  -h, --help               this text\n\n"
		"A password has at most %d bytes.\n", name, *file ? file : "none",
		LONGEST_PASSWORD);
	return status;
}

/* -K, else -P, else the file. */
static int get_key(struct tool *t)
{
	char file[PATH_MAX];
	extern char **environ;
	char *typed = NULL;

	if (!t->key_text && !t->prompt_key) {
		passwd_key_file(file, t->key_file, environ);
		printf("trying to read key from file %s\n", file);
		fflush(stdout);
		passwd_key_load(&t->key, file);
		if (t->key.exposed)
			fprintf(stderr, "WARNING: pool key file \"%s\" has group or world access; "
				"permissions should be u=rw (0600) or less\n", file);
	} else {
		typed = t->key_text ? argument(t->key_text) : ask("encryption key: ");
		if (typed && *typed)
			passwd_key_derive(&t->key, typed, strlen(typed));
		memory_wipe_text(typed);
	}
	return t->key.usable ? 0 : fail("encryption key not provided");
}

int tool_pg_enc(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "key-file", 1, NULL, 'k' }, { "enc-key", 1, NULL, 'K' },
		{ "config-file", 1, NULL, 'f' }, { "input-file", 1, NULL, 'i' },
		{ "prompt", 0, NULL, 'p' }, { "prompt-for-key", 0, NULL, 'P' },
		{ "update-pass", 0, NULL, 'm' }, { "username", 1, NULL, 'u' },
		{ "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	struct tool t = { .name = argv[0], .conf_file = DEFAULT_CONF, .encode = enc_field,
		.print = enc_print, .tell = enc_tell };

	if (!options(&t, argc, argv, "k:K:f:i:pPmu:h", longs))
		return enc_usage(stderr, t.name, 1);
	if (t.help)
		return enc_usage(stdout, t.name, 0);
	char *password = t.input ? NULL : t.prompt || optind >= argc ? ask("db password: ") :
		argument(argv[optind]);
	int status = 1;
	if (password && strlen(password) > LONGEST_PASSWORD)
		too_long(strlen(password));
	else if ((password || t.input) && get_key(&t) == 0)
		status = run(&t, password);
	memory_wipe_text(password);
	explicit_bzero(&t.key, sizeof t.key);
	return status;
}
