/* SPDX-License-Identifier: MIT */
/* A terminal that shows one text after the other in the same place, or, where stdout is none, the waiting between two
 * texts. Signals are taken by descriptor: one screen in a process. */
#pragma once

#include "base/macro.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct screen;

enum screen_event {
	SCREEN_TIME,   /* the time has come */
	SCREEN_REDRAW, /* the terminal has another size, or has shown something else meanwhile */
	SCREEN_QUIT,   /* somebody wants to go: SIGINT, or the key q */
	SCREEN_SIGNAL, /* one that ends a program; screen_die does as it says */
};

/* Takes SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT and SIGWINCH. If a screen is wanted, and stdout is a
 * terminal that can, shows an empty screen of its own, without a cursor. -ENOMEM, an errno of signalfd(2) or epoll(7).
 */
int screen_new(bool wanted, struct screen **ret);

/* Gives the terminal back as it was, and the signals. NULL-safe, returns NULL. */
struct screen *screen_free(struct screen *s);
DEFINE_CLEANUP(struct screen *, screen_free);

/* There is a screen to draw on. */
bool screen_is_terminal(const struct screen *s);

/* Its size; 0: nobody knows. */
void screen_size(size_t *ret_width, size_t *ret_height);

/* Shows the text, whose sequences are those of colours, from the upper left corner, cut to the size. An errno of
 * write(2). */
int screen_draw(struct screen *s, const char *text);

/* Waits until then (monotonic), or until something happens. SIGTSTP stops the process, in here. */
enum screen_event screen_wait(struct screen *s, uint64_t until_usec);

/* Readable when something has happened, which screen_wait tells. Borrowed. */
int screen_fd(const struct screen *s);

/* After SCREEN_SIGNAL, and screen_free: ends the process by that signal, or, if it does not, returns. */
void screen_die(void);
