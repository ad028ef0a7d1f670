# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += \
	%D%/backoff.c %D%/backoff.h \
	%D%/base64.c %D%/base64.h \
	%D%/clock.c %D%/clock.h \
	%D%/decay.c %D%/decay.h \
	%D%/fd.c %D%/fd.h \
	%D%/histogram.c %D%/histogram.h \
	%D%/list.h \
	%D%/log.c %D%/log.h \
	%D%/log_event.c %D%/log_event.h \
	%D%/macro.h \
	%D%/mailbox.c %D%/mailbox.h \
	%D%/siphash.c %D%/siphash.h \
	%D%/strbuf.c %D%/strbuf.h \
	%D%/utf8.c %D%/utf8.h

check_PROGRAMS += tests/unit/test_base tests/unit/test_histogram tests/unit/test_mailbox tests/unit/test_log tests/unit/test_siphash
tests_unit_test_base_SOURCES = tests/unit/test_base.c
tests_unit_test_histogram_SOURCES = tests/unit/test_histogram.c
tests_unit_test_mailbox_SOURCES = tests/unit/test_mailbox.c
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_siphash_SOURCES = tests/unit/test_siphash.c
