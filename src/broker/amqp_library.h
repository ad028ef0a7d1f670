/* SPDX-License-Identifier: MIT */
/* The one place that includes rabbitmq-c: its headers moved with 0.12, and the old path warns since. Private to this room. */
#pragma once

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif
