/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/list.h"
#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/interrupt.h"
#include "ctl/publish_input.h"
#include "ctl/publish_options.h"
#include "ctl/publish_report.h"

#define TICK_USEC (500 * USEC_PER_MSEC)
/* How long confirms are waited for after a signal. */
#define INTERRUPTED_USEC (5 * USEC_PER_SEC)
/* A message that makes the broker close the channel makes the fate of all others on it unknown. So one of which that
 * may be feared is sent alone: the first to an exchange, as a user, and one that is larger than some brokers take. */
#define ALONE_SIZE (16 * 1024 * 1024)
#define PROVEN_MAX 64
/* So many channels in a row are closed by the broker before we give up. */
#define REFUSALS_MAX 10

/* A message that was sent and not answered. */
struct flight {
	struct list node;
	uint64_t sent_as;          /* its number on the channel */
	unsigned long long number; /* its number in the input */
	struct text id;
};

struct publish {
	const struct publish_options *options; /* borrowed */
	struct session *session;               /* owned, as all that follows */
	struct session_channel *channel;       /* the session's; NULL: none is open */
	struct publish_input *input;
	struct publish_report report;
	struct list flights; /* in the order in which they were sent */
	size_t in_flight;
	unsigned long long number; /* of the message that was read last */
	bool waits;                /* that message is neither sent nor told */
	char *proven[PROVEN_MAX];
	size_t n_proven;
	unsigned refusals; /* in a row */
	int status;        /* the exit status, if it is not 0 */
	bool told_blocked;
	uint64_t progress_usec; /* when the broker has taken or answered something last */
	uint64_t tick_usec;     /* when progress is shown next */
	uint64_t turn_usec;     /* when the next message may be sent, by the rate */
};

/* --- answers ----------------------------------------------------------------------------------------------------- */

static void flight_free(struct flight *f) {
	list_remove(&f->node);
	text_clear(&f->id);
	free(f);
}

static void on_settled(uint64_t sent_as, enum session_result result, const char *reason, void *userdata) {
	struct publish *p = userdata;

	LIST_FOREACH (f, &p->flights, struct flight, node) {
		if (f->sent_as != sent_as)
			continue;
		publish_report_add(&p->report, f->number, &f->id, result, reason);
		flight_free(f);
		p->in_flight--;
		break;
	}
	p->progress_usec = clock_now_usec();
	if (result == SESSION_CONFIRMED)
		p->refusals = 0;
	if (result == SESSION_REFUSED)
		p->status = session_exit_status(p->session);
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */

/* At once, whatever is being waited for. */
static void tell_blocked(void *userdata) {
	struct publish *p = userdata;
	const char *blocked = session_blocked(p->session);

	if (blocked && !p->told_blocked && !p->report.terminal && !p->options->quiet)
		command_complain("the broker takes no publications for now: %s", blocked);
	p->told_blocked = blocked;
	if (p->report.terminal)
		publish_report_progress(&p->report, p->in_flight, blocked);
}

static uint64_t earlier(uint64_t a, uint64_t b) {
	return a < b ? a : b;
}

/* Until something has come from the broker (0), `fd` is readable (1), or that time has come (-ETIME). on_broker: the
 * broker is what is waited for, and it may take too long (-ETIMEDOUT). */
static int wait(struct publish *p, int fd, bool on_broker, uint64_t until) {
	for (;;) {
		uint64_t patience =
			on_broker ? clock_add_usec(p->progress_usec, p->options->timeout_usec) : USEC_INFINITY;
		uint64_t tick = p->report.terminal ? p->tick_usec : USEC_INFINITY;
		int r = session_wait(p->session, fd, earlier(earlier(patience, until), tick));
		uint64_t now = clock_now_usec();

		if (p->report.terminal && now >= p->tick_usec) {
			publish_report_progress(&p->report, p->in_flight, session_blocked(p->session));
			p->tick_usec = now + TICK_USEC;
		}
		if (r != -ETIMEDOUT)
			return r;
		if (now >= until)
			return -ETIME;
		if (now >= patience)
			return r;
	}
}

static int wait_in_flight(struct publish *p, size_t n) {
	int r = 0;

	while (r >= 0 && p->in_flight > n && p->channel && session_channel_is_open(p->channel))
		r = wait(p, -1, true, USEC_INFINITY);
	return r < 0 ? r : 0;
}

/* At an even pace; time that nothing was there to be sent in is not made up for. */
static int wait_turn(struct publish *p) {
	uint64_t now = clock_now_usec();
	int r = 0;

	if (p->options->rate <= 0)
		return 0;
	while (r >= 0 && now < p->turn_usec) {
		r = wait(p, -1, false, p->turn_usec);
		r = r == -ETIME ? 0 : r;
		now = clock_now_usec();
	}
	if (now > p->turn_usec + USEC_PER_SEC)
		p->turn_usec = now;
	p->turn_usec += (uint64_t)((double)USEC_PER_SEC / p->options->rate);
	return r < 0 ? r : 0;
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

static int open_channel(struct publish *p) {
	int r = session_channel_open(p->session, &p->channel);

	return r < 0 ? r : session_confirm(p->channel, on_settled, p);
}

/* The broker has closed the channel. A new one, if that can go on. */
static int renew_channel(struct publish *p) {
	(void)session_channel_close(p->channel);
	p->channel = NULL;
	if (++p->refusals >= REFUSALS_MAX) {
		publish_report_flush(&p->report);
		command_complain("the broker has closed %d channels in a row", REFUSALS_MAX);
		return -EREMOTEIO;
	}
	return open_channel(p);
}

/* What a message has in common with others that the broker takes, if it takes this one. NULL: no memory. */
static char *proof_of(const struct message *m) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	char *ret;

	strbuf_append(&b, m->exchange.data ? m->exchange.data : "", m->exchange.len);
	if (m->properties.user_id.data) {
		strbuf_append_char(&b, '\n');
		strbuf_append_escaped(&b, m->properties.user_id.data, m->properties.user_id.len);
	}
	return strbuf_take(&b, &ret) < 0 ? NULL : ret;
}

static bool is_proven(const struct publish *p, const char *proof) {
	for (size_t i = 0; i < p->n_proven; i++)
		if (strcmp(p->proven[i], proof) == 0)
			return true;
	return false;
}

static int hand_over(struct publish *p, const struct message *m) {
	struct flight *f = calloc(1, sizeof(*f));
	uint64_t deadline;
	int r = f ? 0 : -ENOMEM;

	if (f)
		list_init(&f->node);
	if (r == 0 && m->properties.message_id.data)
		r = text_set(&f->id, m->properties.message_id.data, m->properties.message_id.len);
	if (r == 0) {
		f->number = p->number;
		f->sent_as = session_published(p->channel) + 1;
		list_append(&p->flights, &f->node);
		p->in_flight++;
		deadline = clock_add_usec(p->progress_usec, p->options->timeout_usec);
		r = session_publish(p->channel, m->exchange.data ? m->exchange.data : "",
				    m->routing_key.data ? m->routing_key.data : "", m, deadline, &(uint64_t){0});
		if (r < 0)
			p->in_flight--;
		else
			p->waits = false;
		p->progress_usec = r < 0 ? p->progress_usec : clock_now_usec();
	}
	/* It may be answered, and gone, if it was sent. */
	if (r < 0 && f)
		flight_free(f);
	return r;
}

/* Sends the message when its turn has come. */
static int send_message(struct publish *p, const struct message *m) {
	CLEANUP(free) char *proof = proof_of(m);
	bool alone, unproven;
	int r = 0;

	if (!proof)
		return -ENOMEM;
	unproven = !is_proven(p, proof);
	alone = unproven || m->body_size > ALONE_SIZE;
	r = wait_turn(p);
	while (r >= 0 && p->waits) {
		if (!session_channel_is_open(p->channel)) {
			r = renew_channel(p);
			continue;
		}
		r = wait_in_flight(p, alone ? 0 : p->options->in_flight - 1);
		if (r < 0 || !session_channel_is_open(p->channel))
			continue;
		/* In a wait of ours somebody who looks on sees why it takes time. */
		while (r >= 0 && session_blocked(p->session))
			r = wait(p, -1, true, USEC_INFINITY);
		if (r < 0)
			return r;
		if (p->in_flight == 0)
			p->progress_usec = clock_now_usec();
		r = hand_over(p, m);
		if (r == -EREMOTEIO)
			r = 0;
	}
	if (r >= 0 && alone)
		r = wait_in_flight(p, 0);
	if (r >= 0 && unproven && session_channel_is_open(p->channel) && p->n_proven < PROVEN_MAX)
		p->proven[p->n_proven++] = TAKE(proof);
	return r;
}

/* 1: *ret is the next message; 0: there is none. */
static int read_message(struct publish *p, struct message **ret) {
	for (;;) {
		CLEANUP(free) char *why = NULL;
		int r = publish_input_next(p->input, ret, &why);

		if (r == -EINVAL) {
			publish_report_add(&p->report, ++p->number, NULL, PUBLISH_NOT_SENT, why ? why : "");
			continue;
		}
		if (r == -EIO) {
			publish_report_flush(&p->report);
			command_complain("%s", why ? why : "cannot read");
			p->report.open_end = true;
			p->status = EXIT_FAILURE;
			return 0;
		}
		if (r != -EAGAIN) {
			p->waits = r > 0;
			p->number += r > 0 ? 1 : 0;
			return r;
		}
		/* What was sent already may take long to be confirmed, or what is to come to be written. */
		r = wait(p, publish_input_fd(p->input), p->in_flight > 0, USEC_INFINITY);
		if (r < 0)
			return r;
	}
}

static int publish_all(struct publish *p) {
	for (;;) {
		CLEANUP(message_free) struct message *m = NULL;
		int r = read_message(p, &m);

		if (r <= 0)
			return r;
		r = send_message(p, m);
		if (r == -EMSGSIZE) {
			publish_report_add(&p->report, p->number, &m->properties.message_id, PUBLISH_NOT_SENT,
					   session_reason(p->session));
			p->waits = false;
			r = 0;
		}
		if (r < 0)
			return r;
	}
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static int drain_after_signal(struct publish *p) {
	uint64_t until = clock_now_usec() + INTERRUPTED_USEC;
	int r = 0;

	session_ignore_signals(p->session);
	publish_report_flush(&p->report);
	command_complain("interrupted; waiting for confirms");
	while (r >= 0 && p->in_flight > 0 && session_channel_is_open(p->channel))
		r = wait(p, -1, false, until);
	return r;
}

/* Why it did not go on to the end, and the exit status for it. */
static void explain(struct publish *p, int r) {
	publish_report_flush(&p->report);
	if (r == -EINTR) {
		p->status = EXIT_FAILURE;
	} else if (r == -ENOMEM) {
		command_complain("out of memory");
		p->status = EXIT_FAILURE;
	} else if (r == -ETIMEDOUT) {
		const char *blocked = session_blocked(p->session);

		command_complain("the broker has neither taken nor confirmed anything for too long%s%s",
				 blocked ? "; it takes no publications for now: " : "", blocked ? blocked : "");
		p->status = EX_TEMPFAIL;
	} else {
		command_complain("%s", session_reason(p->session));
		p->status = session_exit_status(p->session);
	}
}

static int finish(struct publish *p, int r) {
	int status;

	if (r >= 0)
		r = wait_in_flight(p, 0);
	/* It was lost with the last message. */
	if (r >= 0 && !session_is_up(p->session))
		explain(p, -ECONNABORTED);
	if (r == -EINTR) {
		(void)drain_after_signal(p);
		p->status = EXIT_FAILURE;
	} else if (r < 0 && (r != -EREMOTEIO || p->channel)) {
		explain(p, r);
	}
	if (p->in_flight > 0)
		session_give_up(p->session, r == -EINTR ? "interrupted before the broker confirmed it"
							: "the broker has not confirmed it in time");
	if (r < 0) {
		long long rest = publish_input_rest(p->input);

		publish_report_rest(&p->report, p->number + (p->waits ? 0 : 1), rest < 0 ? rest : rest + p->waits);
	}
	status = publish_report_end(&p->report, p->options->quiet);
	return p->status && status ? p->status : status;
}

static void clear(struct publish *p) {
	LIST_FOREACH (f, &p->flights, struct flight, node)
		flight_free(f);
	for (size_t i = 0; i < p->n_proven; i++)
		free(p->proven[i]);
	publish_input_free(p->input);
	session_free(p->session);
}

int command_publish(struct ctl *ctl, const struct command *command, int argc, char **argv) {
	CLEANUP(publish_options_clear) struct publish_options options;
	struct publish p = {.options = &options, .report.terminal = isatty(STDERR_FILENO)};
	int status;

	(void)ctl;
	list_init(&p.flights);
	if (publish_options_read(command, argc, argv, &options, &status) > 0)
		return status;
	/* Who types lines does not want them to be overwritten. */
	p.report.terminal &= !options.quiet && (options.mode <= PUBLISH_FILES || !isatty(STDIN_FILENO));
	status = session_open(&options.session, command->name, &p.session);
	if (status != 0)
		return status;
	if (interrupt_catch() < 0 || publish_input_new(&options, &p.input) < 0) {
		command_complain("out of memory, or descriptors");
		status = EXIT_FAILURE;
	} else {
		session_watch_blocked(p.session, tell_blocked, &p);
		p.progress_usec = p.turn_usec = clock_now_usec();
		status = open_channel(&p);
		status = finish(&p, status < 0 ? status : publish_all(&p));
	}
	clear(&p);
	return status;
}
