#include "auth.h"

#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGEST_FILE = 16 << 20 };

void auth_warn(struct auth_report *r, const char *file, int line, const char *format, ...)
{
	char text[512];
	va_list args;

	if (!r->warn)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	r->warn(r->ctx, file, line, text);
}

char *auth_read(const char *path, size_t *len)
{
	int fd = source_open(path), err = 0;
	struct stat st;
	char *text = NULL;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0)
		err = errno;
	else if (!S_ISREG(st.st_mode))
		err = EINVAL;
	else if (st.st_size > LARGEST_FILE)
		err = EFBIG;
	else if (!(text = memory_read(fd, (size_t)st.st_size, len)))
		err = errno;
	close(fd);
	if (!text)
		errno = err;
	return text;
}

char *auth_line(char **at, char *end, char **line)
{
	char *stop = memchr(*at, '\n', (size_t)(end - *at));

	*line = *at;
	if (!stop)
		stop = end;
	*at = stop < end ? stop + 1 : end;
	return stop;
}
