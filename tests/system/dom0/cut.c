/*
 * Stands between the two sides of a migration, in place of a network:
 *
 *     cut STEP ACTION xl migrate-receive
 *
 * It passes on what both say. At STEP, before it passes on the piece by which that is recognised, it does ACTION and says so on standard error:
 *
 *     target, source, wire   kill the target's processes, or the xl at the source, or end both directions
 *     COMMAND                run it, and go on
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FROM_SOURCE, FROM_TARGET };

/* The steps, in their order, with the words that say so. "middle" has none: it comes behind MIDDLE bytes. */
#define MIDDLE (24u << 20)
static const struct step { const char *name, *words; int from; } steps[] = {
	{ "banner", "xl migration receiver ready", FROM_TARGET },
	{ "middle", NULL, FROM_SOURCE },
	{ "ready", "domain received, ready to unpause", FROM_TARGET },
	{ "go", "domain is yours, you are cleared to unpause", FROM_SOURCE },
	{ "report", "my copy unpause results are as follows", FROM_TARGET },
};

static const struct step *step;
static const char *action;
static pid_t target;
static bool action_done;

static void fail(const char *what)
{
	fprintf(stderr, "cut: %s: %s\n", what, strerror(errno));
	exit(2);
}

static bool is_step(int from, const char *piece, size_t n, unsigned long long passed)
{
	if (!step || from != step->from)
		return false;
	return step->words ? memmem(piece, n, step->words, strlen(step->words)) != NULL : passed > MIDDLE;
}

/* Returns whether both sides go on. */
static bool act(void)
{
	fprintf(stderr, "cut: %s: %s\n", step->name, action);
	step = NULL;
	action_done = true;
	if (!strcmp(action, "target")) {
		kill(-target, SIGKILL);
	} else if (!strcmp(action, "source")) {
		kill(getppid(), SIGKILL);
	} else if (strcmp(action, "wire")) {
		if (system(action))
			fprintf(stderr, "cut: the command failed\n");
		return true;
	}
	return false;
}

static void write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t m = write(fd, p, n);

		if (m < 0)
			return;		/* the other side is gone, and its end of the other direction says so */
		p += m;
		n -= (size_t)m;
	}
}

int main(int argc, char **argv)
{
	static char piece[65536];
	unsigned long long passed = 0;
	int to[2], back[2], status;
	bool ready = false;

	if (argc < 4)
		return 2;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (!strcmp(steps[i].name, argv[1]))
			step = &steps[i];
	action = argv[2];
	signal(SIGPIPE, SIG_IGN);
	if (!step || pipe(to) || pipe(back))
		fail(argv[1]);
	target = fork();
	if (!target) {
		setpgid(0, 0);
		signal(SIGPIPE, SIG_DFL);
		if (dup2(to[0], 0) < 0 || dup2(back[1], 1) < 0)
			fail("dup2");
		close(to[0]), close(to[1]), close(back[0]), close(back[1]);
		execvp(argv[3], argv + 3);
		fail(argv[3]);
	}
	setpgid(target, target);
	close(to[0]);
	close(back[1]);
	for (;;) {
		struct pollfd p[2] = { { .fd = 0, .events = POLLIN }, { .fd = back[0], .events = POLLIN } };
		int from;
		ssize_t n;
		bool due;

		if (poll(p, 2, -1) < 0)
			fail("poll");
		from = p[1].revents ? FROM_TARGET : FROM_SOURCE;
		n = read(p[from].fd, piece, sizeof(piece));
		if (n <= 0)
			break;
		passed += from == FROM_SOURCE ? (unsigned long long)n : 0;
		/* GO is a message only behind the other side's. Before that it could be in the guest's memory. */
		due = is_step(from, piece, (size_t)n, passed) && (!step->words || from == FROM_TARGET || ready);
		if (from == FROM_TARGET && memmem(piece, (size_t)n, "domain received", 15))
			ready = true;
		if (due && !act())
			break;
		write_all(from == FROM_SOURCE ? to[1] : 1, piece, (size_t)n);
	}
	/* First what the target writes to, so that it always finds both ways closed. */
	close(back[0]);
	close(to[1]);
	close(0);
	close(1);
	/* A network that fails waits for nobody. */
	if (action_done && !strcmp(action, "wire"))
		return 1;
	waitpid(target, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
