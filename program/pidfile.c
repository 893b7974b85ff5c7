#include "program/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The number at the head of an open file, or 0. */
static int read_pid(int fd)
{
	char text[24];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	long pid = strtol(text, NULL, 10);
	return pid > 0 && pid <= INT_MAX ? (int)pid : 0;
}

/* Locks the whole file.  The lock belongs to the open file, not to the process, and dies with
 * both. */
static struct flock whole(void)
{
	return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
}

/* Was the file that we locked replaced or removed meanwhile? */
static int is_gone(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) < 0 || stat(path, &b) < 0 || a.st_dev != b.st_dev
		|| a.st_ino != b.st_ino;
}

static int fail(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return PIDFILE_ERROR;
}

int pidfile_take(const char *path, int *holder)
{
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0)
			return PIDFILE_ERROR;
		struct flock lock = whole();
		if (fcntl(fd, F_OFD_SETLK, &lock) < 0 && (errno == EAGAIN || errno == EACCES)) {
			*holder = read_pid(fd);
			close(fd);
			return PIDFILE_HELD;
		}
		if (is_gone(fd, path)) {
			close(fd);
			continue;
		}
		if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d%c", (int)getpid(), 0) < 0)
			return fail(fd);
		return fd;
	}
}

int pidfile_open(const char *path, int *pid)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return PIDFILE_ERROR;
	*pid = read_pid(fd);
	if (*pid)
		return fd;
	errno = EINVAL;
	return fail(fd);
}

/* Of one length, so that no reader sees the rest of an older one. */
void pidfile_tell_left(int fd, unsigned sessions)
{
	char text[16];
	int at = snprintf(text, sizeof text, "%d", (int)getpid()) + 1;
	int n = snprintf(text, sizeof text, "%10u", sessions);

	if (pwrite(fd, text, (size_t)n, at) < 0)
		return;                 /* it is a convenience */
}

int pidfile_left(int fd)
{
	char text[48] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	size_t head = n > 0 ? strlen(text) + 1 : 0;

	return head && (size_t)n > head ? atoi(text + head) : -1;
}

int pidfile_is_held(int fd)
{
	struct flock lock = whole();

	return fcntl(fd, F_OFD_GETLK, &lock) < 0 ? -1 : lock.l_type != F_UNLCK;
}
