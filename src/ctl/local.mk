# SPDX-License-Identifier: MIT
# Everything but main(), as with the daemon; apart from the daemon's, because only this needs libcurl.
noinst_LIBRARIES += libctl.a
libctl_a_SOURCES = \
	%D%/client.c %D%/client.h \
	%D%/columns.c %D%/columns.h \
	%D%/command.c %D%/command.h \
	%D%/command_drain.c \
	%D%/command_order.c \
	%D%/command_peek.c \
	%D%/command_reload.c \
	%D%/command_replay.c \
	%D%/command_status.c \
	%D%/filter.c %D%/filter.h \
	%D%/giveback.c %D%/giveback.h \
	%D%/letter.c %D%/letter.h \
	%D%/look.c %D%/look.h \
	%D%/look_json.c %D%/look_private.h \
	%D%/replay.c %D%/replay.h \
	%D%/replay_tell.c \
	%D%/interrupt.c %D%/interrupt.h \
	%D%/session.c %D%/session.h \
	%D%/session_broker.c \
	%D%/session_channel.c \
	%D%/session_private.h \
	%D%/session_publish.c \
	%D%/show.c %D%/show.h \
	%D%/text.c %D%/text.h

bin_PROGRAMS = amqp-execctl
amqp_execctl_SOURCES = %D%/main.c
amqp_execctl_LDADD = libctl.a libexecd.a $(CURL_LIBS) $(RABBITMQ_LIBS) $(OPENSSL_LIBS) $(LIBCONFIG_LIBS) $(JANSSON_LIBS) $(THREADS_LIBS) -lm

check_PROGRAMS += tests/unit/test_ctl
tests_unit_test_ctl_SOURCES = tests/unit/test_ctl.c
tests_unit_test_ctl_LDADD = libctl.a libexecd.a $(CHECK_LIBS) $(CURL_LIBS) $(RABBITMQ_LIBS) $(OPENSSL_LIBS) $(LIBCONFIG_LIBS) $(JANSSON_LIBS) $(THREADS_LIBS) -lm

check_PROGRAMS += tests/unit/test_letter
tests_unit_test_letter_SOURCES = tests/unit/test_letter.c
tests_unit_test_letter_LDADD = $(tests_unit_test_ctl_LDADD)

bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = completions/amqp-execctl
