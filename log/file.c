#include "log/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRY_AGAIN = 60 };                        /* seconds after a file could not be opened */

/* The last multiple of age, counted from local midnight. */
static time_t turn_of(time_t now, int64_t age)
{
	struct tm tm;

	if (!age || !localtime_r(&now, &tm))
		return now;
	int64_t local = (int64_t)now + tm.tm_gmtoff;
	return (time_t)(local - local % age - tm.tm_gmtoff);
}

static int make_path(const struct log_file *f, time_t at, char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/", f->directory);
	struct tm tm;

	errno = ENAMETOOLONG;
	if (n >= PATH_MAX || !localtime_r(&at, &tm))
		return -1;
	return strftime(path + n, (size_t)(PATH_MAX - n), f->filename, &tm) ? 0 : -1;
}

/* Is this still the file that is open?  Somebody may have moved or deleted it. */
static bool is_open(const struct log_file *f, const char *path)
{
	struct stat ours, there;

	return f->fd && !strcmp(f->path, path)
	       && fstat(f->fd, &ours) == 0 && stat(path, &there) == 0
	       && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

static int open_path(struct log_file *f, const char *path, bool truncate)
{
	mode_t mode = (f->mode & 0666) | S_IWUSR;
	struct stat st;

	if (is_open(f, path))
		return 0;
	mkdir(f->directory, 0700);
	/* If a pipe has this name, nobody waits for its reader. */
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
		| (truncate ? O_TRUNC : 0), mode);
	if (fd < 0)
		return -1;
	f->written = fstat(fd, &st) == 0 ? st.st_size : 0;
	if (!f->written)
		fchmod(fd, mode);       /* whatever the umask says */
	log_file_close(f);
	f->fd = fd;
	snprintf(f->path, sizeof f->path, "%s", path);
	return 0;
}

/* `begun` is the time in the name; by_age: its turn has come, not that another is full. */
static int change(struct log_file *f, time_t now, time_t begun, bool by_age)
{
	char path[PATH_MAX];

	if (make_path(f, begun, path) == 0
	    && open_path(f, path, by_age && f->truncate && strcmp(path, f->path)) == 0) {
		log_file_aged(f, now);
		f->again = now + 1;
		return 0;
	}
	f->again = now + TRY_AGAIN;
	return -1;
}

int log_file_open(struct log_file *f, time_t now)
{
	return change(f, now, now, false);
}

int log_file_turn(struct log_file *f, time_t now)
{
	bool aged = f->due && now >= f->due;
	bool full = f->size && f->written >= f->size;

	if (!f->fd || (!aged && !full))
		return 0;
	/* Looking once a second is enough to see whether a full file's successor has another
	 * name. */
	if (now < f->again)
		return 0;
	return change(f, now, aged ? turn_of(now, f->age) : now, aged);
}

ssize_t log_file_write(struct log_file *f, const char *p, size_t n)
{
	ssize_t done;

	do
		done = write(f->fd, p, n);
	while (done < 0 && errno == EINTR);
	if (done > 0)
		f->written += done;
	return done;
}

void log_file_aged(struct log_file *f, time_t now)
{
	f->due = f->age ? turn_of(now, f->age) + (time_t)f->age : 0;
	f->again = 0;
}

void log_file_close(struct log_file *f)
{
	if (f->fd)
		close(f->fd);
	f->fd = 0;
}
