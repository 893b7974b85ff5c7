#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_PREFIX "%m: %a pid %p: "

enum {
	PREFIX_MAX = 256,
	PADDING_MAX = 100,
	LINE_ROOM = PREFIX_MAX + 16 + LOG_TEXT_MAX,
	RECORD_MAX = 1 + 4 * LINE_ROOM,
	SYSLOG_PIECE = 900,             /* bytes of text in a datagram: receivers cut at 1024 */
	LOCAL0 = 16                     /* syslog's number of the facility */
};

/* A record being built, behind a line feed that ends a torn line.  What does not fit is left out;
 * there is room for four lines. */
struct record {
	size_t n;
	char at[RECORD_MAX];
};

static void put(struct record *r, const char *text, size_t n)
{
	if (n > sizeof r->at - r->n)
		n = sizeof r->at - r->n;
	memcpy(r->at + r->n, text, n);
	r->n += n;
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 127;
}

/* --- prefix -------------------------------------------------------------- */

/* "2026-11-22 14:06:52", made once a second. */
static void set_clock(struct log *l, const struct timespec *now)
{
	struct tm tm;

	if (l->clock[0] && l->second == now->tv_sec)
		return;
	l->second = now->tv_sec;
	if (!localtime_r(&l->second, &tm) || !strftime(l->clock, sizeof l->clock, "%F %T", &tm))
		strcpy(l->clock, "?");
}

static const char *number(unsigned long v, char buf[static 24])
{
	char *p = buf + 23;

	*p = '\0';
	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	return p;
}

static const char *known(const char *name)
{
	return name ? name : "[unknown]";
}

/* The text for an escape; buf is room for it.  NULL for an unknown one. */
static const char *expand(struct log *l, const struct log_who *who, char escape,
	char buf[static 40])
{
	struct timespec now;

	switch (escape) {
	case 'a':
		return who ? known(who->app) : "main";
	case 'u':
		return who ? known(who->user) : "";
	case 'd':
		return who ? known(who->database) : "";
	case 'p': case 'P':
		return number((unsigned long)l->pid, buf);
	case 'l':
		return number(who ? who->lines : l->lines, buf);
	case 't': case 'm':
		clock_gettime(CLOCK_REALTIME, &now);
		set_clock(l, &now);
		if (escape == 't')
			return l->clock;
		snprintf(buf, 40, "%s.%03ld", l->clock, now.tv_nsec / 1000000);
		return buf;
	default:
		return NULL;
	}
}

/* Names come from clients: they must not look like more than a name. */
static void put_name(struct record *r, const char *text, int width, bool left)
{
	size_t n = strlen(text), room = PREFIX_MAX - 1, pad;

	if (n > room)
		n = room;
	pad = (size_t)width > n ? (size_t)width - n : 0;
	for (size_t i = 0; !left && i < pad; i++)
		put(r, " ", 1);
	for (size_t i = 0; i < n; i++)
		put(r, is_control(text[i]) ? "?" : text + i, 1);
	for (size_t i = 0; left && i < pad; i++)
		put(r, " ", 1);
}

static void put_prefix(struct record *r, struct log *l, const struct log_who *who)
{
	size_t end = r->n + PREFIX_MAX;
	char buf[40];

	for (const char *p = l->prefix ? l->prefix : DEFAULT_PREFIX; *p; p++) {
		int width = 0;
		bool left = false;

		if (p[0] != '%' || p[1] == '%') {
			p += p[0] == '%';
			put(r, p, 1);
			continue;
		}
		p++;
		if (*p == '-') {
			left = true;
			p++;
		}
		for (; *p >= '0' && *p <= '9'; p++)
			width = width < PADDING_MAX ? width * 10 + (*p - '0') : width;
		if (!*p)
			break;

		const char *text = expand(l, who, *p, buf);

		if (text)
			put_name(r, text, width < PADDING_MAX ? width : PADDING_MAX, left);
	}
	if (r->n > end)
		r->n = end;
}

/* --- texts --------------------------------------------------------------- */

/* How much of a text is at most max bytes long when printed, without a piece of a character. */
static size_t fitting(const char *text, size_t max)
{
	size_t n = 0, used = 0;

	while (text[n] && (used += text[n] == '\n' ? 2 : 1) <= max)
		n++;
	for (int back = 0; back < 3 && n && (text[n] & 0xc0) == 0x80; back++)
		n--;
	return n;
}

static void put_text(struct record *r, const char *text, size_t n)
{
	for (const char *p = text; p < text + n; p++) {
		if (*p == '\n')
			put(r, "\n\t", 2);
		else if (*p == '\r' && p[1] == '\n')
			continue;
		else
			put(r, is_control(*p) && *p != '\t' ? "?" : p, 1);
	}
}

static void put_line(struct record *r, struct log *l, const struct log_who *who, const char *label,
	const char *text)
{
	size_t n = fitting(text, LOG_TEXT_MAX);
	bool whole = !text[n];

	put_prefix(r, l, who);
	put(r, label, strlen(label));
	put(r, ":  ", 3);
	put_text(r, text, whole ? n : fitting(text, LOG_TEXT_MAX - 3));
	put(r, whole ? "\n" : "...\n", whole ? 1 : 4);
}

const char *log_level_name(enum level v)
{
	switch (v) {
	case LEVEL_DEBUG5: case LEVEL_DEBUG4: case LEVEL_DEBUG3: case LEVEL_DEBUG2:
	case LEVEL_DEBUG1:
		return "DEBUG";
	case LEVEL_LOG:
		return "LOG";
	case LEVEL_INFO:
		return "INFO";
	case LEVEL_NOTICE:
		return "NOTICE";
	case LEVEL_WARNING:
		return "WARNING";
	case LEVEL_ERROR:
		return "ERROR";
	case LEVEL_FATAL:
		return "FATAL";
	case LEVEL_PANIC:
		return "PANIC";
	}
	return "?";
}

bool log_wants(const struct log *l, enum level v)
{
	if (v == LEVEL_LOG)
		return l->min <= LEVEL_ERROR;
	if (l->min == LEVEL_LOG)
		return v >= LEVEL_FATAL;
	return v >= l->min;
}

/* --- writing ------------------------------------------------------------- */

/* Opening the descriptor's own name gives a new open file, whose mode is ours alone; for what
 * cannot be opened so (a socket, no /proc) the mode of the shared one is changed.  A terminal or a
 * regular file is left as it is: the shell shares the one, and the other never blocks. */
void log_open(struct log *l)
{
	struct stat st;

	if (l->fd || fstat(STDERR_FILENO, &st) || !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
		return;

	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd >= 0)
		l->fd = fd;
	else
		fcntl(STDERR_FILENO, F_SETFL, fcntl(STDERR_FILENO, F_GETFL) | O_NONBLOCK);
}

/* The record, from its second byte on, or from the line feed that ends a torn line. */
static bool put_out(struct log *l, bool file, const struct record *r)
{
	bool *torn = file ? &l->file_torn : &l->torn;
	const char *p = r->at + !*torn;
	size_t n = r->n - !*torn;
	ssize_t done;

	if (file)
		done = log_file_write(&l->file, p, n);
	else
		do
			done = write(l->fd ? l->fd : STDERR_FILENO, p, n);
		while (done < 0 && errno == EINTR);

	if (done == (ssize_t)n) {
		*torn = false;
		return true;
	}
	if (done > 0)
		*torn = p[done - 1] != '\n';
	return false;
}

static void begin_record(struct record *r)
{
	r->n = 0;
	put(r, "\n", 1);
}

/* A message about the log itself, for which only stderr is left. */
static void complain(struct log *l, const char *what, const char *path, const char *instead)
{
	const char *why = strerror(errno);
	char text[PATH_MAX + 128];
	struct record r;

	if (!log_wants(l, LEVEL_WARNING))
		return;
	l->lines++;
	begin_record(&r);
	snprintf(text, sizeof text, "could not %s \"%s\": %s", what, path, why);
	put_line(&r, l, NULL, log_level_name(LEVEL_WARNING), text);
	if (l->verbosity != VERBOSITY_TERSE)
		put_line(&r, l, NULL, "DETAIL", instead);
	l->dropped += !put_out(l, false, &r);
}

/* --- syslog -------------------------------------------------------------- */

static const char *syslog_path = "/dev/log";

static void syslog_close(struct log *l)
{
	if (l->syslog)
		close(l->syslog);
	l->syslog = 0;
}

static bool syslog_open(struct log *l)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	time_t now = time(NULL);

	if (l->syslog)
		return true;
	if (now < l->syslog_again)
		return false;
	l->syslog_again = now + 1;
	snprintf(un.sun_path, sizeof un.sun_path, "%s", syslog_path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&un, sizeof un) == 0) {
		l->syslog = fd;
		l->syslog_told = false;
		return true;
	}
	if (!l->syslog_told)
		complain(l, "reach syslog at", syslog_path,
			"the log goes to stderr until it is there");
	l->syslog_told = true;
	if (fd >= 0)
		close(fd);
	return false;
}

static int syslog_severity(enum level v)
{
	static const char severities[] = {
		[LEVEL_LOG] = 6, [LEVEL_INFO] = 6, [LEVEL_NOTICE] = 5, [LEVEL_WARNING] = 5,
		[LEVEL_ERROR] = 4, [LEVEL_FATAL] = 3, [LEVEL_PANIC] = 2
	};

	return v < LEVEL_LOG ? 7 : severities[v];
}

/* A restarted syslog has another socket. */
static bool syslog_send(struct log *l, const char *p, size_t n)
{
	for (int i = 0; i < 2 && syslog_open(l); i++) {
		if (send(l->syslog, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return true;
		if (errno == EAGAIN || errno == ENOBUFS) {
			l->dropped++;
			return true;
		}
		syslog_close(l);
		l->syslog_again = 0;
	}
	return false;
}

/* How much of the n bytes of a line is one piece: up to a blank if there is one. */
static size_t piece_of(const char *p, size_t n)
{
	size_t cut = SYSLOG_PIECE;

	if (n <= SYSLOG_PIECE)
		return n;
	while (cut > SYSLOG_PIECE / 2 && p[cut] != ' ')
		cut--;
	if (p[cut] == ' ')
		return cut;
	cut = SYSLOG_PIECE;
	while (cut > 1 && (p[cut] & 0xc0) == 0x80)
		cut--;
	return cut;
}

/* RFC 3164, as syslog(3) sends it.  False: syslog cannot be reached. */
static bool put_syslog(struct log *l, enum level v, const struct record *r)
{
	const char *p = r->at + 1, *end = r->at + r->n;
	bool several = end - p - 1 > SYSLOG_PIECE || memchr(p, '\n', (size_t)(end - p - 1));
	char out[SYSLOG_PIECE + 256], stamp[24];
	time_t now = time(NULL);
	struct tm tm;

	if (!localtime_r(&now, &tm) || !strftime(stamp, sizeof stamp, "%b %e %T", &tm))
		stamp[0] = '\0';
	l->syslog_records++;
	for (int i = 1; p < end; i++) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t line = (size_t)((lf ? lf : end) - p), n = piece_of(p, line);
		int head = snprintf(out, 240, "<%d>%s %.80s[%ld]: [%lu",
			(LOCAL0 + l->facility) * 8 + syslog_severity(v), stamp,
			l->ident ? l->ident : "pgpool", l->pid, l->syslog_records);

		head += snprintf(out + head, 16, several ? "-%d] " : "] ", i);
		memcpy(out + head, p, n);
		if (!syslog_send(l, out, (size_t)head + n))
			return false;
		p += n + (n == line || p[n] == ' ');
	}
	return true;
}

/* --- files --------------------------------------------------------------- */

static void file_failed(struct log *l)
{
	complain(l, l->file.fd ? "switch to a new log file in" : "open a log file in",
		l->file.directory, l->file.fd ? "the log stays in the old one"
		: "the log goes to stderr");
}

/* False: use stderr. */
static bool put_file(struct log *l, const struct record *r)
{
	if (!l->file.fd)
		return false;
	if (log_file_turn(&l->file, time(NULL)) < 0)
		file_failed(l);
	return put_out(l, true, r);
}

int log_rotate(struct log *l)
{
	if (!l->collect || !(l->to & LOG_TO_STDERR)) {
		errno = EINVAL;
		return -1;
	}
	return log_file_open(&l->file, time(NULL));
}

static void apply_files(struct log *l)
{
	char pattern[PATH_MAX];

	if (!l->collect || !(l->to & LOG_TO_STDERR)) {
		log_file_close(&l->file);
		return;
	}
	snprintf(pattern, sizeof pattern, "%s/%s", l->file.directory, l->file.filename);
	if (l->file.fd && !strcmp(pattern, l->pattern)) {
		log_file_aged(&l->file, time(NULL));
		return;
	}
	if (log_file_open(&l->file, time(NULL)) < 0)
		file_failed(l);
	else
		memcpy(l->pattern, pattern, sizeof pattern);
}

void log_apply(struct log *l)
{
	if (!l->to)
		l->to = LOG_TO_STDERR;
	if (!l->pid)
		l->pid = getpid();
	if (!(l->to & LOG_TO_SYSLOG))
		syslog_close(l);
	l->syslog_again = 0;
	l->syslog_told = false;
	apply_files(l);
}

/* --- a record ------------------------------------------------------------ */

static void write_record(struct log *l, enum level v, const struct record *r)
{
	bool syslog = (l->to & LOG_TO_SYSLOG) && put_syslog(l, v, r);

	if (syslog && !(l->to & LOG_TO_STDERR))
		return;
	if (!put_file(l, r))
		l->dropped += !put_out(l, false, r);
}

void log_record(struct log *l, struct log_who *who, enum level v, const char *place,
	const char *detail, const char *hint, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX + 8];    /* longer than the kept text, so that cutting shows */
	struct record r;
	int saved = errno;
	va_list args;

	if (!log_wants(l, v))
		return;
	begin_record(&r);
	if (!l->pid)
		l->pid = getpid();
	(*(who ? &who->lines : &l->lines))++;

	va_start(args, fmt);
	if (vsnprintf(text, sizeof text, fmt, args) < 0)
		text[0] = '\0';
	va_end(args);

	put_line(&r, l, who, log_level_name(v), text);
	if (detail && l->verbosity != VERBOSITY_TERSE)
		put_line(&r, l, who, "DETAIL", detail);
	if (hint && l->verbosity != VERBOSITY_TERSE)
		put_line(&r, l, who, "HINT", hint);
	if (l->verbosity == VERBOSITY_VERBOSE)
		put_line(&r, l, who, "LOCATION", place);
	write_record(l, v, &r);
	errno = saved;
}
