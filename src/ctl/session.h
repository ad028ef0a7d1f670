/* SPDX-License-Identifier: MIT */
/* A connection of the tool's own to a broker, on the tool's only thread: every call waits until it is done, its time is
 * over, the connection is lost, or a signal asks to end (ctl/interrupt.h). While it waits it reads whatever the broker
 * says, on all channels, answers heartbeats, and calls back for confirms. Between calls nothing is read: whoever has
 * other things to wait for waits in session_wait.
 *
 * What all calls return, unless something else is said: 0; -ECONNABORTED: the connection is lost, of no further use;
 * -EREMOTEIO: the broker closed the channel, which is of no further use, while the connection is; -ETIMEDOUT; -EINTR: a
 * signal came; -EMSGSIZE: it cannot be expressed in AMQP, nothing was sent; -ENOMEM. session_reason says why, in words,
 * on one printable line. */
#pragma once

#include "base/macro.h"
#include "config/config.h"
#include "message/message.h"
#include <stdbool.h>
#include <stdint.h>

#define SESSION_CONFIG_DEFAULT SYSCONFDIR "/amqp-execd/amqp-execd.conf"
/* Instead of --url: a command line can be seen by everybody. */
#define SESSION_URL_VARIABLE "AMQP_EXECCTL_URL"
/* How long the broker may take to answer a request. */
#define SESSION_ANSWER_USEC (30 * UINT64_C(1000000))
#define SESSION_CHANNELS_MAX 16

struct session;
struct session_channel;

/* --- which broker ------------------------------------------------------------------------------------------------ */

/* As given on the command line; NULL: not given. */
struct session_options {
	char *url;          /* owned */
	const char *config; /* borrowed, as the next one */
	const char *broker;
};

/* For getopt_long(3): rows of the options, for its table, and what to do with them. */
enum { SESSION_OPTION_URL = 1000, SESSION_OPTION_CONFIG, SESSION_OPTION_BROKER };
#define SESSION_OPTIONS                                                                                                \
	{"url", required_argument, NULL, SESSION_OPTION_URL},                                                          \
		{"config", required_argument, NULL, SESSION_OPTION_CONFIG}, {                                          \
		"broker", required_argument, NULL, SESSION_OPTION_BROKER                                               \
	}
#define SESSION_USAGE "[--url URL | --config FILE [--broker NAME]]"
#define SESSION_HELP                                                                                                   \
	"      --url URL          the broker, as amqp://USER:PASSWORD@HOST:PORT/VHOST or amqps://...;\n"               \
	"                         in $" SESSION_URL_VARIABLE " nobody else sees the password\n"                        \
	"      --config FILE      take the broker from this configuration of the daemon\n"                             \
	"                         (the default: " SESSION_CONFIG_DEFAULT ")\n"                                         \
	"      --broker NAME      of several brokers in it this one\n"

/* Takes the option if it is one of these. The URL is wiped from the command line, where others would see its password.
 */
bool session_take_option(struct session_options *o, int option, char *argument);

/* Frees what session_take_option has kept. */
void session_options_clear(struct session_options *o);

/* The configuration with the broker that is meant, which is a part of it. Returns the exit status, after a complaint if
 * it is not 0: 64 for options that do not go together, 78 for a configuration or URL that cannot be used. */
int session_find_broker(const struct session_options *o, struct config **ret, const struct config_broker **ret_broker);

/* --- the connection ---------------------------------------------------------------------------------------------- */

/* Not connected yet; keeps a reference to the configuration. The broker lists the connection as "amqp-execctl COMMAND
 * (HOST)". -ENOMEM. */
int session_new(struct config *config, const struct config_broker *broker, const char *command, struct session **ret);

/* Closes the connection in order if it is up. NULL-safe, returns NULL. */
struct session *session_free(struct session *s);
DEFINE_CLEANUP(struct session *, session_free);

/* Connects and logs in; each of the broker's addresses gets its turn. -ECONNABORTED: none works. */
int session_connect(struct session *s);

/* Both in one, for a command. Returns the exit status, after a complaint if it is not 0. */
int session_open_to(struct config *config, const struct config_broker *broker, const char *command,
		    struct session **ret);

/* Finds the broker, too. */
int session_open(const struct session_options *o, const char *command, struct session **ret);

/* Why the last call failed. Never NULL; good until the next call. */
const char *session_reason(const struct session *s);

/* The exit status that goes with the last failure: 77 not permitted (login or access refused), 69 the broker cannot be
 * reached or the connection is lost, 75 it took too long, or 1. */
int session_exit_status(const struct session *s);

/* The code with which the broker closed the channel or the connection last (AMQP 0-9-1: 403, 404, 406, 530, ...); 0: it
 * did not. And its own words, escaped. */
unsigned session_close_code(const struct session *s);
const char *session_close_text(const struct session *s);

bool session_is_up(const struct session *s);

/* Ends the connection at once, without another word to a broker that may not listen. Publications without an answer
 * become SESSION_UNKNOWN for this reason. */
void session_give_up(struct session *s, const char *reason);

/* The broker takes no publications for now (connection.blocked), and what it says about it. NULL: it does. */
const char *session_blocked(const struct session *s);

/* Has `changed` called each time that changes, within other calls of the session; it must not call any but that one. */
void session_watch_blocked(struct session *s, void (*changed)(void *userdata), void *userdata);

/* The URL of the address in use or tried last, without the password. Good until the next call. */
const char *session_where(struct session *s);

/* From now on only a further signal ends a wait: for what is to be brought to its end after one. */
void session_ignore_signals(struct session *s);

/* Waits until something came from the broker and was dealt with (0), or `fd` (-1: none) is readable (1). -ETIMEDOUT,
 * -EINTR, -ECONNABORTED. */
int session_wait(struct session *s, int fd, uint64_t deadline_usec);

/* --- channels ---------------------------------------------------------------------------------------------------- */

/* -EMFILE: SESSION_CHANNELS_MAX, or as many as the broker allows, are open. */
int session_channel_open(struct session *s, struct session_channel **ret);

/* Closes it (what is not settled goes back to its queue), waits for the answer, and frees it in any case. One that is
 * not closed is freed with the session. */
int session_channel_close(struct session_channel *c);

/* False after -EREMOTEIO: all it is good for is session_channel_close. */
bool session_channel_is_open(const struct session_channel *c);

/* --- what there is ----------------------------------------------------------------------------------------------- */

struct session_counts {
	uint64_t messages; /* ready */
	uint64_t consumers;
};

/* Asks without changing anything. -EREMOTEIO with code 404: there is none. `ret` may be NULL. */
int session_queue_check(struct session_channel *c, const char *queue, struct session_counts *ret);
int session_exchange_check(struct session_channel *c, const char *exchange);

/* Declares the queue as its configuration does (passively, if it does not): -EREMOTEIO with 406 if it exists with
 * another declaration. Makes it if it does not exist. */
int session_queue_declare(struct session_channel *c, const struct config_queue *queue, struct session_counts *ret);
/* Likewise the exchange of a binding. */
int session_exchange_declare(struct session_channel *c, const struct config_binding *binding);

/* --- taking messages --------------------------------------------------------------------------------------------- */

/* Takes the next message of the queue, to be settled. 1: *ret is the caller's, and so many are left; 0: the queue is
 * empty. */
int session_get(struct session_channel *c, const char *queue, struct message **ret, uint64_t *ret_left);

/* Has the queue's messages sent, at most `prefetch` unsettled ones at a time (0: no limit). */
int session_consume(struct session_channel *c, const char *queue, uint16_t prefetch, bool exclusive);

/* The next message that was sent. -ECANCELED: the broker ended the consumer, and no message is left. */
int session_receive(struct session_channel *c, uint64_t deadline_usec, struct message **ret);

/* Settles the message of the tag, with `multiple` all unsettled ones up to it. There is no answer to wait for: a wrong
 * tag closes the channel at a later call. */
int session_ack(struct session_channel *c, uint64_t tag, bool multiple);
int session_nack(struct session_channel *c, uint64_t tag, bool multiple, bool requeue);

/* --- publishing -------------------------------------------------------------------------------------------------- */

/* What became of a publication. */
enum session_result {
	SESSION_CONFIRMED, /* the broker has it, in every queue that it was routed to */
	SESSION_RETURNED,  /* no queue would get it */
	SESSION_NACKED,    /* the broker has refused it: a queue is full, for example */
	SESSION_REFUSED,   /* it made the broker close the channel */
	SESSION_UNKNOWN,   /* the channel or the connection ended before there was an answer */
};

/* Called within other calls of the session; must not call any itself. */
typedef void session_settled(uint64_t number, enum session_result result, const char *reason, void *userdata);

/* Switches the channel to publisher confirms. `settled` is called once for each publication that session_publish has
 * returned 0 for, also while the channel or connection ends. */
int session_confirm(struct session_channel *c, session_settled *settled, void *userdata);

/* Publishes the message (borrowed), mandatory; its publications on this channel are counted from 1 on. Waits while the
 * broker takes nothing, or has not answered for one that nothing but headers tells from it, until the deadline; once it
 * has begun, for the same span of time for each piece of the body. A failure means that this one was not published, and nothing is called
 * back for it; a signal counts as long as nothing of it was sent. */
int session_publish(struct session_channel *c, const char *exchange, const char *routing_key, const struct message *m,
		    uint64_t deadline_usec, uint64_t *ret_number);

/* How many publications the channel has had, and how many of them have no answer yet. */
uint64_t session_published(const struct session_channel *c);
size_t session_in_flight(const struct session_channel *c);

const char *session_result_to_string(enum session_result r);
