# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += \
	%D%/arguments.c %D%/arguments.h \
	%D%/body.c %D%/body.h \
	%D%/capture.c %D%/capture.h \
	%D%/confine.c %D%/confine.h \
	%D%/confine_rules.c %D%/confine_rules.h \
	%D%/environment.c %D%/environment.h \
	%D%/executor.c %D%/executor.h \
	%D%/feed.c %D%/feed.h \
	%D%/identity.c %D%/identity.h \
	%D%/input.c %D%/input.h \
	%D%/kill.c \
	%D%/output.c %D%/output.h \
	%D%/payload.c %D%/payload.h \
	%D%/pool.c %D%/pool.h \
	%D%/probe.c %D%/probe.h \
	%D%/program.c %D%/program.h \
	%D%/run.c %D%/run.h \
	%D%/run_worker.c \
	%D%/spawn.c %D%/spawn.h \
	%D%/spawn_error.c \
	%D%/strays.c %D%/strays.h \
	%D%/task.c %D%/task.h \
	%D%/tree.c %D%/tree.h \
	%D%/worker.c %D%/worker.h \
	%D%/worker_answer.c %D%/worker_answer.h

check_PROGRAMS += tests/unit/test_arguments tests/unit/test_capture tests/unit/test_confine tests/unit/test_environment \
	tests/unit/test_identity tests/unit/test_input tests/unit/test_output tests/unit/test_run tests/unit/test_run_output \
	tests/unit/test_spawn tests/unit/test_spawn_plan tests/unit/test_strays
tests_unit_test_arguments_SOURCES = tests/unit/test_arguments.c tests/unit/check_main.h
tests_unit_test_capture_SOURCES = tests/unit/test_capture.c tests/unit/check_main.h
tests_unit_test_input_SOURCES = tests/unit/test_input.c tests/unit/check_main.h
tests_unit_test_confine_SOURCES = tests/unit/test_confine.c tests/unit/check_main.h tests/unit/scratch.h
tests_unit_test_environment_SOURCES = tests/unit/test_environment.c
tests_unit_test_identity_SOURCES = tests/unit/test_identity.c tests/unit/check_main.h tests/unit/scratch.h
tests_unit_test_output_SOURCES = tests/unit/test_output.c
tests_unit_test_run_SOURCES = tests/unit/test_run.c
tests_unit_test_run_output_SOURCES = tests/unit/test_run_output.c tests/unit/check_main.h
tests_unit_test_spawn_SOURCES = tests/unit/test_spawn.c tests/unit/spawning.h
tests_unit_test_strays_SOURCES = tests/unit/test_strays.c tests/unit/check_main.h tests/unit/scratch.h
tests_unit_test_spawn_plan_SOURCES = tests/unit/test_spawn_plan.c tests/unit/spawning.h tests/unit/check_main.h

check_PROGRAMS += tests/unit/test_feed tests/unit/test_worker tests/unit/test_worker_answer
tests_unit_test_feed_SOURCES = tests/unit/test_feed.c tests/unit/check_main.h
tests_unit_test_worker_SOURCES = tests/unit/test_worker.c tests/unit/check_main.h
tests_unit_test_worker_answer_SOURCES = tests/unit/test_worker_answer.c tests/unit/check_main.h
