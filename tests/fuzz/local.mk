# SPDX-License-Identifier: MIT
# Fuzz targets. In each build, replay_NAME runs the corpus of fuzz_NAME through it, as part of make check; where
# configure was told --enable-fuzzing (clang), make fuzz lets libFuzzer look for new inputs for FUZZ_SECONDS each. FUZZ_SEED: 0 is
# another one each time.
FUZZ_SECONDS = 30
FUZZ_SEED = 0
fuzz_targets = answer config line request show table template url

check_PROGRAMS += %D%/replay_answer %D%/replay_config %D%/replay_line %D%/replay_request %D%/replay_show %D%/replay_table %D%/replay_template %D%/replay_url
%C%_replay_answer_SOURCES = %D%/fuzz_answer.c %D%/fuzz.h %D%/replay.c
%C%_replay_answer_CPPFLAGS = $(AM_CPPFLAGS) -DCORPUS='"answer"'
%C%_replay_config_SOURCES = %D%/fuzz_config.c %D%/fuzz.h %D%/replay.c tests/unit/privileges_of.h
%C%_replay_config_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests -DCORPUS='"config"'
%C%_replay_line_SOURCES = %D%/fuzz_line.c %D%/fuzz.h %D%/replay.c
%C%_replay_line_CPPFLAGS = $(AM_CPPFLAGS) -DCORPUS='"line"'
%C%_replay_line_LDADD = libctl.a $(LDADD)
%C%_replay_request_SOURCES = %D%/fuzz_request.c %D%/fuzz.h %D%/replay.c
%C%_replay_request_CPPFLAGS = $(AM_CPPFLAGS) -DCORPUS='"request"'
%C%_replay_show_SOURCES = %D%/fuzz_show.c %D%/fuzz.h %D%/replay.c
%C%_replay_show_CPPFLAGS = $(AM_CPPFLAGS) -DCORPUS='"show"'
%C%_replay_show_LDADD = libctl.a $(LDADD)
%C%_replay_table_SOURCES = %D%/fuzz_table.c %D%/fuzz.h %D%/replay.c
%C%_replay_table_CPPFLAGS = $(AM_CPPFLAGS) -DCORPUS='"table"'
%C%_replay_template_SOURCES = %D%/fuzz_template.c %D%/fuzz.h %D%/replay.c
%C%_replay_template_CPPFLAGS = $(AM_CPPFLAGS) -DCORPUS='"template"'
%C%_replay_url_SOURCES = %D%/fuzz_url.c %D%/fuzz.h %D%/replay.c
%C%_replay_url_CPPFLAGS = $(AM_CPPFLAGS) -DCORPUS='"url"'

if FUZZING
noinst_PROGRAMS = %D%/fuzz_answer %D%/fuzz_config %D%/fuzz_line %D%/fuzz_request %D%/fuzz_show %D%/fuzz_table %D%/fuzz_template %D%/fuzz_url
%C%_fuzz_answer_SOURCES = %D%/fuzz_answer.c %D%/fuzz.h
%C%_fuzz_answer_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_config_SOURCES = %D%/fuzz_config.c %D%/fuzz.h tests/unit/privileges_of.h
%C%_fuzz_config_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests
%C%_fuzz_config_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_line_SOURCES = %D%/fuzz_line.c %D%/fuzz.h
%C%_fuzz_line_LDADD = libctl.a $(LDADD)
%C%_fuzz_line_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_request_SOURCES = %D%/fuzz_request.c %D%/fuzz.h
%C%_fuzz_request_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_show_SOURCES = %D%/fuzz_show.c %D%/fuzz.h
%C%_fuzz_show_LDADD = libctl.a $(LDADD)
%C%_fuzz_show_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_table_SOURCES = %D%/fuzz_table.c %D%/fuzz.h
%C%_fuzz_table_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_template_SOURCES = %D%/fuzz_template.c %D%/fuzz.h
%C%_fuzz_template_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_url_SOURCES = %D%/fuzz_url.c %D%/fuzz.h
%C%_fuzz_url_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

# New inputs go to the build folder; what ends a target is %D%/crash-NAME-*.
fuzz: $(noinst_PROGRAMS)
	@for target in $(fuzz_targets); do \
		mkdir -p %D%/found/$$target && \
		echo "fuzz_$$target: $(FUZZ_SECONDS) s" && \
		%D%/fuzz_$$target -seed=$(FUZZ_SEED) -max_total_time=$(FUZZ_SECONDS) -timeout=20 -max_len=8192 -print_final_stats=1 \
			-artifact_prefix=%D%/crash-$$target- %D%/found/$$target "$(srcdir)/%D%/corpus/$$target" \
			>%D%/$$target.out 2>&1 || { tail -n 60 %D%/$$target.out; exit 1; }; \
		grep -aE 'stat::(number_of_executed_units|average_exec_per_sec|new_units_added)' %D%/$$target.out; \
	done
else
fuzz:
	@echo "make fuzz takes: configure CC=clang --enable-fuzzing" >&2; exit 1
endif
.PHONY: fuzz

EXTRA_DIST += %D%/corpus
