/* check/shell.h - a command of the configuration, run by /bin/sh in the background.
 *
 * Its output is collected through a pipe, up to SHELL_OUTPUT bytes; stderr is ours, its input is
 * empty.  It is over when its output has ended and shell_reaped() has reported its end.  When its
 * time is up, its whole process group is killed.
 */
#ifndef CHECK_SHELL_H
#define CHECK_SHELL_H

#include "loop.h"

#include <stddef.h>
#include <sys/types.h>

enum { SHELL_OUTPUT = 8192 };

struct shell {
	/* The caller's.  output is what it printed; why is NULL when it ended with status 0 in
	 * time, else what went wrong.  Both are good until the call returns. */
	struct loop *loop;
	void (*ended)(struct shell *sh, char *output, const char *why);

	/* shell.c's own. */
	pid_t pid;                              /* 0: none runs */
	struct watch pipe;
	struct timer deadline;
	bool reaped;
	int status;
	size_t len;
	char output[SHELL_OUTPUT + 1];
};

static inline bool shell_runs(const struct shell *sh) { return sh->pid != 0; }

/* Runs `command "$@"` with these arguments (NULL ends them).  0, or errno. */
int shell_run(struct shell *sh, const char *command, char *const arguments[], int64_t ms);

/* A child of the program has ended: its own, or any other. */
void shell_reaped(struct shell *sh, pid_t pid, int status);

/* Kills it; ended() is not called. */
void shell_stop(struct shell *sh);

#endif
