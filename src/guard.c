/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/macro.h"
#include "handler/tree.h"

/* Children that whoever became us by execve(2) had before: they are none of our business, and neither is what is in our session, where
 * they and theirs are, but neither the daemon nor a handler ever is. More than so many are not expected. */
#define INHERITED_MAX 64
static struct tree_process inherited[INHERITED_MAX];
static size_t n_inherited;

/* How often, and after which time, /proc is read again if that has failed. */
#define READS_MAX 20
#define READ_DELAY_USEC (100 * USEC_PER_MSEC)

bool guard_is_needed(void) {
	const char *socket = getenv("NOTIFY_SOCKET"), *service = getenv("SYSTEMD_EXEC_PID");

	return !(socket && *socket) && !(service && atoi(service) == getpid()) && getpid() != 1;
}

/* Notes the children that are there already. */
static void look_at_inherited(void) {
	CLEANUP(tree_clear) struct tree tree = {0};
	struct tree_source proc = TREE_SOURCE_INIT;

	if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
		return;
	tree_source_fill(&proc);
	if (tree_read(&proc, &tree) == 0)
		for (size_t i = 0; i < tree.n && n_inherited < INHERITED_MAX; i++)
			if (tree.processes[i].parent == getpid())
				inherited[n_inherited++] = tree.processes[i];
	tree_source_close(&proc);
}

/* Sessions and groups tell nothing: ours are those of whoever has started us. */
static void *no_owner(pid_t leader, void *userdata) {
	(void)leader;
	(void)userdata;
	return NULL;
}

/* What is not to be killed, nor what descends from it. */
static void spare(struct tree *tree) {
	for (size_t i = 0; i < n_inherited; i++) {
		struct tree_process *p = tree_find(tree, inherited[i].pid);

		/* It may have ended long ago, and its id be somebody else's. */
		if (p && p->start == inherited[i].start)
			p->owner = inherited;
	}
	for (size_t i = 0; i < tree->n; i++)
		if (tree->processes[i].session == getsid(0) && tree->processes[i].pid != getpid())
			tree->processes[i].owner = inherited;
}

/* SIGKILL to everything that descends from us and is not to be spared. How many of our own children that has reached: only those are
 * worth waiting for. -errno if nobody could be looked for. */
static int kill_descendants(const struct tree_source *proc) {
	CLEANUP(tree_clear) struct tree tree = {0};
	int children = 0, r = tree_read(proc, &tree);
	struct tree_process *self;

	if (r < 0)
		return r;
	self = tree_find(&tree, getpid());
	if (!self)
		return -ESRCH;
	self->owner = self;
	spare(&tree);
	tree_own(&tree, no_owner, NULL);
	for (size_t i = 0; i < tree.n; i++) {
		const struct tree_process *p = tree.processes + i;

		if (p->owner == self && p != self && tree_signal(proc, p->pid, p->start, SIGKILL) == 0)
			children += p->parent == getpid();
	}
	return children;
}

/* What our children had started becomes ours when they are gone, and is killed in its turn, until there is nobody that we can kill. */
static void kill_what_is_left(struct tree_source *proc) {
	unsigned failures = 0;
	int n;

	tree_source_drain(proc);
	while ((n = kill_descendants(proc)) != 0) {
		if (n < 0 && ++failures >= READS_MAX) {
			log_event(LOG_EVENT_HANDLER_UNSTOPPED, LOG_ERR, LOG_FIELDS(log_string("AMQP_REASON", strerror(-n))),
				  "the daemon has ended, and what its handlers have left behind may live on: /proc cannot be read: %s",
				  strerror(-n));
			return;
		}
		if (n < 0) {
			(void)usleep(READ_DELAY_USEC);
			tree_source_drain(proc);
			continue;
		}
		if (waitpid(-1, NULL, 0) < 0 && errno != EINTR)
			return;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

/* Ends as the daemon has ended. */
_Noreturn static void end_like(int status) {
	struct rlimit none = {0};
	sigset_t its;

	if (!WIFSIGNALED(status))
		_exit(WEXITSTATUS(status));
	/* The core, if there is one, is the daemon's. */
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&its);
	sigaddset(&its, WTERMSIG(status));
	(void)sigprocmask(SIG_UNBLOCK, &its, NULL);
	(void)raise(WTERMSIG(status));
	_exit(128 + WTERMSIG(status));
}

/* The guard's whole life. */
_Noreturn static void watch(pid_t daemon, const sigset_t *signals) {
	struct tree_source proc = TREE_SOURCE_INIT;
	int status = 0;

	/* While there are descriptors. */
	tree_source_fill(&proc);
	/* It knows no secrets, but the daemon's environment. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	for (;;) {
		siginfo_t info;
		int sig = sigwaitinfo(signals, &info);
		pid_t pid;

		if (sig > 0 && sig != SIGCHLD)
			(void)kill(daemon, sig);
		/* Others are not ours, or were lost by the daemon. */
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid == daemon) {
				kill_what_is_left(&proc);
				end_like(status);
			}
		}
	}
}

/* The daemon's side. In a session of its own, so that what a terminal sends to its foreground arrives once, through the guard. */
static void become_daemon(const sigset_t *before) {
	(void)setsid();
	(void)sigprocmask(SIG_SETMASK, before, NULL);
}

int guard_start(int *ret_fd) {
	static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD};
	sigset_t signals, before;
	int fds[2];
	pid_t pid;

	look_at_inherited();
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	sigemptyset(&signals);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&signals, passed_on[i]);
	(void)sigprocmask(SIG_BLOCK, &signals, &before);
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		(void)sigprocmask(SIG_SETMASK, &before, NULL);
		fd_close(fds[0]);
		fd_close(fds[1]);
		return r;
	}
	if (pid > 0) {
		fd_close(fds[0]);
		watch(pid, &signals);
	}
	fd_close(fds[1]);
	become_daemon(&before);
	*ret_fd = fds[0];
	return 0;
}
