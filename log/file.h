/* log/file.h - a file that the log goes to, and the files that follow it.
 *
 * A file's name is strftime's pattern `filename` for when its turn began, in `directory`, which is
 * made (0700) when it is missing.  A file ends by age, at the multiples of `age` counted from
 * local midnight, or when it has grown to `size`; the next name may be the same, and the
 * file then simply goes on.  Whole records are appended with one write(2) each, so that other
 * programs may read, move or delete the files at any time.
 *
 * The zero value is valid: no file is open.  The settings are the caller's to write; a changed one
 * counts from the next log_file_open() or log_file_aged().
 */
#ifndef LOG_FILE_H
#define LOG_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct log_file {
	const char *directory, *filename;       /* the caller's */
	unsigned mode;                          /* of new files; x bits are left out */
	int64_t age, size;                      /* seconds and bytes; 0: without limit */
	bool truncate;                          /* a file that age comes back to begins anew */

	/* log/file.c's own: */
	int fd;                                 /* 0: none */
	int64_t written;                        /* its size */
	time_t due;                             /* when its age ends it; 0: never */
	time_t again;                           /* no change of file is tried before */
	char path[PATH_MAX];
};

/* Opens the file of now, and closes the one that was open if that is another one.  -1 and errno:
 * what was open stays open. */
int log_file_open(struct log_file *f, time_t now);

/* The open file goes on with the age that is set now. */
void log_file_aged(struct log_file *f, time_t now);

/* Goes on to the next file if it is time to; cheap if not.  -1 as above; it is tried again
 * a minute later. */
int log_file_turn(struct log_file *f, time_t now);

/* Appends.  Returns what write(2) does. */
ssize_t log_file_write(struct log_file *f, const char *p, size_t n);

void log_file_close(struct log_file *f);

#endif
