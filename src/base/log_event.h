/* SPDX-License-Identifier: MIT */
/* The kinds of events that the log tells apart: each has an id that never changes, which the journal gets as
 * MESSAGE_ID=, and by which the message catalog explains it. */
#pragma once

/* Whoever adds one adds it to the table in log_event.c, to systemd/amqp-execd.catalog and to amqp-execd(8): a test
 * compares them. */
enum log_event {
	/* The daemon */
	LOG_EVENT_STARTING, /* the configuration was read; nothing is connected yet */
	LOG_EVENT_READY, /* as the key `ready` says */
	LOG_EVENT_STOPPING, /* a signal came: nothing new is taken, handlers may end */
	LOG_EVENT_HANDLERS_STOPPED, /* drain_timeout is over or another signal came: those that run are stopped */
	LOG_EVENT_STOPPED, /* a clean end */
	LOG_EVENT_GUARD_GONE, /* the process that watches over the daemon was killed */
	LOG_EVENT_INTERNAL_ERROR, /* the system refused something that is needed */
	LOG_EVENT_LOG_SUPPRESSED, /* lines came faster than they could be written */
	/* The configuration */
	LOG_EVENT_CONFIGURATION_REFUSED, /* an error in it at the start; one for each */
	LOG_EVENT_CONFIGURATION_WARNING, /* something doubtful in it; one for each */
	LOG_EVENT_RELOAD_BEGUN, /* the files are read again */
	LOG_EVENT_RELOADED, /* the new configuration is in force */
	LOG_EVENT_RELOAD_REFUSED, /* the one before stays in force */
	LOG_EVENT_QUEUE_ADDED, /* by a reload */
	LOG_EVENT_QUEUE_REMOVED, /* by a reload; its handlers may end */
	LOG_EVENT_QUEUE_CHANGED, /* by a reload: it goes on with other values */
	LOG_EVENT_CONTROL_LISTENING, /* the control socket is there */
	LOG_EVENT_CONTROL_REFUSED, /* somebody or something was turned away there, or it cannot be had */
	/* Brokers */
	LOG_EVENT_BROKER_CONNECTED, /* logged in */
	LOG_EVENT_BROKER_LOST, /* a connection that was up is gone */
	LOG_EVENT_BROKER_UNREACHABLE, /* an attempt to connect has failed */
	LOG_EVENT_BROKER_REFUSED_LOGIN, /* likewise, because the broker refused user or password */
	LOG_EVENT_BROKER_BLOCKED, /* takes no publications for now */
	LOG_EVENT_BROKER_UNBLOCKED, /* takes them again */
	LOG_EVENT_BROKER_THREAD_STUCK, /* makes no progress */
	LOG_EVENT_BROKER_NOT_CLOSED, /* a stop went on without a broker that did not answer in time */
	/* Queues */
	LOG_EVENT_QUEUE_CONSUMING, /* messages come */
	LOG_EVENT_QUEUE_DEGRADED, /* none come, for a reason at the broker */
	LOG_EVENT_QUEUE_PAUSED_HANDLER, /* none are taken: the handler cannot be executed */
	LOG_EVENT_QUEUE_PAUSED_BREAKER, /* likewise: it failed too often in a row */
	LOG_EVENT_QUEUE_PAUSED_OPERATOR, /* likewise: somebody wants it so */
	LOG_EVENT_QUEUE_PROBING, /* one message is tried */
	LOG_EVENT_QUEUE_RESUMED, /* the end of a pause */
	LOG_EVENT_CHANNEL_LOST, /* with messages in hand, which cannot be settled any more */
	/* Messages */
	LOG_EVENT_MESSAGE_ACKED, /* decision=ack */
	LOG_EVENT_MESSAGE_REQUEUED, /* decision=requeue */
	LOG_EVENT_MESSAGE_RETRIED, /* decision=retry */
	LOG_EVENT_MESSAGE_REJECTED, /* decision=reject */
	LOG_EVENT_MESSAGE_RETURNED, /* decision=return: it was not tried */
	LOG_EVENT_MESSAGE_REFUSED, /* no handler can be given it: too large, or not to be stored or passed */
	LOG_EVENT_MESSAGE_UNSETTLED, /* what was decided cannot be told to the broker any more */
	LOG_EVENT_MESSAGE_RECOGNIZED, /* delivered again while its handler still runs */
	LOG_EVENT_PUBLICATION_FAILED, /* of a copy, a reply or forwarded output: the message is requeued */
	/* Handlers */
	LOG_EVENT_HANDLER_OUTPUT, /* a line that one has written */
	LOG_EVENT_HANDLER_ENVIRONMENT_OMITTED, /* what of a message does not fit into it */
	LOG_EVENT_HANDLER_KILLED, /* somebody wanted it to end, as if handler.timeout were over */
	LOG_EVENT_HANDLER_UNSTOPPED, /* something that one has started may live on */
	LOG_EVENT_HANDLERS_UNCONFINED, /* they can read the daemon's passwords and keys */
	LOG_EVENT_HANDLERS_CONFINED, /* they cannot any more */
	LOG_EVENT_WORKER_ENDED, /* one without a message */
	LOG_EVENT_WORKERS_FAILING, /* they end before they have answered anything */
	LOG_EVENT_WORKERS_RECOVERED, /* one has answered since */
};

/* The id: 32 lower-case hexadecimal digits. */
const char *log_event_id(enum log_event event);

/* The name: "broker-lost". */
const char *log_event_to_string(enum log_event event);
