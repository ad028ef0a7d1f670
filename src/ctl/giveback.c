/* SPDX-License-Identifier: MIT */
#include "ctl/giveback.h"

#include <errno.h>

#include "base/clock.h"

/* What was taken by basic.get is put back one by one then, each from the beginning of a classic queue on: 10,000 took
 * it 5 seconds, 50,000 more than 100. When the channel is closed it gets them all at once. */
#define NACK_MAX 1000
#define PATIENCE_USEC (10 * USEC_PER_SEC)
#define LOOK_USEC (50 * USEC_PER_MSEC)

static void await_messages(struct session *s, const char *queue, uint64_t wanted) {
	uint64_t until = clock_add_usec(clock_now_usec(), PATIENCE_USEC);
	struct session_counts counts;
	struct session_channel *c;

	if (session_channel_open(s, &c) < 0)
		return;
	while (session_queue_check(c, queue, &counts) == 0 && counts.messages < wanted && counts.consumers == 0 &&
	       clock_now_usec() < until) {
		uint64_t next = clock_add_usec(clock_now_usec(), LOOK_USEC);
		int r = 0;

		while (r == 0)
			r = session_wait(s, -1, next);
		if (r != -ETIMEDOUT)
			break;
	}
	(void)session_channel_close(c);
}

int giveback(struct session *s, struct session_channel *c, const char *queue, uint64_t held, bool counted) {
	struct session_counts before = {0};
	bool known = false;
	int r = 0, closed;

	session_ignore_signals(s);
	if (held > 0 && session_channel_is_open(c)) {
		known = session_queue_check(c, queue, &before) == 0;
		/* From RabbitMQ 4.3 on a quorum queue does not count what comes back by basic.nack (0: all of them). */
		if (held <= NACK_MAX || counted)
			r = session_nack(c, 0, true, true);
	}
	closed = session_channel_close(c);
	if (r == 0 && closed == 0 && known)
		await_messages(s, queue, before.messages + held);
	return r < 0 ? r : closed;
}
