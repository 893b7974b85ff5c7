/* program/pidfile.h - the file that says which process is the server.
 *
 * It holds the process id in decimal and a zero byte; while the server waits for its end, the
 * number of sessions that are left stands behind that.  The lock counts, not the number: the server
 * holds it as long as it lives.  So a file left by a killed server, whose number may now belong to
 * another program, is not taken for a server.
 */
#ifndef PROGRAM_PIDFILE_H
#define PROGRAM_PIDFILE_H

enum { PIDFILE_HELD = -2, PIDFILE_ERROR = -1 };

/* Writes and locks it for this process.  Returns the descriptor that holds the lock,
 * PIDFILE_HELD with the holder's id in *holder, or PIDFILE_ERROR with errno. */
int pidfile_take(const char *path, int *holder);

/* Opens it for a look.  Returns a descriptor with the id in *pid, or PIDFILE_ERROR with errno:
 * there is no such file, or no number in it (EINVAL). */
int pidfile_open(const char *path, int *pid);

/* The server that holds it tells how many sessions it waits for; -1: it has not told. */
void pidfile_tell_left(int fd, unsigned sessions);
int pidfile_left(int fd);

/* Does a server hold the open file's lock? */
int pidfile_is_held(int fd);

#endif
