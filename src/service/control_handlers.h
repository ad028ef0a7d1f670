/* SPDX-License-Identifier: MIT */
/* The part of the control socket that is about single handlers. */
#pragma once

#include "service/control.h"
#include "service/http.h"

/* GET /v1/handlers: those of that queue and that broker (NULL: any). */
void control_handlers_list(struct http_request *request, const struct control_callbacks *callbacks, void *userdata,
			   const char *queue, const char *broker);

/* POST /v1/handlers/PID/kill: stops it, and logs who wanted that. */
void control_handlers_kill(struct http_request *request, const struct control_callbacks *callbacks, void *userdata);
