/* program/command.h - what the program does instead of serving: it tells a server to end or to
 * reload, asks it whether it serves, or looks at a configuration.
 *
 *   stop          TERM, INT or QUIT, and waits until the server is gone
 *   reload        HUP
 *   check         would a start work?  Reports what a start would report
 *   show-conf     the parameters in force, as a pgpool.conf that can be read again, without secrets
 *   show-passwd   users that may log in, where each is listed, a hash of its password
 *   ping          asks it, see ping.h: 0 it serves, 1 not now, 2 no answer, 3 bad configuration
 *   settings      the documentation of all parameters, in Markdown
 */
#ifndef PROGRAM_COMMAND_H
#define PROGRAM_COMMAND_H

#include "program/setup.h"

/* Runs it and returns the exit status, or -1 when there is no such command.  stop_signal is what
 * stop sends. */
int command_run(const char *name, const struct sources *from, int stop_signal);

#endif
