# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += \
	%D%/control.h \
	%D%/http.h \
	%D%/http_route.h \
	%D%/http_target.h \
	%D%/listen.h \
	%D%/monitor.c %D%/monitor.h \
	%D%/monitor_json.c %D%/monitor_json.h \
	%D%/snapshot.h \
	%D%/status.c %D%/status.h \
	%D%/systemd.c %D%/systemd.h

check_PROGRAMS += tests/unit/test_status
tests_unit_test_status_SOURCES = tests/unit/test_status.c
