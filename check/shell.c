#include "check/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS = 132 };                       /* one per node, and sh's own */

extern char **environ;

static void forget(struct shell *sh)
{
	timer_stop(sh->loop, &sh->deadline);
	if (sh->pipe.on) {
		watch_stop(sh->loop, &sh->pipe);
		close(sh->pipe.fd);
	}
	sh->pid = 0;
}

static void end(struct shell *sh, const char *why)
{
	forget(sh);
	sh->output[sh->len] = '\0';
	sh->ended(sh, sh->output, why);
}

/* Both are needed: the end of the output, and the status. */
static void end_if_over(struct shell *sh)
{
	char why[64];

	if (sh->pipe.on || !sh->reaped)
		return;
	if (WIFSIGNALED(sh->status))
		snprintf(why, sizeof why, "it was ended by signal %d", WTERMSIG(sh->status));
	else
		snprintf(why, sizeof why, "it ended with status %d", WEXITSTATUS(sh->status));
	end(sh, sh->status ? why : NULL);
}

static void kill_all(struct shell *sh)
{
	kill(-sh->pid, SIGKILL);
}

static void readable(struct watch *w, short revents)
{
	struct shell *sh = OWNER(w, struct shell, pipe);
	ssize_t n = read(w->fd, sh->output + sh->len, SHELL_OUTPUT - sh->len);

	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && (sh->len += (size_t)n) < SHELL_OUTPUT)
		return;
	if (n > 0) {
		kill_all(sh);
		end(sh, "its output is too long");
		return;
	}
	watch_stop(sh->loop, w);
	close(w->fd);
	end_if_over(sh);
}

static void too_late(struct timer *t)
{
	struct shell *sh = OWNER(t, struct shell, deadline);

	kill_all(sh);
	end(sh, "it took too long");
}

/* Starts it in its own group, with the signals as a program expects them; -1 or errno. */
static int spawn(struct shell *sh, int out, char *const argv[])
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, all;

	sigemptyset(&none);
	sigemptyset(&all);
	sigaddset(&all, SIGPIPE);
	sigaddset(&all, SIGCHLD);
	posix_spawnattr_init(&how);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &all);
	posix_spawnattr_setpgroup(&how, 0);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
		| POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&files);
	int error = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&files, out, 1);
	if (!error)
		error = posix_spawn(&sh->pid, "/bin/sh", &files, &how, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&how);
	return error;
}

int shell_run(struct shell *sh, const char *command, char *const arguments[], int64_t ms)
{
	size_t size = strlen(command) + sizeof " \"$@\"";
	char *text = malloc(size), *argv[ARGUMENTS] = { "sh", "-c", text, "sh" };
	int ends[2], n = 4, error;

	if (!text)
		return ENOMEM;
	snprintf(text, size, "%s \"$@\"", command);
	while (*arguments && n < ARGUMENTS - 1)
		argv[n++] = *arguments++;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		free(text);
		return errno;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	sh->len = 0;
	sh->reaped = false;
	sh->pipe.ready = readable;
	sh->deadline.fire = too_late;
	error = watch_start(sh->loop, &sh->pipe, ends[0], POLLIN) < 0 ? ENOMEM
		: spawn(sh, ends[1], argv);
	close(ends[1]);
	free(text);
	if (!error) {
		timer_set(sh->loop, &sh->deadline, ms);
		return 0;
	}
	if (!sh->pipe.on)
		close(ends[0]);
	forget(sh);
	return error;
}

void shell_reaped(struct shell *sh, pid_t pid, int status)
{
	if (!sh->pid || pid != sh->pid)
		return;
	sh->reaped = true;
	sh->status = status;
	end_if_over(sh);
}

void shell_stop(struct shell *sh)
{
	if (!sh->pid)
		return;
	kill_all(sh);
	forget(sh);
}
