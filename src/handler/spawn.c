/* SPDX-License-Identifier: MIT */
#include "handler/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
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
#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif

/* The system call that knows all 32 bits of a group's id. */
#ifdef SYS_setgroups32
#define SYS_SETGROUPS SYS_setgroups32
#define SYS_SETRESGID SYS_setresgid32
#define SYS_SETRESUID SYS_setresuid32
#else
#define SYS_SETGROUPS SYS_setgroups
#define SYS_SETRESGID SYS_setresgid
#define SYS_SETRESUID SYS_setresuid
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
	volatile size_t limit; /* SPAWN_LIMIT: which one */
};

/* A kernel_sigaction of any architecture that says SIG_DFL, and an empty set: all bits zero. */
static const unsigned long all_zero[16];

/* For kernels (or seccomp filters) without close_range(2): what /proc lists, or else every possible number. */
CHILD_CODE static int close_one_by_one(int first) {
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
				if (fd >= first && fd != dir)
					(void)syscall(SYS_close, fd);
				at += *(const uint16_t *)(const void *)(buf + at + 16);
			}
		}
		(void)syscall(SYS_close, dir);
		return n < 0 ? -1 : 0;
	}
	if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) < 0)
		return -1;
	for (int fd = first; (rlim_t)fd < limit.rlim_max && fd < 1 << 20; fd++)
		(void)syscall(SYS_close, fd);
	return 0;
}

CHILD_CODE static int confine(const struct spawn_plan *plan) {
	if (plan->confinement < 0)
		return 0;
	if (plan->no_new_privs && syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_landlock_restrict_self, plan->confinement, 0);
}

CHILD_CODE static int set_descriptors(const struct spawn_plan *plan) {
	int first = plan->fds[3] >= 0 ? 4 : 3;

	for (int i = 0; i < first; i++)
		if (syscall(SYS_dup3, plan->fds[i], i, 0) < 0)
			return -1;
	/* Not left to close-on-exec: the broker library opens its sockets without it and sets it later. */
	return syscall(SYS_close_range, first, ~0U, 0) < 0 ? close_one_by_one(first) : 0;
}

/* The raw calls change the calling thread alone, which is all of the new process; libc's would ask every thread that it knows
 * of, and those are the parent's. */
CHILD_CODE static int become(const struct spawn_plan *plan) {
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
	const struct spawn_identity *id = plan->identity;

	if (id && (syscall(SYS_SETGROUPS, id->n_groups, id->groups) < 0 ||
		   syscall(SYS_SETRESGID, id->gid, id->gid, id->gid) < 0 || syscall(SYS_SETRESUID, id->uid, id->uid, id->uid) < 0))
		return -1;
	if (!plan->drop_capabilities)
		return 0;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		none[i].effective = none[i].permitted = none[i].inheritable = 0;
	/* Without inheritable ones there are no ambient ones either. */
	return (int)syscall(SYS_capset, &header, none);
}

CHILD_CODE static int limit(struct child *c) {
	const struct spawn_plan *plan = c->plan;

	for (size_t i = 0; i < plan->n_limits; i++) {
		struct rlimit both = {.rlim_cur = plan->limits[i].soft, .rlim_max = plan->limits[i].hard};

		c->limit = i;
		if (syscall(SYS_prlimit64, 0, plan->limits[i].resource, &both, NULL) < 0)
			return -1;
	}
	return 0;
}

CHILD_CODE static int reset_signals(void) {
	/* execve(2) resets handlers but keeps what is ignored. Raw, because libc hides its own realtime signals.
	 * SIGKILL and SIGSTOP refuse with EINVAL and need nothing. */
	for (int sig = 1; sig < _NSIG; sig++)
		(void)syscall(SYS_rt_sigaction, sig, all_zero, NULL, KERNEL_SIGSET_SIZE);
	return (int)syscall(SYS_rt_sigprocmask, SIG_SETMASK, all_zero, NULL, KERNEL_SIGSET_SIZE);
}

/* Everything from the new process's first instruction to execve(2). Returns the step that failed, with errno. */
CHILD_CODE static int child_steps(struct child *c) {
	const struct spawn_plan *plan = c->plan;

	if (syscall(SYS_setsid) < 0)
		return SPAWN_SESSION;
	/* While the ruleset's descriptor is open and the capability that it may take is there. */
	if (confine(plan) < 0)
		return SPAWN_CONFINEMENT;
	if (set_descriptors(plan) < 0)
		return SPAWN_DESCRIPTORS;
	if (plan->has_umask)
		(void)syscall(SYS_umask, plan->umask);
	if (plan->has_nice && syscall(SYS_setpriority, PRIO_PROCESS, 0, plan->nice) < 0)
		return SPAWN_NICE;
	if (limit(c) < 0)
		return SPAWN_LIMIT;
	if (become(plan) < 0)
		return SPAWN_USER;
	/* Not before the ids are what they stay: changing them clears it. */
	if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
	    (plan->subreaper && syscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0))
		return SPAWN_DEATH_SIGNAL;
	/* A parent that has died before the prctl will not have us killed. */
	if (syscall(SYS_getppid) != c->parent)
		return SPAWN_DEATH_SIGNAL;
	if (syscall(SYS_chdir, plan->directory) < 0)
		return SPAWN_DIRECTORY;
	if (reset_signals() < 0)
		return SPAWN_SIGNALS;
	syscall(SYS_execve, plan->argv[0], plan->argv, plan->envp);
	return SPAWN_EXECUTE;
}

CHILD_CODE static int child_main(void *userdata) {
	struct child *c = userdata;
	int step = child_steps(c);

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

/* What an error of the child is about; NULL: nothing in particular. */
static const char *subject(const struct child *c) {
	switch (c->step) {
	case SPAWN_EXECUTE:
		return c->plan->argv[0];
	case SPAWN_DIRECTORY:
		return c->plan->directory;
	case SPAWN_USER:
		return c->plan->user;
	case SPAWN_LIMIT:
		return c->plan->limits[c->limit].name;
	default:
		return NULL;
	}
}

int spawn(const struct spawn_plan *plan, struct spawn_error *error, pid_t *ret_pid) {
	/* The suspended parent's stack has room for the child's, which makes clone(2) with these flags a vfork(2) that
	 * does not return twice: no variable of ours can be clobbered. */
	unsigned char stack[CHILD_STACK_SIZE] __attribute__((aligned(64)));
	struct child c = {.plan = plan, .parent = getpid(), .step = SPAWN_NONE};
	unsigned long old[16];
	int clone_error;
	pid_t pid;

	/* Above what they become, so that none is overwritten before its turn. */
	assert(plan->fds[0] > 3 && plan->fds[1] > 3 && plan->fds[2] > 3 && (plan->fds[3] > 3 || plan->fds[3] == -1));
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
	(void)spawn_error_set(error, c.step, c.error, subject(&c));
	if (c.step == SPAWN_EXECUTE)
		probe_explain(plan->identity, plan->directory, plan->argv[0], error);
	return -error->error;
}
