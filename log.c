#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PREFIX "%m: %a pid %p: "

enum {
	PREFIX_MAX = 256,
	PADDING_MAX = 100,
	LINE_ROOM = PREFIX_MAX + 16 + LOG_TEXT_MAX,
	RECORD_MAX = 1 + 3 * LINE_ROOM
};

/* A record being built.  What does not fit is left out; there is room for three lines. */
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

/* What an escape stands for; buf is room for it.  NULL for one that does not exist. */
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

/* Names come from clients: what is in them must not look like more than a name. */
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

static void write_record(struct log *l, const struct record *r)
{
	ssize_t n;

	do
		n = write(l->fd ? l->fd : STDERR_FILENO, r->at, r->n);
	while (n < 0 && errno == EINTR);

	if (n == (ssize_t)r->n)
		l->torn = false;
	else {
		l->dropped++;
		if (n > 0)
			l->torn = r->at[n - 1] != '\n';
	}
}

void log_write(struct log *l, struct log_who *who, enum level v, const char *detail,
	const char *hint, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX + 8];    /* longer than what is kept, so that cutting shows */
	struct record r;
	int saved = errno;
	va_list args;

	if (!log_wants(l, v))
		return;
	r.n = 0;
	if (!l->pid)
		l->pid = getpid();
	(*(who ? &who->lines : &l->lines))++;

	va_start(args, fmt);
	if (vsnprintf(text, sizeof text, fmt, args) < 0)
		text[0] = '\0';
	va_end(args);

	if (l->torn)
		put(&r, "\n", 1);
	put_line(&r, l, who, log_level_name(v), text);
	if (detail && l->verbosity != VERBOSITY_TERSE)
		put_line(&r, l, who, "DETAIL", detail);
	if (hint && l->verbosity != VERBOSITY_TERSE)
		put_line(&r, l, who, "HINT", hint);
	write_record(l, &r);
	errno = saved;
}
