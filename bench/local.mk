# SPDX-License-Identifier: MIT
# `make bench`: the daemon, amqp-consume and a bare posix_spawn loop side by side. Not part of `make check`.
EXTRA_PROGRAMS = bench/bare_consume bench/bare_spawn bench/sink bench/worker
bench_bare_consume_SOURCES = %D%/bare_consume.c
bench_bare_consume_LDADD = $(RABBITMQ_LIBS)
bench_bare_spawn_SOURCES = %D%/bare_spawn.c
bench_bare_spawn_LDADD =
bench_sink_SOURCES = %D%/sink.c
bench_sink_LDADD =
bench_sink_CFLAGS = $(EXECD_CFLAGS) -fno-PIE
bench_sink_LDFLAGS = -static -no-pie
bench_worker_SOURCES = %D%/worker.c
bench_worker_LDADD =
bench_worker_CFLAGS = $(EXECD_CFLAGS) -fno-PIE
bench_worker_LDFLAGS = -static -no-pie
CLEANFILES += $(EXTRA_PROGRAMS)
EXTRA_DIST += %D%/run.py scripts/lib/broker.py scripts/lib/notify.py

.PHONY: bench
bench: amqp-execd $(EXTRA_PROGRAMS)
	/usr/bin/python3 $(srcdir)/bench/run.py --build $(abs_builddir)
