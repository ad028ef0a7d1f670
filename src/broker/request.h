/* SPDX-License-Identifier: MIT */
/* The methods that the channels send, made from the configuration. None waits for its answer; the results are those of
 * connection_send. Private to this room. */
#pragma once

#include "broker/connection.h"

int request_channel_open(struct connection *c, uint16_t channel);
/* At any time, and once; the broker answers channel.close-ok. */
int request_channel_close(struct connection *c, uint16_t channel);
int request_channel_close_ok(struct connection *c, uint16_t channel);
int request_channel_flow_ok(struct connection *c, uint16_t channel, bool active);

/* exchange.declare; passive if the binding has no exchange_type. Declared exchanges are durable. */
int request_exchange(struct connection *c, uint16_t channel, const struct config_binding *b);
/* queue.declare; passive if the queue has no declaration. */
int request_queue(struct connection *c, uint16_t channel, const struct config_queue *q);
/* queue.declare, passive: how deep is it? */
int request_depth(struct connection *c, uint16_t channel, const char *queue);
/* queue.bind with one of the binding's routing keys. */
int request_bind(struct connection *c, uint16_t channel, const struct config_queue *q, const struct config_binding *b,
		 const char *routing_key);
int request_qos(struct connection *c, uint16_t channel, unsigned prefetch);
int request_consume(struct connection *c, uint16_t channel, const struct config_queue *q);
int request_cancel(struct connection *c, uint16_t channel, const char *consumer_tag);

/* basic.ack; multiple: of everything up to the tag. */
int request_ack(struct connection *c, uint16_t channel, uint64_t delivery_tag, bool multiple);
/* basic.reject or basic.nack: any verdict but VERDICT_ACK. */
int request_settle(struct connection *c, uint16_t channel, uint64_t delivery_tag, enum verdict verdict);

int request_confirm(struct connection *c, uint16_t channel);
/* basic.publish, mandatory. The names are short strings. */
int request_publish(struct connection *c, uint16_t channel, const char *exchange, const char *routing_key);
/* queue.declare of a delay queue: see struct publication. */
int request_delay_queue(struct connection *c, uint16_t channel, const char *name, uint64_t delay_usec,
			enum config_queue_type type, const char *target);

/* What of the queue's configuration is longer than the 255 bytes of a short string, which the library would not notice, and the
 * broker would take for garbage: "the name of an exchange"; NULL if nothing is. */
const char *request_too_long(const struct config_queue *q);
