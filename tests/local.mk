# SPDX-License-Identifier: MIT
# What the tests need beyond the programs that each room lists: shipped in the tarball, run by scripts/test.
EXTRA_DIST += tests/unit/check_main.h
