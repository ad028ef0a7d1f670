/* SPDX-License-Identifier: MIT */
#include "handler/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

void tree_source_fill(struct tree_source *s) {
	if (!s->proc)
		s->proc = opendir("/proc");
	if (!s->proc)
		return;
	/* Files of their own, no duplicates: those would not help when the whole system is out of them (ENFILE). */
	for (int i = 0; i < TREE_RESERVE; i++)
		if (s->reserve[i] < 0)
			s->reserve[i] = openat(dirfd(s->proc), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void tree_source_drain(struct tree_source *s) {
	for (int i = 0; i < TREE_RESERVE; i++)
		s->reserve[i] = fd_close(s->reserve[i]);
	if (!s->proc)
		s->proc = opendir("/proc");
}

void tree_source_close(struct tree_source *s) {
	for (int i = 0; i < TREE_RESERVE; i++)
		fd_close(s->reserve[i]);
	if (s->proc)
		closedir(s->proc);
	*s = TREE_SOURCE_INIT;
}

/* Reads /proc/PID/stat, relative to an open /proc. -ESRCH if the process is gone, is hidden from us (hidepid) or what
 * is read makes no sense; another -errno if it may be there all the same. */
static int read_process(int proc, const char *pid, struct tree_process *ret) {
	struct tree_process p = {0};
	char path[32], text[1024];
	CLEANUP(fd_close) int fd = -1;
	const char *after_name;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%.20s/stat", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -ESRCH;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return n < 0 && errno == ENOMEM ? -errno : -ESRCH;
	text[n] = '\0';
	/* The name may hold anything, parentheses and newlines too, but is at most 64 bytes, and no field after it has
	 * any. */
	after_name = strrchr(text, ')');
	if (!after_name)
		return -ESRCH;
	p.pid = (pid_t)strtol(pid, NULL, 10);
	/* state, parent, group, session; fields 7 to 21 (proc(5)); start time */
	if (sscanf(after_name + 1, " %*c %d %d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64,
		   &p.parent, &p.group, &p.session, &p.start) != 4)
		return -ESRCH;
	*ret = p;
	return 0;
}

static int compare_pids(const void *a, const void *b) {
	pid_t x = ((const struct tree_process *)a)->pid, y = ((const struct tree_process *)b)->pid;

	return (x > y) - (x < y);
}

static int read_all(DIR *dir, struct tree *t) {
	size_t allocated = 0;
	struct dirent *entry;
	int r;

	rewinddir(dir);
	/* readdir(3) tells the end from an error by errno only. */
	while (errno = 0, (entry = readdir(dir))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		if (t->n == allocated) {
			size_t more = allocated ? allocated * 2 : 256;
			struct tree_process *grown = reallocarray(t->processes, more, sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			t->processes = grown;
			allocated = more;
		}
		r = read_process(dirfd(dir), entry->d_name, t->processes + t->n);
		if (r == 0)
			t->n++;
		else if (r != -ESRCH)
			return r;
	}
	return -errno;
}

int tree_read(const struct tree_source *s, struct tree *ret) {
	CLEANUP(tree_clear) struct tree t = {0};
	int r = s->proc ? read_all(s->proc, &t) : -ENOENT;

	if (r < 0)
		return r;
	/* The kernel lists by ascending number, which makes this cheap; nothing promises it. */
	if (t.n > 0)
		qsort(t.processes, t.n, sizeof(*t.processes), compare_pids);
	*ret = t;
	t = (struct tree){0};
	return 0;
}

void tree_clear(struct tree *t) {
	free(t->processes);
	*t = (struct tree){0};
}

struct tree_process *tree_find(const struct tree *t, pid_t pid) {
	struct tree_process key = {.pid = pid};

	return t->n > 0 ? bsearch(&key, t->processes, t->n, sizeof(key), compare_pids) : NULL;
}

void tree_own(struct tree *t, void *(*owner_of)(pid_t leader, void *userdata), void *userdata) {
	bool changed;

	for (size_t i = 0; i < t->n; i++) {
		struct tree_process *p = t->processes + i;

		if (!p->owner)
			p->owner = owner_of(p->session, userdata);
		if (!p->owner)
			p->owner = owner_of(p->group, userdata);
	}
	/* Children mostly have higher pids than their parents, so that two turns do, whatever the depth. */
	do {
		changed = false;
		for (size_t i = 0; i < t->n; i++) {
			struct tree_process *p = t->processes + i;
			const struct tree_process *parent = p->owner ? NULL : tree_find(t, p->parent);

			if (parent && parent->owner) {
				p->owner = parent->owner;
				changed = true;
			}
		}
	} while (changed);
}

int tree_signal(const struct tree_source *s, pid_t pid, uint64_t start, int signal) {
	CLEANUP(fd_close) int fd = -1;
	struct tree_process now;
	char name[16];
	int r;

	if (!s->proc)
		return -ENOENT;
	/* Opened before looking: then what is looked at cannot be replaced before the signal arrives. Without (an old
	 * kernel, no descriptor) the moment in between is taken for too short. */
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0 && errno == ESRCH)
		return -ESRCH;
	(void)snprintf(name, sizeof(name), "%d", (int)pid);
	r = read_process(dirfd(s->proc), name, &now);
	if (r < 0)
		return r;
	if (now.start != start)
		return -ESRCH;
	if (fd < 0)
		return kill(pid, signal) < 0 ? -errno : 0;
	return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 ? -errno : 0;
}
