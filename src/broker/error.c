/* SPDX-License-Identifier: MIT */
#include "broker/error.h"

#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"

static const struct {
	int status;
	const char *text;
} status_texts[] = {
	{AMQP_STATUS_NO_MEMORY, "out of memory"},
	{AMQP_STATUS_BAD_AMQP_DATA, "the peer sent something that is not AMQP 0-9-1"},
	{AMQP_STATUS_UNKNOWN_CLASS, "the broker sent a method of an unknown class"},
	{AMQP_STATUS_UNKNOWN_METHOD, "the broker sent an unknown method"},
	{AMQP_STATUS_INCOMPATIBLE_AMQP_VERSION, "the peer does not speak AMQP 0-9-1"},
	{AMQP_STATUS_CONNECTION_CLOSED, "the broker closed the connection without a reason"},
	{AMQP_STATUS_SOCKET_ERROR, "the connection to the broker broke"},
	{AMQP_STATUS_SOCKET_CLOSED, "the connection to the broker is closed"},
	{AMQP_STATUS_TCP_ERROR, "the connection to the broker broke"},
	{AMQP_STATUS_INVALID_PARAMETER, "a value cannot be sent in AMQP"},
	{AMQP_STATUS_TABLE_TOO_BIG, "a method with its arguments is larger than a frame may be"},
	{AMQP_STATUS_SSL_ERROR, "the TLS connection to the broker broke"},
	{AMQP_STATUS_WRONG_METHOD, "the broker sent an unexpected method"},
	{AMQP_STATUS_TIMEOUT, "the broker did not answer in time"},
	{AMQP_STATUS_TIMER_FAILURE, "the system's clock failed"},
	{AMQP_STATUS_HEARTBEAT_TIMEOUT, "no heartbeat came from the broker"},
	{AMQP_STATUS_UNEXPECTED_STATE, "the broker broke the protocol"},
	{AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD, "the broker does not offer the authentication mechanism PLAIN"},
};

const char *error_from_status(int status) {
	for (size_t i = 0; i < sizeof(status_texts) / sizeof(status_texts[0]); i++)
		if (status_texts[i].status == status)
			return status_texts[i].text;
	return "an unknown error of the AMQP library";
}

static bool text_contains(const amqp_bytes_t *text, const char *part) {
	return text->len && memmem(text->bytes, text->len, part, strlen(part));
}

/* 406 has several causes, which only the text tells apart. */
static const char *precondition_hint(const amqp_bytes_t *text) {
	if (text_contains(text, "delivery acknowledgement on channel") && text_contains(text, "timed out"))
		return "a message was not settled within the broker's delivery acknowledgement timeout (its "
		       "consumer_timeout, 30 minutes by default), which handler.timeout must be well below; the broker "
		       "delivers the message again";
	if (text_contains(text, "message size") && text_contains(text, "max size"))
		return "the message is larger than the broker accepts";
	if (text_contains(text, "inequivalent arg"))
		return "it exists with another declaration than the configured one";
	if (text_contains(text, "unknown delivery tag"))
		return "the broker does not know a message that was settled";
	return "the broker refused";
}

/* 404 may be about the queue, but also about an exchange that it is bound to. */
static const char *missing_hint(const amqp_bytes_t *text) {
	if (text_contains(text, "- no exchange "))
		return "an exchange that it needs does not exist at the broker";
	if (text_contains(text, "- no queue "))
		return "the queue does not exist at the broker";
	if (text_contains(text, "is down or inaccessible"))
		return "the node of the broker's cluster that holds the queue is down";
	if (text_contains(text, "stopped by supervisor"))
		return "the queue has failed at the broker";
	return "it, or something that it needs, does not exist at the broker";
}

/* 403 is more than a lack of permissions: a consumer that wants, or meets, exclusive access gets it too. */
static const char *access_hint(const amqp_bytes_t *text) {
	if (text_contains(text, "Login was refused"))
		return "the broker refused the login";
	if (text_contains(text, "in exclusive use") || text_contains(text, "exclusive access"))
		return "another consumer uses the queue exclusively, or uses it while exclusive use is asked for";
	return "permission denied by the broker";
}

/* 530 is mostly about the virtual host. Reaching its limit of connections is told as a refused access to it. */
static const char *not_allowed_hint(const amqp_bytes_t *text) {
	if (text_contains(text, "- vhost ") && text_contains(text, " not found"))
		return "the virtual host does not exist at the broker";
	if (text_contains(text, "limit") && text_contains(text, "is reached"))
		return "the broker has reached a limit";
	if (text_contains(text, "- access to vhost "))
		return "the user has no access to the virtual host";
	if (text_contains(text, "- vhost ") && text_contains(text, " is down"))
		return "the virtual host is down";
	return "the broker does not allow it";
}

static const char *close_hint(uint16_t code, const amqp_bytes_t *text) {
	switch (code) {
	case AMQP_CONTENT_TOO_LARGE:
		return "the message is larger than the broker accepts";
	case AMQP_CONNECTION_FORCED:
		return "the broker or its operator closed the connection";
	case AMQP_ACCESS_REFUSED:
		return access_hint(text);
	case AMQP_NOT_FOUND:
		return missing_hint(text);
	case AMQP_RESOURCE_LOCKED:
		return "it is used exclusively by somebody else";
	case AMQP_PRECONDITION_FAILED:
		return precondition_hint(text);
	case AMQP_NOT_ALLOWED:
		return not_allowed_hint(text);
	case AMQP_RESOURCE_ERROR:
		return "the broker has reached a limit";
	case AMQP_FRAME_ERROR:
	case AMQP_SYNTAX_ERROR:
	case AMQP_COMMAND_INVALID:
	case AMQP_CHANNEL_ERROR:
	case AMQP_UNEXPECTED_FRAME:
		return "the broker found a violation of the protocol";
	case AMQP_NOT_IMPLEMENTED:
		return "the broker does not support something that is asked for";
	case AMQP_INTERNAL_ERROR:
		return "the broker failed";
	default:
		return "the broker reported an error";
	}
}

void error_from_close(uint16_t code, const amqp_bytes_t *text, char *buf, size_t size) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_printf(&b, "%s (%u", close_hint(code, text), code);
	if (text->len) {
		strbuf_append_char(&b, ' ');
		strbuf_append_escaped(&b, text->bytes, text->len);
	}
	strbuf_append_char(&b, ')');
	if (b.failed)
		(void)snprintf(buf, size, "%s (%u)", close_hint(code, text), code);
	else
		(void)snprintf(buf, size, "%s", strbuf_str(&b));
}

const char *error_from_cancel(void) {
	return "the broker has cancelled the consumer: the queue was deleted, its broker node has failed, or, from "
	       "RabbitMQ 4.3 on, a message was not settled within its consumer_timeout, which handler.timeout must be "
	       "well below";
}

void error_format_text(const amqp_bytes_t *text, char *buf, size_t size) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_append_escaped(&b, text->bytes, text->len);
	(void)snprintf(buf, size, "%s", b.failed ? "" : strbuf_str(&b));
}
