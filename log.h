/* log.h - log lines in Pgpool-II's format.
 *
 * A record goes out whole, in one write(2):
 *
 *      <prefix>SEVERITY:  message
 *      <prefix>DETAIL:  what exactly          only when given and not terse
 *      <prefix>HINT:  what to do              the same
 *      <prefix>LOCATION:  file:line           only when verbose
 *
 * The prefix is the parameter log_line_prefix, default "%m: %a pid %p: ":
 *
 *      %a  application or process name        %u  user       %d  database
 *      %t  local time                         %m  local time with milliseconds
 *      %p  %P  process id                     %l  number of the record within its session
 *      %%  a percent sign
 *
 * and a number between the two characters pads to that width, on the left side with a
 * minus sign ("%-10a").  Other escapes print nothing, as in PostgreSQL.
 *
 * A line feed inside a text is followed by a tab, so that a reader can tell a continued record from
 * the next one.  Other control characters become '?', so that a client's name cannot forge a line
 * or reach a terminal.  A text longer than LOG_TEXT_MAX bytes is cut between two characters and
 * ends in "...".
 *
 * It goes to stderr, to syslog, or to both.  With `collect` files take the place of stderr.  If a
 * destination fails - no syslog, a directory that is not writable, a full disk - stderr says so
 * once, and then gets the records instead.
 *
 * syslog gets each line as a datagram of its own, and lines longer than 900 bytes in pieces:
 * "[record] text", or "[record-piece] text" when there are several.
 *
 * Writing never waits: if a descriptor has no room, the rest is dropped and counted (see log_open).
 * errno is left unchanged.
 *
 * One struct log per program, passed explicitly; it belongs to one thread.  The zero value
 * is valid: every level, tersely, with the default prefix, to stderr.
 */
#ifndef LOG_H
#define LOG_H

#include "log/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* The levels in PostgreSQL's order, least important first; A(...) is a second word for one. */
#define LEVEL_WORDS(W, A) \
	W(LEVEL_DEBUG5, "debug5") \
	W(LEVEL_DEBUG4, "debug4") \
	W(LEVEL_DEBUG3, "debug3") \
	W(LEVEL_DEBUG2, "debug2") \
	A(LEVEL_DEBUG2, "debug") \
	W(LEVEL_DEBUG1, "debug1") \
	W(LEVEL_LOG, "log") \
	W(LEVEL_INFO, "info") \
	W(LEVEL_NOTICE, "notice") \
	W(LEVEL_WARNING, "warning") \
	W(LEVEL_ERROR, "error") \
	W(LEVEL_FATAL, "fatal") \
	W(LEVEL_PANIC, "panic")

#define VERBOSITY_WORDS(W, A) \
	W(VERBOSITY_TERSE, "terse") \
	W(VERBOSITY_DEFAULT, "default") \
	W(VERBOSITY_VERBOSE, "verbose")

#define LOG_WORD(constant, word) constant,
#define LOG_ALIAS(constant, word)
enum level { LEVEL_WORDS(LOG_WORD, LOG_ALIAS) };
enum verbosity { VERBOSITY_WORDS(LOG_WORD, LOG_ALIAS) };
#undef LOG_WORD
#undef LOG_ALIAS

enum { LOG_TEXT_MAX = 8192 };

enum { LOG_TO_STDERR = 1, LOG_TO_SYSLOG = 2 };

struct log {
	const char *prefix;             /* log_line_prefix; the caller's, NULL is the default */
	enum level min;                 /* log_min_messages */
	enum verbosity verbosity;       /* log_error_verbosity */
	unsigned to;                    /* LOG_TO_ bits of log_destination; 0: stderr */
	int facility;                   /* syslog_facility: 0 is LOCAL0 */
	const char *ident;              /* syslog_ident; NULL is "pgpool" */
	bool collect;                   /* logging_collector: file instead of stderr */
	struct log_file file;
	int fd;                         /* 0 means 2, stderr */
	unsigned long lines;            /* records of the program itself */
	unsigned long dropped;          /* records lost or cut because nobody read them */

	/* log.c's own: */
	long pid;
	time_t second;                  /* which second `clock` shows */
	char clock[24];
	bool torn, file_torn;           /* the last write ended inside a line */
	char pattern[PATH_MAX];         /* of the file that is open */
	int syslog;                     /* 0: not connected */
	time_t syslog_again;            /* no connecting is tried before */
	bool syslog_told;               /* that it cannot be reached */
	unsigned long syslog_records;
};

/* The owner of a record.  The strings are the caller's; NULL prints [unknown]. */
struct log_who {
	const char *app, *user, *database;
	unsigned long lines;            /* records so far; log_write counts */
};

/* Gives the log a non-blocking descriptor of its own on stderr where the system allows it, so
 * that a stalled reader of our log (a container runtime, a pager) cannot stall the proxy.
 * Without this call a write waits as long as stderr makes it wait. */
void log_open(struct log *l);

/* The level's name as it is printed: "LOG"; all debug levels are "DEBUG". */
const char *log_level_name(enum level v);

/* Would a record of this level be written?  PostgreSQL's rule for server logs: LOG is more
 * important than ERROR and less than FATAL.  Cheap: ask before building costly arguments. */
bool log_wants(const struct log *l, enum level v);

/* After a change of the settings: opens and closes accordingly.  The strings are the caller's and
 * are read until they are exchanged. */
void log_apply(struct log *l);

/* Switches to a new file now, if its name has changed, or reopens a name whose file was moved away.
 * -1 and errno: it cannot be opened, or no file is wanted (EINVAL). */
int log_rotate(struct log *l);

/* Writes one record if log_wants() it.  who = NULL is the program itself ("main"); detail and
 * hint may be NULL.  The arguments after them are printf's, for the message only. */
#define log_write(l, who, v, detail, hint, ...) \
	log_record(l, who, v, __FILE_NAME__ ":" LOG_NUMBER(__LINE__), detail, hint, __VA_ARGS__)
#define LOG_NUMBER(line) LOG_NUMBER_TEXT(line)
#define LOG_NUMBER_TEXT(line) #line

__attribute__((cold))
void log_record(struct log *l, struct log_who *who, enum level v, const char *place,
	const char *detail, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 7, 8)));

#endif
