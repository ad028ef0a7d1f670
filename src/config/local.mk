# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += \
	%D%/address.c \
	%D%/arguments.c \
	%D%/brackets.c %D%/brackets.h \
	%D%/check.c %D%/check.h \
	%D%/check_broker.c \
	%D%/check_command.c \
	%D%/check_compat.c \
	%D%/check_handler.c \
	%D%/check_outcomes.c \
	%D%/check_privileges.c \
	%D%/compare.c \
	%D%/config.c %D%/config.h \
	%D%/credential.c \
	%D%/document.c %D%/document.h \
	%D%/drop_ins.c \
	%D%/dump.c \
	%D%/duplicate.c %D%/duplicate.h \
	%D%/file.c \
	%D%/interpreter.c %D%/interpreter.h \
	%D%/key_table.c \
	%D%/keys.c %D%/keys.h \
	%D%/list.c \
	%D%/listen.c \
	%D%/privileges.c %D%/privileges.h \
	%D%/problem.c %D%/problem.h \
	%D%/reader.c %D%/reader.h \
	%D%/section.c %D%/section.h \
	%D%/source.c %D%/source.h \
	%D%/statuses.c %D%/statuses.h \
	%D%/templates.c \
	%D%/trusted.c %D%/trusted.h \
	%D%/units.c %D%/units.h \
	%D%/url.c %D%/url.h \
	%D%/value.c

check_PROGRAMS += tests/unit/test_config tests/unit/test_config_command tests/unit/test_config_compare tests/unit/test_config_credentials tests/unit/test_config_drop_ins \
	tests/unit/test_config_listen tests/unit/test_config_handler tests/unit/test_config_privileges \
	tests/unit/test_config_problems tests/unit/test_keys \
	tests/unit/test_statuses tests/unit/test_units \
	tests/unit/test_url
tests_unit_test_config_SOURCES = tests/unit/test_config.c tests/unit/config_files.h tests/unit/scratch.h \
	tests/unit/privileges_of.h tests/unit/check_main.h
tests_unit_test_config_command_SOURCES = tests/unit/test_config_command.c tests/unit/config_files.h \
	tests/unit/scratch.h tests/unit/privileges_of.h tests/unit/check_main.h
tests_unit_test_config_compare_SOURCES = tests/unit/test_config_compare.c tests/unit/config_files.h \
	tests/unit/scratch.h tests/unit/privileges_of.h tests/unit/check_main.h
tests_unit_test_config_credentials_SOURCES = tests/unit/test_config_credentials.c tests/unit/config_files.h \
	tests/unit/scratch.h tests/unit/privileges_of.h tests/unit/check_main.h
tests_unit_test_config_drop_ins_SOURCES = tests/unit/test_config_drop_ins.c tests/unit/config_files.h \
	tests/unit/scratch.h tests/unit/privileges_of.h tests/unit/check_main.h
tests_unit_test_config_handler_SOURCES = tests/unit/test_config_handler.c tests/unit/config_files.h \
	tests/unit/scratch.h tests/unit/privileges_of.h tests/unit/check_main.h
tests_unit_test_config_listen_SOURCES = tests/unit/test_config_listen.c tests/unit/config_files.h \
	tests/unit/scratch.h tests/unit/privileges_of.h tests/unit/check_main.h
tests_unit_test_config_privileges_SOURCES = tests/unit/test_config_privileges.c tests/unit/config_files.h \
	tests/unit/scratch.h tests/unit/privileges_of.h tests/unit/check_main.h
tests_unit_test_config_problems_SOURCES = tests/unit/test_config_problems.c tests/unit/config_files.h \
	tests/unit/scratch.h tests/unit/privileges_of.h tests/unit/check_main.h
tests_unit_test_keys_SOURCES = tests/unit/test_keys.c tests/unit/check_main.h
tests_unit_test_statuses_SOURCES = tests/unit/test_statuses.c tests/unit/check_main.h
tests_unit_test_units_SOURCES = tests/unit/test_units.c tests/unit/check_main.h
tests_unit_test_url_SOURCES = tests/unit/test_url.c tests/unit/check_main.h
EXTRA_DIST += tests/config
