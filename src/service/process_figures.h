/* SPDX-License-Identifier: MIT */
/* What the kernel tells of this process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct process_figures {
	bool has_times;         /* the next four are known */
	double cpu_seconds;     /* user and system */
	double started_seconds; /* since 1970 */
	uint64_t resident_bytes;
	uint64_t virtual_bytes;
	bool has_open_fds;
	uint64_t open_fds;
	bool has_max_fds;
	uint64_t max_fds; /* the soft limit; UINT64_MAX: none */
};

/* Reads them from /proc/self; what cannot be read is not known. */
void process_figures_read(struct process_figures *ret);

/* The first four from the text of /proc/self/stat, whatever the process is called. `boot_seconds`: when the system was
 * started, since 1970. False: it is something else. Pure but for sysconf(3). */
bool process_figures_parse(const char *stat, double boot_seconds, struct process_figures *ret);
