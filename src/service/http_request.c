/* SPDX-License-Identifier: MIT */
#include "service/http.h"
#include "service/http_private.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "service/json_text.h"

#define TYPE_JSON "application/json"
/* Answers up to this size are of no concern, as connections are limited. */
#define LARGE_SIZE (256 * 1024)

static void request_set_state(struct http_request *r, enum http_request_state state) {
	assert(state > r->state);
	r->state = state;
}

static struct http_connection *connection_of(struct MHD_Connection *mhd) {
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* --- asked ------------------------------------------------------------------------------------------------------- */

void *http_request_on_line(void *cls, const char *uri, struct MHD_Connection *mhd) {
	struct http_connection *c = connection_of(mhd);
	struct http_request *r;

	if (!c || c->request)
		return NULL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->connection = c;
	r->text = strdup(uri);
	if (!r->text)
		return http_request_free(r);
	c->request = r;
	return r;
}

struct http_request *http_request_free(struct http_request *r) {
	if (!r)
		return NULL;
	r->connection->server->answers_size -= r->large;
	http_target_clear(&r->target);
	strbuf_free(&r->body);
	strbuf_free(&r->answer);
	free(r->method);
	free(r->text);
	free(r);
	return NULL;
}

/* Bytes of the body as they were announced; 0 if they were not. The library has checked the number. */
static uint64_t announced_size(struct MHD_Connection *mhd) {
	const char *text = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return text ? strtoull(text, NULL, 10) : 0;
}

/* The answer is handed to the library, which sends it; what the client still sends of this request is not read any
 * more. */
static enum MHD_Result request_send(struct http_request *r) {
	struct MHD_Response *response;
	enum MHD_Result ok = MHD_NO;
	size_t len = r->answer.len;
	char *body;

	if (strbuf_take(&r->answer, &body) < 0)
		return MHD_NO;
	response = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(body);
		return MHD_NO;
	}
	if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->type) == MHD_YES &&
	    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES &&
	    (!r->allow || MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, r->allow) == MHD_YES))
		ok = MHD_queue_response(r->connection->mhd, r->status, response);
	MHD_destroy_response(response);
	http_connection_set_deadline(r->connection, r->connection->server->limits.response_usec);
	return ok;
}

/* The headers are here. */
static enum MHD_Result request_begin(struct http_request *r, const char *method) {
	struct MHD_Connection *mhd = r->connection->mhd;
	const struct http_limits *limits = &r->connection->server->limits;
	int error;

	r->method = strdup(strcmp(method, "HEAD") == 0 ? "GET" : method);
	if (!r->method)
		return MHD_NO;
	error = http_target_parse(r->text, &r->target);
	request_set_state(r, HTTP_REQUEST_RECEIVING);
	if (MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size > limits->header_size)
		http_respond_error(r, 431, "the request's headers are larger than %zu bytes", limits->header_size);
	else if (announced_size(mhd) > limits->body_size)
		http_respond_error(r, 413, "the request's body is larger than %zu bytes", limits->body_size);
	else if (error < 0)
		http_respond_error(r, error == -ENOMEM ? 500 : 400, "%s",
				   error == -ENOMEM ? "out of memory" : "the path is not one");
	return r->state == HTTP_REQUEST_ANSWERED ? request_send(r) : MHD_YES;
}

static enum MHD_Result request_receive(struct http_request *r, const char *data, size_t *size) {
	if (*size > r->connection->server->limits.body_size - r->body.len)
		return MHD_NO;
	strbuf_append(&r->body, data, *size);
	*size = 0;
	return r->body.failed ? MHD_NO : MHD_YES;
}

static enum MHD_Result request_decide(struct http_request *r) {
	struct http_server *s = r->connection->server;

	request_set_state(r, HTTP_REQUEST_DECIDING);
	/* From here on it is we who take the time. */
	http_connection_set_deadline(r->connection, USEC_INFINITY);
	s->callbacks->request(r, s->userdata);
	if (r->state == HTTP_REQUEST_ANSWERED)
		return request_send(r);
	request_set_state(r, HTTP_REQUEST_WAITING);
	MHD_suspend_connection(r->connection->mhd);
	return MHD_YES;
}

enum MHD_Result http_request_on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
				       const char *version, const char *upload, size_t *upload_size, void **context) {
	struct http_request *r = *context;

	if (!r)
		return MHD_NO;
	switch (r->state) {
	case HTTP_REQUEST_NEW:
		return request_begin(r, method);
	case HTTP_REQUEST_RECEIVING:
		return *upload_size > 0 ? request_receive(r, upload, upload_size) : request_decide(r);
	case HTTP_REQUEST_ANSWERED:
		return request_send(r);
	case HTTP_REQUEST_DECIDING:
	case HTTP_REQUEST_WAITING:
		break;
	}
	/* Abandoned: the connection ends. */
	return MHD_NO;
}

void http_request_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
			       enum MHD_RequestTerminationCode code) {
	struct http_request *r = *context;
	struct http_connection *c;

	if (!r)
		return;
	c = r->connection;
	c->request = http_request_free(r);
	*context = NULL;
	http_connection_set_deadline(c, c->server->limits.request_usec);
}

void http_request_abandon(struct http_request *r) {
	if (r->state == HTTP_REQUEST_WAITING)
		MHD_resume_connection(r->connection->mhd);
}

const char *http_request_method(const struct http_request *r) {
	return r->method;
}

const char *http_request_segment(const struct http_request *r, size_t i) {
	return i < r->target.n_segments ? r->target.segments[i] : NULL;
}

const char *http_request_parameter(const struct http_request *r, const char *name) {
	for (size_t i = 0; i < r->target.n_parameters; i++)
		if (strcmp(r->target.parameters[i].name, name) == 0)
			return r->target.parameters[i].value;
	return NULL;
}

const char *http_request_body(const struct http_request *r, size_t *ret_len) {
	*ret_len = r->body.len;
	return strbuf_str(&r->body);
}

const struct http_peer *http_request_peer(const struct http_request *r) {
	return &r->connection->peer;
}

/* --- answered ---------------------------------------------------------------------------------------------------- */

/* A few clients that take their time must not make us keep that many copies of it. */
static bool exceeds(const struct http_server *s, size_t size) {
	return s->answers_size > 0 && s->answers_size + size > s->limits.answers_size;
}

bool http_request_is_crowded(const struct http_request *r) {
	return exceeds(r->connection->server, r->connection->server->last_large);
}

static bool request_exceeds(struct http_request *r, size_t size) {
	struct http_server *s = r->connection->server;

	if (size <= LARGE_SIZE)
		return false;
	s->last_large = size;
	if (exceeds(s, size))
		return true;
	r->large = size;
	s->answers_size += size;
	return false;
}

void http_respond(struct http_request *r, unsigned status, const char *type, struct strbuf *body) {
	bool waiting = r->state == HTTP_REQUEST_WAITING;

	if (request_exceeds(r, body->len)) {
		http_respond_error(r, 503, HTTP_CROWDED);
		return;
	}
	r->answer = *body;
	*body = STRBUF_INIT;
	r->status = status;
	r->type = type;
	request_set_state(r, HTTP_REQUEST_ANSWERED);
	if (waiting) {
		MHD_resume_connection(r->connection->mhd);
		http_wake(r->connection->server);
	}
}

static void respond_error(struct http_request *r, unsigned status, const char *format, va_list args) PRINTF_LIKE(3, 0);

static void respond_error(struct http_request *r, unsigned status, const char *format, va_list args) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT, body = STRBUF_INIT;

	strbuf_vprintf(&text, format, args);
	json_text_append_error(&body, strbuf_str(&text));
	http_respond(r, status, TYPE_JSON, &body);
}

void http_respond_error(struct http_request *r, unsigned status, const char *format, ...) {
	va_list args;

	va_start(args, format);
	respond_error(r, status, format, args);
	va_end(args);
}

void http_respond_method(struct http_request *r, const char *allow) {
	r->allow = allow;
	http_respond_error(r, 405, "only %s is possible here", allow);
}
