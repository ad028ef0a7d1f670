/* SPDX-License-Identifier: MIT */
/* AMQP's reply codes, and what to do about them: shared by those who ask a broker for "amqp-execctl check". */
#pragma once

#define CODE_ACCESS_REFUSED 403
#define CODE_NOT_FOUND 404
#define CODE_RESOURCE_LOCKED 405
#define CODE_PRECONDITION_FAILED 406

#define SUBJECT_MAX 512

#define SET_PERMISSIONS "\"rabbitmqctl set_permissions -p VHOST USER CONFIGURE WRITE READ\""
#define HINT_CONFIGURE                                                                                                 \
	"give the user configure permission for it, or make it beforehand and leave the declaration "                  \
	"out: " SET_PERMISSIONS
#define HINT_READ "give the user read permission for the queue: " SET_PERMISSIONS
#define HINT_EXCHANGE "make the exchange at the broker, or correct its name"
#define HINT_LOG "see the broker's log, and correct what is configured, or try again"
