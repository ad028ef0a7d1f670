# SPDX-License-Identifier: MIT
# What the tests need beyond the programs that each room lists, and what the README names: shipped in the tarball, so that
# scripts/test and scripts/demo work from it, too.
EXTRA_DIST += tests/unit/check_main.h \
	tests/pytest.ini tests/handlers tests/integration tests/static tests/system \
	scripts/demo scripts/demo.d scripts/lib/demo.py scripts/lib/setup.sh scripts/test .ci/run

dist-hook:
	find "$(distdir)" -name __pycache__ -type d -prune -exec rm -rf {} +
