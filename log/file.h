/* log/file.h - a file that the log goes to, and the files that follow it.
 *
 * A file's name is the strftime pattern `filename` for the start of its turn, in `directory`, which
 * is made (0700) if it is missing.  A file ends by age, at the multiples of `age` counted from
 * local midnight, or when it has grown to `size`.  The next name may be the same; the file then
 * simply continues.  Whole records are appended with one write(2) each, so that other programs may
 * read, move or delete the files at any time.
 *
 * The zero value is valid: no file is open.  The caller writes the settings; a change counts from
 * the next log_file_open() or log_file_aged().
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
	bool truncate;                          /* a file that age comes back to is emptied */

	/* log/file.c's own: */
	int fd;                                 /* 0: none */
	int64_t written;                        /* its size */
	time_t due;                             /* when its age ends it; 0: never */
	time_t again;                           /* no change of file is tried before this */
	char path[PATH_MAX];
};

/* Opens the current file, and closes the one that was open if it is different.  -1 and errno: the
 * open file stays open. */
int log_file_open(struct log_file *f, time_t now);

/* The open file continues with the new age. */
void log_file_aged(struct log_file *f, time_t now);

/* Switches to the next file if it is time; cheap if not.  -1 as above; it is tried again a minute
 * later. */
int log_file_turn(struct log_file *f, time_t now);

/* Appends.  Returns what write(2) does. */
ssize_t log_file_write(struct log_file *f, const char *p, size_t n);

void log_file_close(struct log_file *f);

#endif
