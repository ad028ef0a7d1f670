/* SPDX-License-Identifier: MIT */
/* "status --watch": on a terminal one screen that is drawn anew, elsewhere a block or a line after the other. */
#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/screen.h"
#include "ctl/show.h"

/* A daemon that answers at all answers at once. */
#define ASK_TIMEOUT_USEC (5 * USEC_PER_SEC)
#define RED "\033[31m"
#define PLAIN "\033[0m"

struct watch {
	struct ctl *ctl; /* borrowed */
	uint64_t interval_usec;
	bool as_json;
	struct screen *screen; /* owned */
	json_t *status;        /* owned; the last one that came; NULL: none did */
	time_t answered;       /* when */
	char *trouble;         /* owned; why none came the last time; NULL: one did */
	time_t failing;        /* since when */
};

/* In local time; with the date where somebody reads it later. */
static void append_time(struct strbuf *b, time_t when, bool with_date) {
	char text[64];
	struct tm tm;

	if (!localtime_r(&when, &tm))
		return;
	if (with_date && strftime(text, sizeof(text), "%Y-%m-%d ", &tm) > 0)
		strbuf_append_str(b, text);
	if (strftime(text, sizeof(text), "%H:%M:%S", &tm) > 0)
		strbuf_append_str(b, text);
}

static void forget_trouble(struct watch *w) {
	free(w->trouble);
	w->trouble = NULL;
}

/* Without a screen it is told once, where it is not in the way of what comes out. */
static void set_trouble(struct watch *w, const char *text) {
	if (w->trouble && strcmp(w->trouble, text) == 0)
		return;
	if (!w->trouble)
		w->failing = time(NULL);
	forget_trouble(w);
	w->trouble = strdup(text);
	if (w->as_json)
		command_complain("%s", text);
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

/* Whoever may not ask will not be permitted to a little later, either: that is told, and positive. -EINTR: something
 * has happened. */
static int look(struct watch *w) {
	CLEANUP(client_answer_clear) struct client_answer answer = CLIENT_ANSWER_INIT;
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	CLEANUP(free) char *why = NULL;
	int r = client_ask(w->ctl->client, "GET", "/v1/status", ASK_TIMEOUT_USEC, &answer, &why);

	if (r == -EINTR)
		return r;
	if (r < 0)
		strbuf_append_str(&text, why ? why : "out of memory");
	else
		r = command_explain(&answer, &text);
	if (r == -EACCES || r == EX_NOPERM) {
		w->screen = screen_free(w->screen);
		command_complain("%s", strbuf_str(&text));
		return EX_NOPERM;
	}
	if (r != 0) {
		set_trouble(w, text.failed ? "out of memory" : strbuf_str(&text));
		return 0;
	}
	forget_trouble(w);
	json_decref(w->status);
	w->status = json_incref(answer.body);
	w->answered = time(NULL);
	return 0;
}

/* --- showing ----------------------------------------------------------------------------------------------------- */

static void append_trouble(const struct watch *w, bool colour, struct strbuf *b) {
	if (!w->trouble)
		return;
	strbuf_printf(b, "%sno answer since ", colour ? RED : "");
	append_time(b, w->failing, false);
	strbuf_printf(b, ": %s%s\n", w->trouble, colour ? PLAIN : "");
}

/* The last answer stays below what is wrong since then, as of when it came. */
static int draw(struct watch *w) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT, body = STRBUF_INIT;
	struct show_options how = {.now = w->answered, .colour = w->ctl->colour};
	size_t used = w->trouble ? 3 : 2;

	screen_size(&how.width, &how.lines);
	how.lines = how.lines > used ? how.lines - used : how.lines;
	strbuf_printf(&b, "amqp-execctl status, every %gs; ", (double)w->interval_usec / USEC_PER_SEC);
	strbuf_append_str(&b, w->status ? "last answer at " : "no answer yet");
	if (w->status)
		append_time(&b, w->answered, false);
	strbuf_append_str(&b, "; q: quit\n");
	append_trouble(w, how.colour, &b);
	strbuf_append_char(&b, '\n');
	if (w->status)
		show_status(w->status, &how, &body);
	strbuf_append(&b, strbuf_str(&body), body.len);
	b.failed |= body.failed;
	return b.failed ? -ENOMEM : screen_draw(w->screen, strbuf_str(&b));
}

/* Without a terminal: a block, or a line of JSON. */
static int print(const struct watch *w) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct show_options how = {.now = time(NULL)};

	if (w->as_json && w->trouble)
		return 0;
	if (w->as_json) {
		command_append_json_line(w->status, &b);
		return command_print(&b);
	}
	append_time(&b, how.now, true);
	strbuf_append_char(&b, '\n');
	append_trouble(w, false, &b);
	if (!w->trouble)
		show_status(w->status, &how, &b);
	strbuf_append_char(&b, '\n');
	return command_print(&b);
}

static int show(struct watch *w) {
	int r;

	if (!screen_is_terminal(w->screen))
		return print(w);
	r = draw(w);
	if (r < 0)
		command_complain("cannot write: %s", strerror(-r));
	return r < 0 ? EXIT_FAILURE : 0;
}

/* --- going on ---------------------------------------------------------------------------------------------------- */

/* Until somebody wants to go. Returns the exit status, or -1: a signal wants the end. */
static int go_on(struct watch *w) {
	bool drawn_anew = screen_is_terminal(w->screen);
	uint64_t next = 0;
	int r;

	client_set_wake(w->ctl->client, screen_fd(w->screen));
	if (drawn_anew && show(w) != 0)
		return EXIT_FAILURE;
	for (;;) {
		uint64_t now = clock_now_usec();

		if (now >= next) {
			r = look(w);
			if (r > 0)
				return r;
			/* A question that was given up is asked again, after what has happened. */
			next = r == 0 ? clock_add_usec(now, w->interval_usec) : 0;
			if (r == 0 && show(w) != 0)
				return EXIT_FAILURE;
		}
		switch (screen_wait(w->screen, next)) {
		case SCREEN_TIME:
			break;
		case SCREEN_REDRAW:
			if (drawn_anew && show(w) != 0)
				return EXIT_FAILURE;
			break;
		case SCREEN_QUIT:
			return 0;
		case SCREEN_SIGNAL:
			return -1;
		}
	}
}

int command_watch(struct ctl *ctl, uint64_t interval_usec, bool as_json) {
	struct watch w = {.ctl = ctl, .interval_usec = interval_usec, .as_json = as_json};
	int r = screen_new(!as_json, &w.screen);

	if (r < 0) {
		command_complain("cannot watch: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	r = go_on(&w);
	screen_free(w.screen);
	json_decref(w.status);
	free(w.trouble);
	if (r < 0)
		screen_die();
	return r < 0 ? EXIT_FAILURE : r;
}
