#include "wire/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *memory_read(int fd, size_t max, size_t *len)
{
	char *text = malloc(max + 1);
	ssize_t got = 1;

	*len = 0;
	if (!text)
		return NULL;
	while (got && *len < max) {
		if ((got = read(fd, text + *len, max - *len)) < 0 && errno != EINTR) {
			int why = errno;
			memory_wipe(text, *len);
			errno = why;
			return NULL;
		}
		*len += got > 0 ? (size_t)got : 0;
	}
	text[*len] = '\0';
	return text;
}

void memory_wipe(void *p, size_t n)
{
	if (p)
		explicit_bzero(p, n);
	free(p);
}

void memory_wipe_text(char *s)
{
	memory_wipe(s, s ? strlen(s) : 0);
}
