/* wire/source.h - files of the configuration: opening them, and noticing that they have changed.
 *
 * Whatever is opened here is remembered by its name, for as long as the program runs, with what
 * stat() says of it.  A name is looked at through all links, so that an exchanged link is noticed:
 * Kubernetes replaces a mounted Secret or ConfigMap by one rename of "..data".
 *
 * Every room can reach this one.  There is one list, for the thread that loads configurations.
 */
#ifndef WIRE_SOURCE_H
#define WIRE_SOURCE_H

/* Opens it for reading; -1 with errno.  It never waits for a writer of a FIFO. */
int source_open(const char *name);

/* A directory that was read, or a name where a file is missed. */
void source_note(const char *name);

/* Has one of them changed since it was opened or noted, and not again since the last look?  Then
 * its name, or NULL. */
const char *source_changed(void);

/* What the last look has found is what is known: a load has come after it. */
void source_settle(void);

#endif
