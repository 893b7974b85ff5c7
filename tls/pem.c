#include "tls/pem.h"

#include "wire.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(struct pem_file *f, const char *why)
{
	snprintf(f->why, sizeof f->why, "%s", why);
	return false;
}

/* --- files --------------------------------------------------------------- */

/* As PostgreSQL sees it: a file of root's may be read by a group that we are in. */
static bool is_exposed(const struct stat *st)
{
	mode_t group = st->st_uid == 0 && geteuid() != 0 ? S_IWGRP | S_IXGRP : S_IRWXG;

	return st->st_mode & (group | S_IRWXO);
}

bool pem_open(struct pem_file *f, const char *path)
{
	struct stat st;
	int fd = source_open(path);

	*f = (struct pem_file){ 0 };
	if (fd < 0)
		return fail(f, strerror(errno));
	bool good = fstat(fd, &st) == 0;
	if (!good)
		fail(f, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		good = fail(f, "it is not a regular file");
	else if (st.st_size > PEM_FILE_MAX)
		good = fail(f, "it is too large");
	else if (!(f->text = memory_read(fd, (size_t)st.st_size + 1, &f->n)))
		good = fail(f, strerror(errno));
	else if (f->n > (size_t)st.st_size)     /* it has grown meanwhile, or tells no size */
		good = fail(f, "its size changes while it is read");
	close(fd);
	f->exposed = good && is_exposed(&st);
	return good && pem_take(f, f->text, f->n);
}

bool pem_take(struct pem_file *f, char *text, size_t n)
{
	f->text = text;
	f->n = n;
	f->at = 0;
	f->text[n] = '\0';
	if (!n)
		return fail(f, "it is empty");
	bool bad = false;
	struct der d = der_read((struct bytes){ (uint8_t *)text, n }, &bad);
	der_get(&d, DER_SEQUENCE);
	der_end(&d);
	f->is_der = !bad;
	return true;
}

void pem_close(struct pem_file *f)
{
	memory_wipe(f->text, f->n);
	f->text = NULL;
}

/* --- objects ------------------------------------------------------------- */

/* The next line, without its end, as a string of its own; NULL at the end. */
static char *next_line(struct pem_file *f, size_t *len)
{
	if (f->at == f->n)
		return NULL;
	char *line = f->text + f->at, *end = memchr(line, '\n', f->n - f->at);
	size_t n = end ? (size_t)(end - line) : f->n - f->at;

	f->at += n + (end != NULL);
	while (n && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t'))
		n--;
	line[n] = '\0';
	*len = n;
	return line;
}

/* From "-----BEGIN X-----" to X, in place; NULL for other lines. */
static char *label_of(char *line, size_t len, const char *word)
{
	size_t head = strlen(word);

	if (len < head + 5 || memcmp(line, word, head) || memcmp(line + len - 5, "-----", 5))
		return NULL;
	line[len - 5] = '\0';
	return line + head;
}

/* The lines up to the end of the object, base64 without anything in between. */
static bool collect(struct pem_file *f, struct pem *o, char *to)
{
	char *start = to, *line;
	size_t len;

	while ((line = next_line(f, &len))) {
		char *label = label_of(line, len, "-----END ");

		if (label && strcmp(label, o->label))
			break;
		if (label) {
			int n = base64_decode((uint8_t *)start, (size_t)(to - start), start,
				(size_t)(to - start));
			o->der = (struct bytes){ (uint8_t *)start, n < 0 ? 0 : (size_t)n };
			return n > 0 || fail(f, "an object in it is not base64");
		}
		if (strchr(line, ':')) {
			o->is_encrypted |= strstr(line, "ENCRYPTED") != NULL;
		} else {
			memmove(to, line, len);
			to += len;
		}
	}
	return fail(f, "an object in it has no end");
}

static bool whole(struct pem_file *f, struct pem *o)
{
	if (f->at == f->n)
		return false;
	*o = (struct pem){ "", { (uint8_t *)f->text, f->n }, false };
	f->at = f->n;
	return true;
}

bool pem_next(struct pem_file *f, struct pem *o)
{
	char *line;
	size_t len;

	if (f->is_der)
		return whole(f, o);
	while (!*f->why && (line = next_line(f, &len))) {
		*o = (struct pem){ .label = label_of(line, len, "-----BEGIN ") };
		if (o->label)
			return collect(f, o, line + len + 1);
	}
	return false;
}

bool pem_is_certificate(const struct pem *o)
{
	return !*o->label || !strcmp(o->label, "CERTIFICATE")
		|| !strcmp(o->label, "X509 CERTIFICATE");
}
