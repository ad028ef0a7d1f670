# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += \
	%D%/answer.c %D%/answer.h \
	%D%/copy.c %D%/copy.h \
	%D%/delivery.c %D%/delivery.h \
	%D%/dispatcher.c %D%/dispatcher.h \
	%D%/outcome.c %D%/outcome.h \
	%D%/pause.c %D%/pause.h \
	%D%/queue.c %D%/queue.h %D%/queue_private.h %D%/queue_copy.c %D%/queue_lost.c %D%/queue_pause.c \
	%D%/queue_publish.c \
	%D%/queue_reply.c %D%/queue_statistics.c %D%/queue_work.c \
	%D%/queue.c %D%/queue.h %D%/queue_private.h %D%/queue_copy.c %D%/queue_lost.c %D%/queue_publish.c \
	%D%/queue_refuse.c %D%/queue_reply.c %D%/queue_work.c \
	%D%/queue_handlers.c %D%/queue_handlers.h \
	%D%/rate.c %D%/rate.h \
	%D%/record.c %D%/record.h \
	%D%/report.c %D%/report.h \
	%D%/results.c %D%/results.h \
	%D%/retry.c %D%/retry.h \
	%D%/statistics.c %D%/statistics.h \
	%D%/tail.c %D%/tail.h

check_PROGRAMS += tests/unit/test_answer tests/unit/test_copy tests/unit/test_dispatcher tests/unit/test_outcome tests/unit/test_pause \
	tests/unit/test_queue tests/unit/test_rate tests/unit/test_record tests/unit/test_results tests/unit/test_retry tests/unit/test_statistics tests/unit/test_tail
tests_unit_test_answer_SOURCES = tests/unit/test_answer.c
tests_unit_test_copy_SOURCES = tests/unit/test_copy.c
tests_unit_test_dispatcher_SOURCES = tests/unit/test_dispatcher.c
tests_unit_test_outcome_SOURCES = tests/unit/test_outcome.c
tests_unit_test_pause_SOURCES = tests/unit/test_pause.c
tests_unit_test_queue_SOURCES = tests/unit/test_queue.c tests/unit/check_main.h tests/unit/config_files.h tests/unit/privileges_of.h \
	tests/unit/scratch.h
tests_unit_test_rate_SOURCES = tests/unit/test_rate.c
tests_unit_test_record_SOURCES = tests/unit/test_record.c
tests_unit_test_results_SOURCES = tests/unit/test_results.c
tests_unit_test_retry_SOURCES = tests/unit/test_retry.c
tests_unit_test_statistics_SOURCES = tests/unit/test_statistics.c
tests_unit_test_tail_SOURCES = tests/unit/test_tail.c
