/* log_test.c - records as they are written,
	byte by byte; time and pid replaced by what they were. */
#include "../log_file.c"
#include "../log.c"
#include "t.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

static char got[65536];
static int pipe_fd[2];

/* What one record wrote. */
static const char *taken(void)
{
	ssize_t n = read(pipe_fd[0], got, sizeof got - 1);

	got[n > 0 ? n : 0] = '\0';
	return got;
}

static struct log logger(const char *prefix, enum level min)
{
	return (struct log){ .prefix = prefix, .min = min, .verbosity = VERBOSITY_DEFAULT,
		.fd = pipe_fd[1] };
}

static void test_lines(void)
{
	struct log l = logger("%a|%u|%d|%l: ", LEVEL_DEBUG5);
	struct log_who who = { "psql", "alice", "shop", 0 }, nobody = { "child", NULL, NULL, 0 };

	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "started %d", 7);
	say(!strcmp(taken(), "main|||1: LOG:  started 7\n"), "the program's own");
	log_write(&l, &who, LEVEL_WARNING, NULL, NULL, "%s", "w");
	say(!strcmp(taken(), "psql|alice|shop|1: WARNING:  w\n"), "a client's");
	log_write(&l, &who, LEVEL_ERROR, "d", "h", "e");
	say(!strcmp(taken(), "psql|alice|shop|2: ERROR:  e\npsql|alice|shop|2: DETAIL:  d\n"
		"psql|alice|shop|2: HINT:  h\n"), "detail and hint, each with the prefix");
	log_write(&l, &who, LEVEL_ERROR, NULL, "h", "e");
	say(!strcmp(taken(), "psql|alice|shop|3: ERROR:  e\npsql|alice|shop|3: HINT:  h\n"),
		"hint alone");
	log_write(&l, &nobody, LEVEL_FATAL, NULL, NULL, "x");
	say(!strcmp(taken(), "child|[unknown]|[unknown]|1: FATAL:  x\n"),
		"unknown user and database");
	l.verbosity = VERBOSITY_TERSE;
	log_write(&l, NULL, LEVEL_PANIC, "d", "h", "p");
	say(!strcmp(taken(), "main|||2: PANIC:  p\n"), "terse has neither");
}

static void test_prefix(void)
{
	static const struct { const char *prefix, *want; } cases[] = {
		{ "", "" }, { "%%", "%" }, { "%", "" }, { "a%", "a" }, { "%z", "" }, { "x%zy ",
			"xy " },
		{ "%-10a|", "psql      |" }, { "%10a|", "      psql|" }, { "%2a|", "psql|" },
		{ "%-3l|", "1  |" }, { "%3l|", "  1|" }, { "%-", "" }, { "%5", "" }, { "%5z", "" },
		{ "[%u@%d] ", "[alice@shop] " }, { "%p", "77" }, { "%P", "77" }, { "%6p",
			"    77" },
		{ "%u%u%u", "alicealicealice" }
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct log l = logger(cases[i].prefix, LEVEL_DEBUG5);
		struct log_who who = { "psql", "alice", "shop", 0 };
		char want[100];

		l.pid = 77;
		snprintf(want, sizeof want, "%sLOG:  m\n", cases[i].want);
		log_write(&l, &who, LEVEL_LOG, NULL, NULL, "m");
		say(!strcmp(taken(), want), "prefix \"%s\"", cases[i].prefix);
	}

	struct log l = logger("%99999999999999999999a|", LEVEL_DEBUG5);

	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "m");
	say(strlen(taken()) == 100 + strlen("|LOG:  m\n"), "padding is at most 100");
}

static void test_clock(void)
{
	struct log l = logger(NULL, LEVEL_DEBUG5);
	char want[64], stamp[32];
	int y, mo, d, h, mi, s, ms, used = 0;
	struct tm tm;
	time_t t;

	setenv("TZ", "UTC-5:30", 1);
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "m");
	taken();
	say(sscanf(got, "%4d-%2d-%2d %2d:%2d:%2d.%3d: %n", &y, &mo, &d, &h, &mi, &s, &ms,
		&used) == 7
		&& used == 25, "default prefix begins with the time and milliseconds");
	snprintf(want, sizeof want, "main pid %ld: LOG:  m\n", (long)getpid());
	say(!strcmp(got + 25, want), "and goes on with application and pid");

	t = l.second;
	localtime_r(&t, &tm);
	strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm);
	say(!strncmp(got, stamp, 19), "local time");

	l.prefix = "%t ";
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "m");
	say(strlen(taken()) == 20 + strlen("LOG:  m\n"), "%%t has no milliseconds");

	struct timespec then = { 86399, 0 };

	set_clock(&l, &then);
	say(!strcmp(l.clock, "1970-01-02 05:29:59"), "another second, another text: %s", l.clock);
	l.clock[0] = 'X';
	set_clock(&l, &then);
	say(l.clock[0] == 'X', "the same second is not made again");
	unsetenv("TZ");
}

/* PostgreSQL's rule, written down a second time: which levels a minimum lets through. */
static void test_levels(void)
{
	static const struct { enum level min; const char *passes; } cases[] = {
		{ LEVEL_DEBUG5, "54321LINWEFP" }, { LEVEL_DEBUG4, "4321LINWEFP" },
		{ LEVEL_DEBUG2, "21LINWEFP" }, { LEVEL_DEBUG1, "1LINWEFP" }, { LEVEL_LOG, "LFP" },
		{ LEVEL_INFO, "LINWEFP" }, { LEVEL_NOTICE, "LNWEFP" }, { LEVEL_WARNING, "LWEFP" },
		{ LEVEL_ERROR, "LEFP" }, { LEVEL_FATAL, "FP" }, { LEVEL_PANIC, "P" }
	};
	static const char letters[] = "54321LINWEFP";

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int v = LEVEL_DEBUG5; v <= LEVEL_PANIC; v++) {
			struct log l = logger("", cases[i].min);
			bool want = strchr(cases[i].passes, letters[v]);

			say(log_wants(&l, (enum level)v) == want, "min %d, level %d", cases[i].min,
				v);
		}

	struct log l = logger("", LEVEL_WARNING);

	log_write(&l, NULL, LEVEL_NOTICE, NULL, NULL, "no");
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "yes");
	say(!strcmp(taken(), "LOG:  yes\n") && l.lines == 1, "what is not wanted is not written");
	say(!strcmp(log_level_name(LEVEL_DEBUG3), "DEBUG") && !strcmp(log_level_name(LEVEL_INFO),
		"INFO")
		&& !strcmp(log_level_name(LEVEL_NOTICE), "NOTICE"), "names");
}

static void test_texts(void)
{
	struct log l = logger("p ", LEVEL_DEBUG5);
	struct log_who forger = { "a\nLOG:  b", "\x1b[31m", "\xc3\xa9\x7f", 0 };

	log_write(&l, NULL, LEVEL_LOG, "c\nd", NULL, "a\nb\r\nc\td");
	say(!strcmp(taken(), "p LOG:  a\n\tb\n\tc\td\np DETAIL:  c\n\td\n"),
		"a tab follows a line feed");
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "a\x1b[0m\rb\x01\x7f");
	say(!strcmp(taken(), "p LOG:  a?[0m?b??\n"), "control characters");
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "\xc3\xa9\xff");
	say(!strcmp(taken(), "p LOG:  \xc3\xa9\xff\n"), "other bytes are kept");
	log_write(&l, NULL, LEVEL_LOG, "", "", "%s", "");
	say(!strcmp(taken(), "p LOG:  \np DETAIL:  \np HINT:  \n"), "empty texts");
	l.prefix = "%a|%u|%d ";
	log_write(&l, &forger, LEVEL_LOG, NULL, NULL, "m");
	say(!strcmp(taken(), "a?LOG:  b|?[31m|\xc3\xa9? LOG:  m\n"), "names cannot forge a line");
}

static void test_cutting(void)
{
	struct log l = logger("", LEVEL_DEBUG5);
	char *text = malloc(100001);

	for (int extra = -2; extra <= 2; extra++) {
		memset(text, 'x', LOG_TEXT_MAX + (size_t)extra);
		text[LOG_TEXT_MAX + extra] = '\0';
		log_write(&l, NULL, LEVEL_LOG, text, text, "%s", text);
		taken();
		size_t line = strcspn(got, "\n"), want = (size_t)(LOG_TEXT_MAX + (extra < 0 ? extra
			: 0));

		say(line == strlen("LOG:  ") + want, "%d bytes over: cut to 8 KB", extra);
		say(!strncmp(got + line - 3, extra > 0 ? "..." : "xxx", 3), "%d: dots", extra);
		say(strlen(got) == strlen("LOG:  \nDETAIL:  \nHINT:  \n") + 3 * want, "%d: all",
			extra);
	}

	memset(text, 'x', 100000);
	text[100000] = '\0';
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "%s", text);
	say(strlen(taken()) == strlen("LOG:  \n") + LOG_TEXT_MAX, "100 KB");

	memset(text, '\n', 100000);
	log_write(&l, NULL, LEVEL_LOG, text, text, "%s", text);
	taken();
	say(strlen(got) <= RECORD_MAX && !strcmp(got + strlen(got) - 4, "...\n"),
		"100 KB of line feeds");

	for (size_t i = 0; i < 100000; i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	for (int shift = 0; shift < 2; shift++) {
		log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "%.*s%s", shift, "x", text);
		taken();
		char *dots = got + strlen(got) - 4;

		say(!strcmp(dots, "...\n") && (unsigned char)dots[-1] == 0xa9,
			"whole characters, shift %d",
			shift);
	}

	memset(text, 'u', 100000);
	struct log_who who = { text, text, text, 0 };

	l.prefix = "%a%u%d%a%u%d%a%u%d";
	log_write(&l, &who, LEVEL_LOG, NULL, NULL, "m");
	say(!strcmp(taken() + PREFIX_MAX, "LOG:  m\n"), "a prefix is at most %d bytes", PREFIX_MAX);
	free(text);
}

/* A reader that does not read: records are dropped, the writer goes on, the torn line ends. */
static void test_full(void)
{
	struct log l = logger("", LEVEL_DEBUG5);
	char text[1001], *end;
	int turns = 0;

	memset(text, 'x', 1000);
	text[1000] = '\0';
	while (!l.dropped && ++turns < 100000)
		log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "%s", text);
	say(l.dropped == 1, "a full pipe drops after %d records", turns);
	errno = 4711;
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "%s", text);
	say(l.dropped == 2 && errno == 4711, "and goes on, errno untouched");
	while (*taken())
		;
	l.torn = true;
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "again");
	say(!strcmp(taken(), "\nLOG:  again\n"), "the torn line is ended first");
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "more");
	say(!strcmp(taken(), "LOG:  more\n"), "once");

	int pair[2];

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
	int small = 1;

	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	l = (struct log){ .prefix = "", .fd = pair[0], .verbosity = VERBOSITY_DEFAULT };
	for (int i = 0; i < 1000; i++)
		log_write(&l, NULL, LEVEL_LOG, text, NULL, "%s", text);
	say(l.dropped > 0, "a socket that is full: %lu dropped", l.dropped);
	ssize_t n;

	end = got;
	while ((n = read(pair[1], got, sizeof got)) > 0)
		end = got + n;
	bool half = end[-1] != '\n';

	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "z");
	n = read(pair[1], got, sizeof got - 1);
	got[n > 0 ? n : 0] = '\0';
	say(!strcmp(got, half ? "\nLOG:  z\n" : "LOG:  z\n"), "then goes on in a new line");

	close(pair[1]);
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "z");
	say(1, "a reader that left does no harm");
	close(pair[0]);
}

static void test_open(void)
{
	int kept = dup(2), p[2];
	struct log l = { .prefix = "" };

	if (pipe(p))
		return;
	dup2(p[1], 2);
	log_open(&l);
	say(l.fd > 2 && fcntl(l.fd, F_GETFL) & O_NONBLOCK,
		"a pipe gets a descriptor that never blocks");
	say(!(fcntl(2, F_GETFL) & O_NONBLOCK), "and the shared one stays as it was");
	log_open(&l);
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "here");
	ssize_t n = read(p[0], got, sizeof got - 1);

	got[n > 0 ? n : 0] = '\0';
	say(!strcmp(got, "LOG:  here\n"), "it leads to the same pipe");
	close(l.fd);
	dup2(kept, 2);
	close(p[0]);
	close(p[1]);
	close(kept);

	struct log zero = { 0 };

	say(log_wants(&zero, LEVEL_DEBUG5), "the zero value logs everything");
}

int main(void)
{
	if (pipe2(pipe_fd, O_NONBLOCK))
		return 1;
	signal(SIGPIPE, SIG_IGN);
	test_lines();
	test_prefix();
	test_clock();
	test_levels();
	test_texts();
	test_cutting();
	test_full();
	test_open();
	return done();
}
