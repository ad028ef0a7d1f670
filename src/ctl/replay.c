/* SPDX-License-Identifier: MIT */
#include "ctl/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/giveback.h"

#define COMPLAINTS_MAX 10
#define ID_SHOWN 60

/* A publication whose confirm is awaited, or not yet acted upon. */
struct flight {
	uint64_t number; /* 0: not in use */
	uint64_t tag;
	size_t destination;
	bool settled;
	enum session_result result;
	char id[4 * ID_SHOWN + 1]; /* printable, for complaints */
};

struct replay {
	struct session *session;          /* borrowed */
	const struct replay_options *o;   /* borrowed */
	struct replay_result *result;     /* borrowed */
	struct session_channel *in, *out; /* borrowed from the session */
	struct held held;                 /* what was taken, and not acknowledged */
	struct flight flights[REPLAY_WINDOW];
	size_t in_flight;
	size_t window; /* as many at most for now: what is wrong with all of them is to be learnt from one */
	size_t window_max;
	uint64_t last_number;
	uint64_t progress_usec; /* when the broker has last answered, or was last given something */
	uint64_t unsure;        /* acknowledged, but not known to have come through */
	uint64_t complaints;
	int status;    /* of the first failure */
	bool out_over; /* the channel for publishing is gone, */
	bool out_told; /* and why was told */
	bool late;     /* the broker was waited for for long enough */
};

/* What goes where: borrowed. */
struct way {
	const char *exchange;
	char *routing_key; /* owned */
	bool to_queue;     /* its name is the routing key */
};

static void fail(struct replay *r, int status) {
	if (r->status == 0)
		r->status = status;
}

/* The message stays where it is. */
static void leave(struct replay *r, const char *id, const char *why) {
	r->result->failed++;
	fail(r, EXIT_FAILURE);
	if (r->complaints++ < COMPLAINTS_MAX)
		command_complain("left where it is: message %s: %s", id, why);
}

static void describe(const struct message *m, uint64_t n, char *buf, size_t size) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	const struct text *id = &m->properties.message_id;

	if (id->data) {
		strbuf_append_value(&b, id->data, id->len < ID_SHOWN ? id->len : ID_SHOWN);
		(void)snprintf(buf, size, "%s", strbuf_str(&b));
	} else {
		(void)snprintf(buf, size, "number %" PRIu64, n);
	}
}

static void on_settled(uint64_t number, enum session_result result, const char *reason, void *userdata) {
	struct replay *r = userdata;

	r->progress_usec = clock_now_usec();
	for (size_t i = 0; i < REPLAY_WINDOW; i++) {
		struct flight *f = &r->flights[i];

		if (f->number != number || f->settled)
			continue;
		f->settled = true;
		f->result = result;
		/* Not permitted, for example. */
		if (result == SESSION_REFUSED)
			fail(r, session_exit_status(r->session));
		if (result == SESSION_RETURNED || result == SESSION_NACKED || result == SESSION_REFUSED)
			leave(r, f->id, reason ? reason : session_result_to_string(result));
		r->out_told |= result == SESSION_REFUSED;
		/* If the connection is lost, the call that finds out says so; if it is us who close the channel, there
		 * was a reason. */
		if (result == SESSION_UNKNOWN && session_is_up(r->session) && !session_channel_is_open(r->out) &&
		    !r->out_told) {
			command_complain("%s", reason ? reason : "no answer");
			fail(r, session_exit_status(r->session));
			r->out_told = true;
		}
		return;
	}
}

/* Acts upon one that is settled. */
static int finish(struct replay *r, struct flight *f) {
	int status = 0;

	if (f->result == SESSION_CONFIRMED) {
		status = session_ack(r->in, f->tag, false);
		if (status == 0) {
			r->result->done++;
			r->result->destinations[f->destination].n++;
			held_remove(&r->held, f->tag);
			r->unsure++;
			r->window = r->window * 2 < r->window_max ? r->window * 2 : r->window_max;
		} else {
			r->result->unknown++;
		}
	} else if (f->result == SESSION_UNKNOWN) {
		r->result->unknown++;
		r->out_over = true;
	} else if (f->result == SESSION_REFUSED) {
		r->out_over = true;
	}
	f->number = 0;
	r->in_flight--;
	return status;
}

static int settle(struct replay *r) {
	int status = 0;

	for (size_t i = 0; i < REPLAY_WINDOW && r->in_flight > 0; i++) {
		int s = r->flights[i].number > 0 && r->flights[i].settled ? finish(r, &r->flights[i]) : 0;

		if (status == 0)
			status = s;
	}
	return status;
}

/* Which destination in the result this is. -ENOMEM. */
static int find_destination(struct replay *r, const struct way *w, size_t *ret) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct replay_result *res = r->result;

	strbuf_append_str(&b, w->to_queue ? "queue " : "exchange ");
	strbuf_append_value(&b, w->to_queue ? w->routing_key : w->exchange,
			    strlen(w->to_queue ? w->routing_key : w->exchange));
	for (size_t i = 0; i < res->n_destinations; i++) {
		if (i == REPLAY_DESTINATIONS_MAX || strcmp(res->destinations[i].name, strbuf_str(&b)) == 0) {
			*ret = i;
			return 0;
		}
	}
	if (res->n_destinations == REPLAY_DESTINATIONS_MAX) {
		strbuf_reset(&b);
		strbuf_append_str(&b, "others");
	}
	if (strbuf_take(&b, &res->destinations[res->n_destinations].name) < 0)
		return -ENOMEM;
	*ret = res->n_destinations++;
	return 0;
}

/* 1: there is a way; 0: there is none, *ret_why (static) says why; -ENOMEM. */
static int find_way(const struct replay *r, const struct message *m, const struct letter *l, struct way *ret,
		    const char **ret_why) {
	const struct replay_options *o = r->o;
	const struct text *key = l->queue;
	const char *given = o->to_queue;

	*ret = (struct way){.exchange = o->exchange ? o->exchange : "", .to_queue = !o->exchange || !*o->exchange};
	if (o->exchange) {
		given = o->routing_key;
		key = l->routing_key ? l->routing_key : &m->routing_key;
	}
	if (!given && (!key || !key->data)) {
		*ret_why = "nothing says where it came from; --to-queue says where it is to go";
		return 0;
	}
	if (!given && memchr(key->data, '\0', key->len)) {
		*ret_why = "where it came from has no name that can be used";
		return 0;
	}
	ret->routing_key = strdup(given ? given : key->data);
	if (!ret->routing_key)
		return -ENOMEM;
	if (ret->to_queue && strcmp(ret->routing_key, o->queue) == 0) {
		free(ret->routing_key);
		*ret_why = "it came from this very queue; --to-queue says where it is to go";
		return 0;
	}
	return 1;
}

static int publish(struct replay *r, struct message *m, const struct way *w, struct flight *f) {
	uint64_t deadline = clock_add_usec(clock_now_usec(), r->o->timeout_usec), number = 0;
	int status;

	status = letter_renew(m, w->to_queue ? w->routing_key : NULL, r->o->user);
	if (status < 0)
		return status;
	/* It may be settled before the call returns. */
	f->number = r->last_number + 1;
	f->tag = m->delivery_tag;
	f->settled = false;
	status = session_publish(r->out, w->exchange, w->routing_key, m, deadline, &number);
	if (status < 0) {
		f->number = 0;
		return status;
	}
	r->last_number = f->number = number;
	r->in_flight++;
	r->progress_usec = clock_now_usec();
	return 0;
}

static struct flight *free_flight(struct replay *r) {
	for (size_t i = 0; i < REPLAY_WINDOW; i++)
		if (r->flights[i].number == 0)
			return &r->flights[i];
	return NULL;
}

static int move(struct replay *r, struct message *m, const struct letter *l, const char *id) {
	struct flight *f = free_flight(r);
	const char *why = NULL;
	struct way w;
	size_t destination;
	int status = find_way(r, m, l, &w, &why);

	if (status == 0)
		leave(r, id, why);
	if (status <= 0)
		return status;
	status = find_destination(r, &w, &destination);
	if (status == 0 && r->o->chosen)
		status = r->o->chosen(r->result->taken, m, l, r->o->userdata);
	if (status == 0 && r->o->dry_run) {
		r->result->done++;
		r->result->destinations[destination].n++;
	} else if (status == 0) {
		f->destination = destination;
		(void)snprintf(f->id, sizeof(f->id), "%s", id);
		status = publish(r, m, &w, f);
		if (status == -EMSGSIZE) {
			leave(r, id, session_reason(r->session));
			status = 0;
		}
	}
	free(w.routing_key);
	return status;
}

static bool has_enough(const struct replay *r) {
	return r->result->done + r->in_flight >= r->o->count;
}

/* In a quorum queue what comes back stands behind what was not taken. Who only looks takes everything, then, so that it
 * comes back as it was, and what is shown now is what comes first later. */
static bool wants_more(const struct replay *r) {
	const struct replay_result *res = r->result;

	return !r->out_over && res->taken < res->there && (!has_enough(r) || (r->o->dry_run && res->counted));
}

/* What is done with one that was taken. */
static int deal_with(struct replay *r, struct message *m) {
	char id[4 * ID_SHOWN + 1];
	struct letter l;
	int status;

	if (has_enough(r)) {
		r->result->beyond++;
		return 0;
	}
	letter_read(m, &l);
	r->result->counted |= l.counted;
	status = filter_match(r->o->filter, m, &l, r->o->now_sec);
	if (status < 0)
		return status;
	if (status == 0) {
		r->result->other++;
		return 0;
	}
	describe(m, r->result->taken, id, sizeof(id));
	if (m->body_state != BODY_COMPLETE) {
		leave(r, id, m->body_error ? strerror(m->body_error) : "its body is too large");
		return 0;
	}
	return move(r, m, &l, id);
}

/* 1: there may be another one. */
static int take_next(struct replay *r) {
	CLEANUP(message_free) struct message *m = NULL;
	uint64_t left;
	int status = session_get(r->in, r->o->queue, &m, &left);

	if (status < 0)
		return status;
	/* The answer came after all that was sent before. */
	r->unsure = 0;
	if (status == 0)
		return 0;
	r->result->taken++;
	status = held_add(&r->held, m->delivery_tag);
	if (status == 0)
		status = deal_with(r, m);
	/* It was not published, and goes back as if it had not been taken. */
	if (status < 0)
		r->result->beyond++;
	return status < 0 ? status : 1;
}

/* Until something has come. -ETIME, after a complaint: nothing was confirmed for too long. */
static int await_one(struct replay *r) {
	int status = session_wait(r->session, -1, clock_add_usec(r->progress_usec, r->o->timeout_usec));
	const char *blocked = session_blocked(r->session);

	if (status != -ETIMEDOUT)
		return status < 0 ? status : 0;
	command_complain("the broker confirms nothing%s%s", blocked ? "; it takes no publications for now: " : "",
			 blocked ? blocked : "");
	fail(r, EX_TEMPFAIL);
	return -ETIME;
}

static int work(struct replay *r) {
	int status = 0;

	for (;;) {
		status = status < 0 ? status : settle(r);
		/* What was settled may have ended the channel. */
		if (status < 0 || !wants_more(r))
			break;
		if (r->in_flight >= r->window) {
			status = await_one(r);
			continue;
		}
		status = take_next(r);
		if (status == 0)
			break;
	}
	return status < 0 ? status : 0;
}

/* What is under way comes to its end: confirmed, it is acknowledged. `before`: what has ended the work. */
static int land(struct replay *r, int before) {
	int status = settle(r);

	session_ignore_signals(r->session);
	r->progress_usec = clock_now_usec();
	r->late = before == -ETIME || before == -ETIMEDOUT;
	while (status == 0 && r->in_flight > 0) {
		status = r->late ? -ETIME : await_one(r);
		if (status == 0)
			status = settle(r);
	}
	r->late |= status == -ETIME;
	/* A connection that was lost has settled the others meanwhile. */
	(void)settle(r);
	r->result->unknown += r->in_flight;
	return status;
}

static int give_back(struct replay *r) {
	bool open;
	int status;

	/* Who has stopped to read answers nothing, either; what was sent to him he may read later. */
	if (r->late && session_blocked(r->session)) {
		r->out_told = true;
		session_give_up(r->session, "the broker takes no publications for now");
	}
	if (r->out)
		(void)session_channel_close(r->out);
	if (!r->in)
		return 0;
	open = session_channel_is_open(r->in);
	r->held.counted = r->result->counted;
	status = giveback(r->session, r->in, r->o->queue, &r->held);
	/* The answer means that the acknowledgements have come through. */
	if (open && status == 0)
		r->unsure = 0;
	r->result->unknown += r->unsure;
	return status;
}

static int begin(struct replay *r) {
	struct session_counts counts;
	int status = session_channel_open(r->session, &r->in);

	if (status == 0)
		status = session_queue_check(r->in, r->o->queue, &counts);
	if (status < 0 || r->o->dry_run)
		goto end;
	status = session_channel_open(r->session, &r->out);
	if (status == 0)
		status = session_confirm(r->out, on_settled, r);
end:
	if (status == 0)
		r->result->there = counts.messages < r->o->there ? counts.messages : r->o->there;
	return status;
}

static void note(struct replay *r, int status) {
	if (status == -ETIME || (status == -EREMOTEIO && r->out_told))
		return;
	if (status == -EINTR) {
		r->result->interrupted = true;
		fail(r, EXIT_FAILURE);
	} else if (status == -ENOMEM) {
		command_complain("out of memory");
		fail(r, EXIT_FAILURE);
	} else if (status < 0) {
		command_complain("%s", session_reason(r->session));
		fail(r, session_exit_status(r->session));
	}
}

int replay_run(struct session *s, const struct replay_options *o, struct replay_result *ret) {
	struct replay *r = calloc(1, sizeof(*r));
	int status, result;

	*ret = (struct replay_result){0};
	if (!r) {
		command_complain("out of memory");
		return EXIT_FAILURE;
	}
	*r = (struct replay){.session = s, .o = o, .result = ret, .window = 1, .window_max = REPLAY_WINDOW};
	/* A returned message is known by what it is; where only its headers tell it from another one, and an exchange
	 * may look at them, there must not be another one. */
	if (o->exchange && *o->exchange)
		r->window_max = 1;
	r->progress_usec = clock_now_usec();
	status = begin(r);
	if (status == 0)
		status = work(r);
	note(r, status);
	status = land(r, status);
	/* What follows from a failure that was told needs no words of its own. */
	if (r->status == 0)
		note(r, status);
	status = give_back(r);
	if (r->status == 0)
		note(r, status);
	if (r->complaints > COMPLAINTS_MAX)
		command_complain("... and %" PRIu64 " more", r->complaints - COMPLAINTS_MAX);
	result = r->status;
	held_clear(&r->held);
	free(r);
	return result;
}
