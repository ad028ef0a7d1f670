/* SPDX-License-Identifier: MIT */
/* The messages that "publish" is given, one after the other: no more than one is in memory. Files and lines are read as
 * they come; where that would take waiting, it says for what. */
#pragma once

#include "ctl/publish_options.h"
#include "message/message.h"
#include <stddef.h>

struct publish_input;

/* Keeps the options (borrowed). -ENOMEM. */
int publish_input_new(const struct publish_options *o, struct publish_input **ret);
struct publish_input *publish_input_free(struct publish_input *i);
DEFINE_CLEANUP(struct publish_input *, publish_input_free);

/* 1: the next message, the caller's, with the route and properties of the command line; 0: there is none any more.
 * -EAGAIN: it is to be called again when publish_input_fd is readable. -EINVAL: what would be the next message is none,
 * *ret_why (the caller's) says why, and the one after it comes next. -EIO: nothing can be read any more, and why.
 * -ENOMEM. */
int publish_input_next(struct publish_input *i, struct message **ret, char **ret_why);

int publish_input_fd(const struct publish_input *i);

/* Counts what publish_input_next would still give, if that can be told without waiting for somebody; else -1. Ends it.
 */
long long publish_input_rest(struct publish_input *i);
