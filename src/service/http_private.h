/* SPDX-License-Identifier: MIT */
/* Inside of the HTTP server, shared by its two parts and nobody else: http.c has sockets and connections,
 * http_request.c what is asked and answered on one. */
#pragma once

#include <microhttpd.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "base/list.h"
#include "base/strbuf.h"
#include "service/http.h"
#include "service/http_target.h"

struct http_server {
	sd_event *event; /* borrowed */
	struct http_limits limits;
	const struct http_callbacks *callbacks; /* borrowed */
	void *userdata;                         /* borrowed */
	struct MHD_Daemon *daemon;              /* owned */
	sd_event_source *io;                    /* owned; the library's epoll descriptor */
	sd_event_source *timer;                 /* owned; when the library wants to be called without an event */
	sd_event_source *rest;   /* owned; ends the rest of listening sockets that could not be accepted from */
	struct list sockets;     /* of http_socket, owned */
	struct list connections; /* of http_connection, owned */
	size_t answers_size;	 /* bytes of large answers that are not done with */
	size_t last_large;	 /* bytes of the last one; 0: there was none */
};

struct http_connection {
	struct list node;
	struct http_server *server;   /* borrowed: the owner */
	struct MHD_Connection *mhd;   /* borrowed */
	int fd;                       /* borrowed: the library's */
	sd_event_source *deadline;    /* owned */
	struct http_request *request; /* owned; the current one, NULL between two */
	struct http_peer peer;
	gid_t *groups; /* owned; peer.groups */
};

enum http_request_state {
	HTTP_REQUEST_NEW,       /* the request line is known */
	HTTP_REQUEST_RECEIVING, /* the headers are, too, and acceptable */
	HTTP_REQUEST_DECIDING,  /* complete; the callback is being called */
	HTTP_REQUEST_WAITING,   /* the callback has returned without an answer; the library was told to wait */
	HTTP_REQUEST_ANSWERED,  /* the answer is here, to be handed to the library */
};

struct http_request {
	struct http_connection *connection; /* borrowed: the owner */
	enum http_request_state state;
	char *text; /* owned; what is asked for, as it was sent */
	struct http_target target;
	char *method; /* owned */
	struct strbuf body;
	unsigned status;      /* of the answer, as the next three */
	const char *type;     /* static */
	const char *allow;    /* static; NULL: none */
	struct strbuf answer; /* its body */
	size_t large;	      /* its part of http_server.answers_size */
};

/* Gives the connection so much time from now on; USEC_INFINITY: no limit. Without a timer for lack of memory it is cut
 * off at once. */
void http_connection_set_deadline(struct http_connection *c, uint64_t usec);

/* Has the library run in the next turn of the loop: that a connection is resumed makes no event. */
void http_wake(struct http_server *s);

/* Callbacks of the library: a request begins, goes on, is over. */
void *http_request_on_line(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result http_request_on_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
				       const char *version, const char *upload, size_t *upload_size, void **context);
void http_request_on_completed(void *cls, struct MHD_Connection *mhd, void **context,
			       enum MHD_RequestTerminationCode code);

/* If it waits for its answer: lets the library go on, and end the connection. */
void http_request_abandon(struct http_request *r);

/* NULL-safe, returns NULL. */
struct http_request *http_request_free(struct http_request *r);
