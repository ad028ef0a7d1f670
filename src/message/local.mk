# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += \
	%D%/field.c %D%/field.h \
	%D%/gojson.c %D%/gojson.h \
	%D%/headers.c %D%/headers.h \
	%D%/json.c %D%/json.h \
	%D%/marks.c %D%/marks.h \
	%D%/message.c %D%/message.h \
	%D%/metadata.c %D%/metadata.h \
	%D%/template.c %D%/template.h \
	%D%/trace.c %D%/trace.h

check_PROGRAMS += tests/unit/test_field tests/unit/test_headers tests/unit/test_message tests/unit/test_metadata \
	tests/unit/test_template tests/unit/test_trace
tests_unit_test_field_SOURCES = tests/unit/test_field.c
tests_unit_test_headers_SOURCES = tests/unit/test_headers.c tests/unit/check_main.h
tests_unit_test_message_SOURCES = tests/unit/test_message.c
tests_unit_test_metadata_SOURCES = tests/unit/test_metadata.c
tests_unit_test_template_SOURCES = tests/unit/test_template.c
tests_unit_test_trace_SOURCES = tests/unit/test_trace.c
