# SPDX-License-Identifier: MIT
# Part of the tarball, which so builds the package, too: scripts/package does that.
EXTRA_DIST += debian/amqp-execd.lintian-overrides debian/amqp-execd.postinst debian/amqp-execd.postrm debian/amqp-execd.prerm debian/changelog debian/control \
	debian/copyright debian/rules debian/source/format debian/source/lintian-overrides debian/tests/control debian/tests/deliver scripts/package scripts/lib/package.sh
