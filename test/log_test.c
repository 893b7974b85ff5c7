/* log_test.c - records as they are written,
	byte by byte; time and pid replaced by what they were. */
#include "log/file.c"
#include "log.c"
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

/* --- syslog -------------------------------------------------------------- */

static char folder[] = "/tmp/log_test.XXXXXX";

static int listen_as_syslog(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
	return bind(fd, (struct sockaddr *)&un, sizeof un) ? -1 : fd;
}

/* One datagram, behind its time: "<134>" and "name[1]: [1] text". */
static const char *datagram(int fd)
{
	ssize_t n = recv(fd, got, sizeof got - 1, 0);
	char *stamp;

	got[n > 0 ? n : 0] = '\0';
	stamp = strchr(got, '>');
	if (n < 22 || !stamp)
		return "";
	memmove(stamp + 1, stamp + 17, strlen(stamp + 17) + 1);
	return got;
}

static void test_syslog(void)
{
	static const struct { enum level v; int priority; } severities[] = {
		{ LEVEL_DEBUG5, 135 }, { LEVEL_DEBUG1, 135 }, { LEVEL_LOG, 134 },
		{ LEVEL_INFO, 134 }, { LEVEL_NOTICE, 133 }, { LEVEL_WARNING, 133 },
		{ LEVEL_ERROR, 132 }, { LEVEL_FATAL, 131 }, { LEVEL_PANIC, 130 }
	};
	struct log l = logger("p ", LEVEL_DEBUG5);
	char path[64], want[100], text[4001];
	int piece, head;

	snprintf(path, sizeof path, "%s/syslog", folder);
	syslog_path = path;
	l.to = LOG_TO_SYSLOG;
	l.pid = 7;
	log_apply(&l);
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "a");
	taken();
	say(strstr(got, "p WARNING:  could not reach syslog at") && strstr(got, "p LOG:  a\n"),
		"without syslog there is stderr: %s", got);
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "b");
	say(!strcmp(taken(), "p LOG:  b\n"), "and one warning");

	int fd = listen_as_syslog(path);

	l.syslog_again = 0;
	l.syslog_records = 0;
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "c");
	say(!strcmp(datagram(fd), "<134>pgpool[7]: [1] p LOG:  c"), "there it is: %s", got);
	say(!*taken(), "and nothing goes to stderr");
	for (size_t i = 0; i < sizeof severities / sizeof *severities; i++) {
		log_write(&l, NULL, severities[i].v, NULL, NULL, "x");
		snprintf(want, sizeof want, "<%d>", severities[i].priority);
		say(!strncmp(datagram(fd), want, strlen(want)), "level %d is %s", severities[i].v,
			want);
	}
	l.facility = 7;
	l.ident = "me";
	l.to |= LOG_TO_STDERR;
	l.syslog_records = 0;
	log_write(&l, NULL, LEVEL_LOG, "e", NULL, "d");
	say(!strcmp(datagram(fd), "<190>me[7]: [1-1] p LOG:  d"), "facility, ident: %s", got);
	say(!strcmp(datagram(fd), "<190>me[7]: [1-2] p DETAIL:  e"), "a line, a datagram: %s", got);
	say(!strcmp(taken(), "p LOG:  d\np DETAIL:  e\n"), "stderr gets it, too");

	for (int blanks = 0; blanks < 2; blanks++) {
		size_t sum = 0;

		for (int i = 0; i < 4000; i += 2)
			memcpy(text + i, blanks ? "x " : "\xc3\xa9", 2);
		text[4000] = '\0';
		log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "%s", text);
		for (piece = 1; *datagram(fd); piece++) {
			snprintf(want, sizeof want, "<190>me[7]: [%d-%d] %n", 2 + blanks, piece,
				&head);
			if (strncmp(got, want, (size_t)head) || strlen(got + head) > SYSLOG_PIECE)
				break;
			sum += strlen(got + head) + (size_t)blanks;
			if (!blanks)
				say((got[strlen(got) - 1] & 0xc0) == 0x80, "whole characters");
		}
		say(piece == 6 && sum == 8 + 4000 + (size_t)blanks,
			"5 pieces of a long line: %d, %zu bytes", piece, sum);
		taken();
	}

	unsigned long dropped = l.dropped;

	for (int i = 0; i < 5000; i++) {
		log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "x");
		taken();
	}
	say(l.dropped > dropped, "who does not read stops nobody: %lu dropped",
		l.dropped - dropped);
	close(fd);
	unlink(path);
	fd = listen_as_syslog(path);
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "again");
	say(strstr(datagram(fd), "p LOG:  again") && *taken(), "a syslog that was started anew");
	l.to = LOG_TO_STDERR;
	log_apply(&l);
	say(!l.syslog, "no longer wanted, no longer connected");
	close(fd);
	unlink(path);
}

/* --- files --------------------------------------------------------------- */

static const char *in_file(const char *name)
{
	char path[128];
	ssize_t n = -1;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	int fd = open(path, O_RDONLY);
	if (fd >= 0) {
		n = read(fd, got, sizeof got - 1);
		close(fd);
	}
	got[n > 0 ? n : 0] = '\0';
	return n < 0 ? "(none)" : got;
}

static void forget(const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	unlink(path);
}

static void append(struct log_file *f, const char *text, time_t now)
{
	log_file_turn(f, now);
	log_file_write(f, text, strlen(text));
}

static void test_turns(void)
{
	enum { HOUR = 3600, DAY = 86400 };

	setenv("TZ", "UTC-5:30", 1);    /* midnight there is at 18:30 */
	tzset();
	say(turn_of(10 * DAY, DAY) == 10 * DAY - 5 * HOUR - 1800, "days begin at local midnight");
	say(turn_of(10 * DAY, HOUR) == 10 * DAY - 1800, "hours are counted from there");
	say(turn_of(12345, 0) == 12345, "no age, no turn");
	setenv("TZ", "UTC", 1);
	tzset();

	struct log_file f = { .directory = folder, .filename = "%d-%H", .mode = 0600, .age = HOUR };

	say(log_file_open(&f, 2 * DAY + 100) == 0 && f.due == 2 * DAY + HOUR,
		"due at the full hour");
	append(&f, "a", 2 * DAY + 3599);
	append(&f, "b", 2 * DAY + 3600);
	append(&f, "c", 2 * DAY + 3 * HOUR + 5);
	say(!strcmp(in_file("03-00"), "a"), "the first hour's");
	say(!strcmp(in_file("03-01"), "b"), "the second's");
	say(!strcmp(in_file("03-03"), "c"), "one that came late");

	f.truncate = true;
	append(&f, "d", 3 * DAY);
	log_file_close(&f);
	f = (struct log_file){ .directory = folder, .filename = "%H", .mode = 0600, .age = HOUR,
		.truncate = true };
	log_file_open(&f, 0);
	append(&f, "old", 0);
	append(&f, "x", HOUR);
	append(&f, "new", DAY);
	say(!strcmp(in_file("00"), "new"), "truncated when its turn comes again");
	f.size = 3;
	append(&f, "er", DAY + 2);
	say(!strcmp(in_file("00"), "newer"), "but not for its size");
	f.truncate = false;
	append(&f, "y", DAY + HOUR);
	say(!strcmp(in_file("01"), "xy"), "appended to without truncation");
	log_file_close(&f);

	forget("00");
	forget("01");
	f = (struct log_file){ .directory = folder, .filename = "%S", .mode = 0600, .size = 4 };
	log_file_open(&f, 0);
	append(&f, "1234", 0);
	append(&f, "5", 1);
	say(!strcmp(in_file("00"), "1234") && !strcmp(in_file("01"), "5"),
		"a full file's successor");
	forget("01");
	append(&f, "678", 1);
	append(&f, "9", 61);
	say(!strcmp(in_file("01"), "9"), "a file that was deleted is made anew at the next turn");

	char nowhere[64];

	snprintf(nowhere, sizeof nowhere, "%s/a/b", folder);
	f.directory = nowhere;
	f.size = 1;
	say(log_file_turn(&f, 200) < 0 && f.fd && f.again == 260, "what is open stays open");
	say(log_file_turn(&f, 201) == 0, "and the next minute is quiet");
	log_file_close(&f);

	char *longest = malloc(PATH_MAX + 2);

	memset(longest, 'x', PATH_MAX + 1);
	longest[PATH_MAX + 1] = '\0';
	f = (struct log_file){ .directory = folder, .filename = longest };
	say(log_file_open(&f, 0) < 0 && errno == ENAMETOOLONG, "a name that is too long");
	f.filename = "";
	say(log_file_open(&f, 0) < 0, "and none");
	free(longest);
	unsetenv("TZ");
	tzset();
	for (const char *const *n = (const char *const []){ "03-00", "03-01", "03-03", "04-00",
	     "00", "01", NULL }; *n; n++)
		forget(*n);
}

static void test_collector(void)
{
	struct log l = logger("", LEVEL_DEBUG5);
	char path[64], moved[64];

	say(log_rotate(&l) < 0 && errno == EINVAL, "no collector, no rotation");
	l.collect = true;
	l.file = (struct log_file){ .directory = folder, .filename = "one", .mode = 0640 };
	log_apply(&l);
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "a");
	say(!strcmp(in_file("one"), "LOG:  a\n") && !*taken(), "a file instead of stderr");
	snprintf(path, sizeof path, "%s/one", folder);
	snprintf(moved, sizeof moved, "%s/moved", folder);

	struct stat st;

	say(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640, "its mode");
	rename(path, moved);
	say(log_rotate(&l) == 0, "moved away");
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "b");
	say(!strcmp(in_file("moved"), "LOG:  a\n") && !strcmp(in_file("one"), "LOG:  b\n"),
		"log_rotate() comes back to the name");
	l.file.filename = "two";
	log_apply(&l);
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "c");
	say(!strcmp(in_file("two"), "LOG:  c\n"), "another name");
	l.file.directory = "/proc/nowhere";
	log_apply(&l);
	say(strstr(taken(), "WARNING:  could not switch to a new log file in \"/proc/nowhere\""),
		"a directory that cannot be: %s", got);
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "d");
	say(!strcmp(in_file("two"), "LOG:  c\nLOG:  d\n"), "the old file goes on");
	l.to = LOG_TO_SYSLOG;
	log_apply(&l);
	say(!l.file.fd, "without stderr as destination there is no file");

	l = logger("", LEVEL_DEBUG5);
	l.collect = true;
	l.file = (struct log_file){ .directory = "/dev", .filename = "full", .mode = 0600 };
	log_apply(&l);
	log_write(&l, NULL, LEVEL_LOG, NULL, NULL, "e");
	say(!strcmp(taken(), "LOG:  e\n") && !l.dropped, "a full disk: stderr");
	log_file_close(&l.file);
	forget("one");
	forget("two");
	forget("moved");
}

static void test_location(void)
{
	struct log l = logger("p ", LEVEL_DEBUG5);

	l.verbosity = VERBOSITY_VERBOSE;
	log_write(&l, NULL, LEVEL_LOG, "d", "h", "m");
	say(!strncmp(taken(), "p LOG:  m\np DETAIL:  d\np HINT:  h\np LOCATION:  ", 44)
		&& strstr(got, "log_test.c:"), "where it was written: %s", got);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
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
	test_location();
	test_syslog();
	test_turns();
	test_collector();
	rmdir(folder);
	return done();
}
