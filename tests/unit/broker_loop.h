/* SPDX-License-Identifier: MIT */
/* The main thread's part in tests of the broker room: an event loop that is turned until something has come, and a clock that can
 * run ahead, and at which the other threads can be made to wait. */
#pragma once

#include <check.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define PATIENCE_USEC (20 * USEC_PER_SEC)

static sd_event *event;

/* Seconds by which every clock of this process runs ahead. */
static atomic_int clock_skew;
/* The broker's thread is to wait when it asks for the time, which it does before it reads and before it takes what was
 * posted; it does wait. */
static atomic_bool hold;
static atomic_bool held;

int clock_gettime(clockid_t id, struct timespec *ts) {
	int r;

	while (atomic_load(&hold) && gettid() != getpid()) {
		atomic_store(&held, true);
		usleep(1000);
	}
	r = (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec += atomic_load(&clock_skew);
	return r;
}

/* Turns the loop until the condition holds; not to come to that is a failure. */
#define ck_until(condition)                                                                                            \
	do {                                                                                                           \
		uint64_t until_ = clock_now_usec() + PATIENCE_USEC;                                                    \
		while (!(condition)) {                                                                                 \
			ck_assert_msg(clock_now_usec() < until_, "did not come: %s", #condition);                      \
			ck_assert_int_ge(sd_event_run(event, 20000), 0);                                               \
		}                                                                                                      \
	} while (0)

/* The same without the loop: the main thread stalls. */
#define ck_until_stalled(condition)                                                                                    \
	do {                                                                                                           \
		uint64_t until_ = clock_now_usec() + PATIENCE_USEC;                                                    \
		while (!(condition)) {                                                                                 \
			ck_assert_msg(clock_now_usec() < until_, "did not come: %s", #condition);                      \
			usleep(10000);                                                                                 \
		}                                                                                                      \
	} while (0)

static inline void turn_for(uint64_t usec) {
	uint64_t until = clock_now_usec() + usec;

	while (clock_now_usec() < until)
		ck_assert_int_ge(sd_event_run(event, 10000), 0);
}
