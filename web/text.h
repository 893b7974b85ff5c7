/* web/text.h - a text that grows. */
#ifndef WEB_TEXT_H
#define WEB_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* {0} is empty.  free(at) frees it. */
struct text {
	char *at;
	size_t len, cap;
	bool failed;                            /* there was no memory: it is of no use */
};

__attribute__((format(printf, 2, 3)))
void text_add(struct text *t, const char *format, ...);

void text_add_bytes(struct text *t, const char *p, size_t n);

/* With a backslash in front of quotes and backslashes, and \n: a label's value (Prometheus' text
 * format). */
void text_add_label(struct text *t, const char *value);

/* With &lt; and the like. */
void text_add_html(struct text *t, const char *text);

#endif
