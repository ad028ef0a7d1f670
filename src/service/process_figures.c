/* SPDX-License-Identifier: MIT */
#include "service/process_figures.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/macro.h"

/* A step of the wall clock that is larger than this is one, and no jitter of ours. */
#define STEP_SECONDS 1.0

bool process_figures_parse(const char *stat, double boot_seconds, struct process_figures *ret) {
	/* The name of the program, which may contain anything, is in parentheses. */
	const char *rest = strrchr(stat, ')');
	double ticks = (double)sysconf(_SC_CLK_TCK);
	uint64_t user, system, start, size;
	int64_t pages;

	/* Fields 14 and 15, and 22 to 24 (proc(5)); the rest begins with field 3. */
	if (!rest || sscanf(rest + 1,
			    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
			    " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNd64,
			    &user, &system, &start, &size, &pages) != 5)
		return false;
	ret->has_times = true;
	ret->cpu_seconds = ((double)user + (double)system) / ticks;
	ret->started_seconds = boot_seconds + (double)start / ticks;
	ret->virtual_bytes = size;
	ret->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return true;
}

/* From the two clocks, as /proc/stat may be hidden (ProcSubset=pid). Told anew only when the wall clock was set, so
 * that the start of the process does not seem to move. */
static double boot_time(void) {
	static double known;
	struct timespec wall, boot;
	double now;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	now = (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9;
	if (fabs(now - known) > STEP_SECONDS)
		known = now;
	return known;
}

static void read_stat(struct process_figures *ret) {
	CLEANUP(fd_close) int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	char text[1024];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return;
	text[n] = '\0';
	(void)process_figures_parse(text, boot_time(), ret);
}

static void count_fds(struct process_figures *ret) {
	DIR *dir = opendir("/proc/self/fd");

	if (!dir)
		return;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		ret->open_fds += entry->d_name[0] != '.';
	closedir(dir);
	/* The directory itself was one of them. */
	ret->open_fds -= ret->open_fds > 0;
	ret->has_open_fds = true;
}

void process_figures_read(struct process_figures *ret) {
	struct rlimit limit;

	*ret = (struct process_figures){0};
	read_stat(ret);
	count_fds(ret);
	ret->has_max_fds = getrlimit(RLIMIT_NOFILE, &limit) == 0;
	if (ret->has_max_fds)
		ret->max_fds = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}
