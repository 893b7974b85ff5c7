/* wire/memory.h - blocks that may hold secrets: read from a file, wiped when they are freed.
 *
 * Every room can reach this one.
 */
#ifndef WIRE_MEMORY_H
#define WIRE_MEMORY_H

#include <stddef.h>

/* What is left of an open file, max bytes of it at most, and a NUL behind them.  The caller wipes
 * it.  NULL with errno. */
char *memory_read(int fd, size_t max, size_t *len);

/* Wiped, then freed; NULL is allowed. */
void memory_wipe(void *p, size_t n);
void memory_wipe_text(char *s);                 /* up to its NUL */

#endif
