# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += \
	%D%/control.h \
	%D%/http.h \
	%D%/http_route.h \
	%D%/http_target.h \
	%D%/listen.h \
	%D%/monitor.c %D%/monitor.h \
	%D%/monitor_json.c %D%/monitor_json.h \
	%D%/control.c %D%/control.h \
	%D%/control_handlers.c %D%/control_handlers.h \
	%D%/control_json.c %D%/control_json.h \
	%D%/exposition.c %D%/exposition.h \
	%D%/http.c %D%/http.h %D%/http_private.h %D%/http_request.c \
	%D%/http_route.c %D%/http_route.h \
	%D%/http_target.c %D%/http_target.h \
	%D%/json_text.c %D%/json_text.h \
	%D%/listen.c %D%/listen.h \
	%D%/metrics.c %D%/metrics.h %D%/metrics_queue.c %D%/metrics_queue.h \
	%D%/metrics_route.c %D%/metrics_route.h \
	%D%/process_figures.c %D%/process_figures.h \
	%D%/snapshot.h \
	%D%/status.c %D%/status.h \
	%D%/systemd.c %D%/systemd.h

check_PROGRAMS += tests/unit/test_control tests/unit/test_http tests/unit/test_http_target tests/unit/test_listen tests/unit/test_metrics tests/unit/test_status
tests_unit_test_control_SOURCES = tests/unit/test_control.c tests/unit/http_client.h tests/unit/scratch.h
tests_unit_test_http_SOURCES = tests/unit/test_http.c tests/unit/http_client.h tests/unit/scratch.h
tests_unit_test_http_target_SOURCES = tests/unit/test_http_target.c
tests_unit_test_listen_SOURCES = tests/unit/test_listen.c tests/unit/scratch.h
tests_unit_test_metrics_SOURCES = tests/unit/test_metrics.c tests/unit/metrics_golden.h
tests_unit_test_status_SOURCES = tests/unit/test_status.c
