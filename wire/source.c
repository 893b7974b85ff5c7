#include "wire/source.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The state of a file: 0 if it is not there. */
struct noted {
	struct noted *next;
	uint64_t known, seen;                   /* at the last load; at the last look */
	char name[];
};

static struct noted *noted;

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

static uint64_t state_of(const char *name)
{
	struct stat st;

	if (stat(name, &st) < 0)
		return 0;
	uint64_t h = mix(mix(1, st.st_dev), st.st_ino);
	h = mix(mix(h, (uint64_t)st.st_size), st.st_mode);
	return mix(mix(h, (uint64_t)st.st_mtim.tv_sec), (uint64_t)st.st_mtim.tv_nsec) | 1;
}

/* Before it is read: what changes while that is done, has changed. */
void source_note(const char *name)
{
	size_t n = strlen(name) + 1;
	struct noted *f = noted;

	while (f && strcmp(f->name, name))
		f = f->next;
	if (!f && (f = malloc(sizeof *f + n))) {
		memcpy(f->name, name, n);
		f->next = noted;
		noted = f;
	}
	if (f)
		f->known = f->seen = state_of(name);
}

int source_open(const char *name)
{
	source_note(name);
	return open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

const char *source_changed(void)
{
	const char *changed = NULL;

	for (struct noted *f = noted; f; f = f->next) {
		uint64_t now = state_of(f->name);
		if (now != f->known && now == f->seen)
			changed = f->name;
		f->seen = now;
	}
	return changed;
}

void source_settle(void)
{
	for (struct noted *f = noted; f; f = f->next)
		f->known = f->seen;
}
