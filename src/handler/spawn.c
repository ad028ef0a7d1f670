/* SPDX-License-Identifier: MIT */
#include "handler/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "handler/probe.h"

/* What the child needs: a few system calls deep, and a directory buffer where close_range(2) is missing. */
#define CHILD_STACK_SIZE 16384
/* The kernel's idea of a signal set, which is smaller than sigset_t. */
#define KERNEL_SIGSET_SIZE (_NSIG / 8)

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#if defined(__has_attribute)
#if __has_attribute(disable_sanitizer_instrumentation)
#define NO_INSTRUMENTATION __attribute__((disable_sanitizer_instrumentation))
#endif
#endif
#ifndef NO_INSTRUMENTATION
#define NO_INSTRUMENTATION __attribute__((no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined")))
#endif

/* ThreadSanitizer wraps clone(2) and tidies up after it in the child and in the parent, which is twice in the same
 * memory here: libc's other name for it is not wrapped. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BYPASS_CLONE 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(BYPASS_CLONE)
extern int libc_clone(int (*fn)(void *), void *stack, int flags, void *arg, ...) __asm__("__clone");
#else
#define libc_clone clone
#endif

/* Code of the child: it shares memory, thread-local storage too, with the parent that is suspended meanwhile. No libc
 * function but syscall(2), which touches errno only; no code that a sanitizer adds and that takes the two for one. */
#define CHILD_CODE __attribute__((noinline)) NO_INSTRUMENTATION

/* Shared by the parent and the child, which run one after the other. */
struct child {
	const struct spawn_plan *plan;
	pid_t parent;
	volatile int step;  /* enum spawn_step: the one that failed; SPAWN_NONE until then */
	volatile int error; /* its errno */
};

/* A kernel_sigaction of any architecture that says SIG_DFL, and an empty set: all bits zero. */
static const unsigned long all_zero[16];

/* For kernels (or seccomp filters) without close_range(2): what /proc lists, or else every possible number. */
CHILD_CODE static int close_one_by_one(void) {
	unsigned char buf[1024] __attribute__((aligned(8)));
	struct rlimit limit;
	long n;
	int dir = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (dir >= 0) {
		/* The directory is listed by ascending number, so closing what was listed skips nothing. */
		while ((n = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
			for (long at = 0; at < n;) {
				/* struct linux_dirent64: inode, offset (8 bytes each), length (2), type (1), name */
				const unsigned char *name = buf + at + 19;
				int fd = 0;

				for (; *name >= '0' && *name <= '9'; name++)
					fd = fd * 10 + (*name - '0');
				if (fd > 2 && fd != dir)
					(void)syscall(SYS_close, fd);
				at += *(const uint16_t *)(const void *)(buf + at + 16);
			}
		}
		(void)syscall(SYS_close, dir);
		return n < 0 ? -1 : 0;
	}
	if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0)
		return -1;
	for (int fd = 3; (rlim_t)fd < limit.rlim_max && fd < 1 << 20; fd++)
		(void)syscall(SYS_close, fd);
	return 0;
}

/* Everything from the new process's first instruction to execve(2). Returns the step that failed, with errno. */
CHILD_CODE static int child_steps(const struct spawn_plan *plan, pid_t parent) {
	if (syscall(SYS_setsid) < 0)
		return SPAWN_SESSION;
	if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return SPAWN_DEATH_SIGNAL;
	/* A parent that has died before the prctl will not have us killed. */
	if (syscall(SYS_getppid) != parent)
		return SPAWN_DEATH_SIGNAL;
	for (int i = 0; i < 3; i++)
		if (syscall(SYS_dup3, plan->fds[i], i, 0) < 0)
			return SPAWN_DESCRIPTORS;
	/* Not left to close-on-exec: the broker library opens its sockets without it and sets it later. */
	if (syscall(SYS_close_range, 3, ~0U, 0) < 0 && close_one_by_one() < 0)
		return SPAWN_DESCRIPTORS;
	if (syscall(SYS_chdir, plan->directory) < 0)
		return SPAWN_DIRECTORY;
	/* execve(2) resets handlers but keeps what is ignored. Raw, because libc hides its own realtime signals.
	 * SIGKILL and SIGSTOP refuse with EINVAL and need nothing. */
	for (int sig = 1; sig < _NSIG; sig++)
		(void)syscall(SYS_rt_sigaction, sig, all_zero, NULL, KERNEL_SIGSET_SIZE);
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, all_zero, NULL, KERNEL_SIGSET_SIZE) < 0)
		return SPAWN_SIGNALS;
	syscall(SYS_execve, plan->argv[0], plan->argv, plan->envp);
	return SPAWN_EXECUTE;
}

CHILD_CODE static int child_main(void *userdata) {
	struct child *c = userdata;
	int step = child_steps(c->plan, c->parent);

	c->error = errno;
	c->step = step;
	syscall(SYS_exit_group, 127);
	return 127;
}

/* A child that shares our memory must not run our signal handlers, libc's own for its realtime signals included: hence
 * raw, pthread_sigmask(3) would leave those out. */
static void block_signals(unsigned long old[16]) {
	unsigned long all[16];

	memset(all, 0xff, sizeof(all));
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, all, old, KERNEL_SIGSET_SIZE);
}

static void restore_signals(const unsigned long old[16]) {
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, old, NULL, KERNEL_SIGSET_SIZE);
}

int spawn(const struct spawn_plan *plan, struct spawn_error *error, pid_t *ret_pid) {
	/* The suspended parent's stack has room for the child's, which makes clone(2) with these flags a vfork(2) that
	 * does not return twice: no variable of ours can be clobbered. */
	unsigned char stack[CHILD_STACK_SIZE] __attribute__((aligned(64)));
	struct child c = {.plan = plan, .parent = getpid(), .step = SPAWN_NONE};
	unsigned long old[16];
	int clone_error;
	pid_t pid;

	assert(plan->fds[0] >= 3 && plan->fds[1] >= 3 && plan->fds[2] >= 3);
	block_signals(old);
	pid = libc_clone(child_main, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &c);
	clone_error = errno;
	restore_signals(old);
	if (pid < 0)
		return spawn_error_set(error, SPAWN_PROCESS, clone_error, NULL);
	if (c.step == SPAWN_NONE) {
		*ret_pid = pid;
		return 0;
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	(void)spawn_error_set(error, c.step, c.error,
			      c.step == SPAWN_EXECUTE     ? plan->argv[0]
			      : c.step == SPAWN_DIRECTORY ? plan->directory
							  : NULL);
	if (c.step == SPAWN_EXECUTE)
		probe_explain(plan->directory, plan->argv[0], error);
	return -error->error;
}
