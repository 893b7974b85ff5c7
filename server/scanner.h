/* server/scanner.h - a server's bytes, cut into runs that only pass and messages to be looked at.
 *
 * Most of a reply is rows, and of those the headers are enough.  Messages that say something about
 * the request are shown one by one.  Pure: bytes in, events out; nothing is copied or allocated.
 *
 *      |  told before  |    run    | message |   not seen yet   |
 *      p              from                   at                end
 *
 * Each event tells of the run in front of it, too: bytes that pass as they are, whole messages or
 * parts of some.  A message that was shown begins the next run, unless scanner_drop() takes it out.
 *
 * A message is shown whole, or if it is longer than SCANNER_WHOLE by its beginning; its rest then
 * goes the way of the beginning.  A message that is not there far enough to be shown is the
 * caller's to keep, and to feed again with more behind it.
 */
#ifndef SERVER_SCANNER_H
#define SERVER_SCANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCANNER_WHOLE = 64 * 1024 };

/* All zero at the beginning of a connection. */
struct scanner {
	uint8_t *from, *at, *end;               /* see above */
	uint32_t left;                          /* of a message whose beginning was seen */
	bool passes;                            /* it is part of a run */
	bool ends;                              /* ReadyForQuery was shown; SCAN_END comes next */
	bool row;                               /* that message is a row, or its like */
	bool rows;                              /* one was seen in this reply, whole or too long to
	                                         * wait for its end */
	bool describes;                         /* descriptions are shown, too */
	uint32_t answers;                       /* to extended messages, of this reply */
};

/* Does anybody want the bytes? */
enum asked {
	ASKED_NOTHING,                          /* there is no request */
	ASKED_SILENTLY,                         /* the run of the reply is for nobody */
	ASKED,
};

enum scanned {
	SCAN_MORE,      /* this was all: p[0..n) is the beginning of a message, or nothing */
	SCAN_MESSAGE,   /* p[0..n), of this type, belongs to the reply */
	SCAN_NEWS,      /* it belongs to none: NoticeResponse, NotificationResponse, or any that
	                 * comes without a request.  Under ASKED it is part of the run, else of no
	                 * run */
	SCAN_END,       /* the run ends with this reply's last byte: p[-1] is the status */
	SCAN_BAD,       /* the protocol has no such thing here: p is where it begins */
};

struct scan_event {
	uint8_t *run;                           /* in front of it, run_len bytes */
	size_t run_len;
	uint8_t *p;                             /* with its header */
	size_t n;                               /* 0 with SCAN_END and SCAN_BAD */
	char type;
	bool notice_follows;                    /* a NoticeResponse begins right behind it */
};

/* The next bytes: those that were kept, with more behind.  They stay until SCAN_MORE, and may be
 * written to: a notification is corrected in place. */
void scanner_feed(struct scanner *x, uint8_t *p, size_t n);

enum scanned scanner_next(struct scanner *x, enum asked asked, struct scan_event *e);

/* The message that was shown last does not pass. */
void scanner_drop(struct scanner *x);

/* Does a message of this type pass by its header? */
bool scanner_streams(char type);

#endif
