# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += \
	%D%/amqp_library.h \
	%D%/assembler.c %D%/assembler.h \
	%D%/broker.c %D%/broker.h \
	%D%/channel.c %D%/channel.h \
	%D%/connection.c %D%/connection.h \
	%D%/consuming.c %D%/consuming.h \
	%D%/content.c %D%/content.h \
	%D%/declarer.c %D%/declarer.h \
	%D%/dial.c %D%/dial.h \
	%D%/endpoint.c %D%/endpoint.h \
	%D%/error.c %D%/error.h \
	%D%/inquiry.c %D%/inquiry.h %D%/inquiry_private.h \
	%D%/inquiry_ask.c \
	%D%/inspector.c %D%/inspector.h \
	%D%/job.c %D%/job.h \
	%D%/lane.c %D%/lane.h \
	%D%/link.c %D%/link.h \
	%D%/outbox.c %D%/outbox.h \
	%D%/publisher.c %D%/publisher.h \
	%D%/publishing.c %D%/publishing.h \
	%D%/random.h \
	%D%/request.c %D%/request.h \
	%D%/seat.c %D%/seat.h \
	%D%/settler.c %D%/settler.h \
	%D%/table.c %D%/table.h \
	%D%/tags.c %D%/tags.h \
	%D%/thread.c %D%/thread.h \
	%D%/tls.c %D%/tls.h \
	%D%/tls_error.c %D%/tls_error.h \
	%D%/wait.h

check_PROGRAMS += tests/unit/test_assembler tests/unit/test_broker tests/unit/test_broker_error tests/unit/test_broker_link \
	tests/unit/test_broker_table tests/unit/test_connection tests/unit/test_consumers tests/unit/test_inquiry tests/unit/test_inspector \
	tests/unit/test_publisher tests/unit/test_tags
tests_unit_test_assembler_SOURCES = tests/unit/test_assembler.c
tests_unit_test_broker_SOURCES = tests/unit/test_broker.c tests/unit/broker_loop.h tests/unit/fake_broker.h tests/unit/privileges_of.h
tests_unit_test_broker_error_SOURCES = tests/unit/test_broker_error.c tests/unit/check_main.h
tests_unit_test_broker_link_SOURCES = tests/unit/test_broker_link.c tests/unit/check_main.h tests/unit/config_files.h \
	tests/unit/privileges_of.h tests/unit/scratch.h
tests_unit_test_broker_table_SOURCES = tests/unit/test_broker_table.c
tests_unit_test_connection_SOURCES = tests/unit/test_connection.c tests/unit/check_main.h tests/unit/scratch.h \
	tests/unit/tls_peer.h
tests_unit_test_consumers_SOURCES = tests/unit/test_consumers.c tests/unit/broker_loop.h tests/unit/check_main.h \
	tests/unit/config_files.h tests/unit/fake_broker.h tests/unit/privileges_of.h tests/unit/scratch.h
tests_unit_test_inquiry_SOURCES = tests/unit/test_inquiry.c tests/unit/check_main.h tests/unit/fake_broker.h
tests_unit_test_inspector_SOURCES = tests/unit/test_inspector.c tests/unit/broker_loop.h tests/unit/check_main.h \
	tests/unit/config_files.h tests/unit/fake_broker.h tests/unit/privileges_of.h tests/unit/scratch.h
tests_unit_test_publisher_SOURCES = tests/unit/test_publisher.c tests/unit/broker_loop.h tests/unit/fake_broker.h tests/unit/privileges_of.h
tests_unit_test_tags_SOURCES = tests/unit/test_tags.c tests/unit/check_main.h
