#include "tls/pass.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMAND_MAX = 8192 };

/* The text for %p, as PostgreSQL's. */
static bool expand(char *out, size_t size, const char *command, const char *file)
{
	size_t n = 0;

	for (const char *c = command; *c; c++) {
		int more = c[0] == '%' && c[1] == 'p'
			? snprintf(out + n, size - n, "Enter PEM pass phrase for \"%s\":", file)
			: snprintf(out + n, size - n, "%c", *c);

		c += c[0] == '%' && (c[1] == 'p' || c[1] == '%');
		n += (size_t)more;
		if (n >= size)
			return false;
	}
	return true;
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

/* Reads all of its output, and keeps the first line; false if that takes too long. */
static bool read_line(int fd, long end, char *out, size_t size)
{
	char piece[256];
	size_t n = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		long left = end - now_ms();
		int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			break;
		ssize_t got = read(fd, piece, sizeof piece);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			end = 0;
			break;
		}
		size_t taken = (size_t)got < size - 1 - n ? (size_t)got : size - 1 - n;
		memcpy(out + n, piece, taken);
		n += taken;
	}
	explicit_bzero(piece, sizeof piece);
	out[n] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	return !end;
}

/* It may have closed its output and still run. */
static bool wait_for(pid_t child, long end, int *status)
{
	static const struct timespec look = { .tv_nsec = 5000000 };
	pid_t done;

	while ((done = waitpid(child, status, WNOHANG)) == 0 && now_ms() < end)
		nanosleep(&look, NULL);
	if (done)
		return done == child;
	kill(-child, SIGKILL);
	while (waitpid(child, status, 0) < 0 && errno == EINTR)
		;
	return false;
}

enum { NO_SHELL = 127 };

/* In the child, a group of its own: its output is the pipe, and no signal of ours is blocked or
 * ignored. */
static _Noreturn void be_shell(const char *text, int output)
{
	sigset_t none;

	setpgid(0, 0);
	dup2(output, 1);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execl("/bin/sh", "sh", "-c", text, NULL);
	_exit(NO_SHELL);
}

/* Its exit status is there to be read only while SIGCHLD is not ignored. */
static bool run(char out[static TLS_PASS_MAX], const char *text, char *why, size_t size)
{
	long end = now_ms() + TLS_PASS_SECONDS * 1000L;
	int ends[2] = { -1, -1 }, status = 0;
	pid_t child = pipe2(ends, O_CLOEXEC) < 0 ? -1 : fork();

	if (child < 0)
		snprintf(why, size, "ssl_passphrase_command could not be run: %s", strerror(errno));
	if (child == 0)
		be_shell(text, ends[1]);
	close(ends[1]);
	bool in_time = child > 0 && read_line(ends[0], end, out, TLS_PASS_MAX);
	close(ends[0]);
	if (child < 0)
		return false;
	in_time &= wait_for(child, in_time ? end : 0, &status);
	if (!in_time)
		snprintf(why, size, "ssl_passphrase_command did not answer within %d seconds",
			TLS_PASS_SECONDS);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SHELL
		 && access("/bin/sh", X_OK) < 0)
		snprintf(why, size, "ssl_passphrase_command could not be run: /bin/sh: %s",
			strerror(errno));
	else if (status)
		snprintf(why, size, "ssl_passphrase_command failed (exit status %d)",
			WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return in_time && !status;
}

bool tls_pass_ask(char out[static TLS_PASS_MAX], const char *command, const char *file, char *why,
	size_t size)
{
	struct sigaction before, usual = { .sa_handler = SIG_DFL };
	char text[COMMAND_MAX];

	if (!expand(text, sizeof text, command, file)) {
		snprintf(why, size, "ssl_passphrase_command is too long");
		return false;
	}
	sigaction(SIGCHLD, &usual, &before);
	bool good = run(out, text, why, size);
	sigaction(SIGCHLD, &before, NULL);
	if (!good)
		explicit_bzero(out, TLS_PASS_MAX);
	return good;
}
