# SPDX-License-Identifier: MIT
# Everything but main(), as with the daemon; apart from the daemon's, because only this needs libcurl.
noinst_LIBRARIES += libctl.a
libctl_a_SOURCES = \
	%D%/examine.h %D%/examine_words.h \
	%D%/examine_broker.c \
	%D%/examine_capacity.c \
	%D%/examine_load.c \
	%D%/examine_publishing.c \
	%D%/examine_queue.c \
	%D%/examine_system.c \
	%D%/client.c %D%/client.h \
	%D%/columns.c %D%/columns.h \
	%D%/command.c %D%/command.h \
	%D%/command_check.c \
	%D%/command_drain.c \
	%D%/command_handlers.c \
	%D%/command_order.c \
	%D%/command_peek.c \
	%D%/command_publish.c \
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
	%D%/command_watch.c \
	%D%/screen.c %D%/screen.h \
	%D%/show.c %D%/show.h %D%/show_handlers.c %D%/show_status.c \
	%D%/findings.c %D%/findings.h \
	%D%/interrupt.c %D%/interrupt.h \
	%D%/message_line.c %D%/message_line.h \
	%D%/publish_input.c %D%/publish_input.h \
	%D%/publish_options.c %D%/publish_options.h \
	%D%/publish_report.c %D%/publish_report.h \
	%D%/session.c %D%/session.h \
	%D%/session_broker.c \
	%D%/session_channel.c \
	%D%/session_private.h \
	%D%/session_publish.c \
	%D%/text.c %D%/text.h

bin_PROGRAMS = amqp-execctl
amqp_execctl_SOURCES = %D%/main.c
amqp_execctl_LDADD = libctl.a libexecd.a $(CURL_LIBS) $(RABBITMQ_LIBS) $(OPENSSL_LIBS) $(LIBCONFIG_LIBS) $(JANSSON_LIBS) $(THREADS_LIBS) -lm

check_PROGRAMS += tests/unit/test_capacity tests/unit/test_ctl tests/unit/test_findings
tests_unit_test_capacity_SOURCES = tests/unit/test_capacity.c tests/unit/check_main.h
tests_unit_test_capacity_LDADD = libctl.a libexecd.a $(CHECK_LIBS) $(CURL_LIBS) $(RABBITMQ_LIBS) $(OPENSSL_LIBS) $(LIBCONFIG_LIBS) $(JANSSON_LIBS) $(THREADS_LIBS) -lm
tests_unit_test_findings_SOURCES = tests/unit/test_findings.c tests/unit/check_main.h
tests_unit_test_findings_LDADD = libctl.a libexecd.a $(CHECK_LIBS) $(CURL_LIBS) $(RABBITMQ_LIBS) $(OPENSSL_LIBS) $(LIBCONFIG_LIBS) $(JANSSON_LIBS) $(THREADS_LIBS) -lm
check_PROGRAMS += tests/unit/test_publish_input
tests_unit_test_ctl_SOURCES = tests/unit/test_ctl.c
tests_unit_test_ctl_LDADD = libctl.a libexecd.a $(CHECK_LIBS) $(CURL_LIBS) $(RABBITMQ_LIBS) $(OPENSSL_LIBS) $(LIBCONFIG_LIBS) $(JANSSON_LIBS) $(THREADS_LIBS) -lm
tests_unit_test_publish_input_SOURCES = tests/unit/test_publish_input.c tests/unit/check_main.h tests/unit/scratch.h
tests_unit_test_publish_input_LDADD = libctl.a libexecd.a $(CHECK_LIBS) $(CURL_LIBS) $(RABBITMQ_LIBS) $(OPENSSL_LIBS) $(LIBCONFIG_LIBS) $(JANSSON_LIBS) $(THREADS_LIBS) -lm

check_PROGRAMS += tests/unit/test_session
tests_unit_test_session_SOURCES = tests/unit/test_session.c tests/unit/check_main.h tests/unit/fake_broker.h
tests_unit_test_session_LDADD = $(tests_unit_test_ctl_LDADD)

check_PROGRAMS += tests/unit/test_letter
tests_unit_test_letter_SOURCES = tests/unit/test_letter.c
tests_unit_test_letter_LDADD = $(tests_unit_test_ctl_LDADD)

bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = completions/amqp-execctl
