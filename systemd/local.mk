# SPDX-License-Identifier: MIT
dist_catalog_DATA = systemd/amqp-execd.catalog

systemdsystemunit_DATA = systemd/amqp-execd.service
CLEANFILES += systemd/amqp-execd.service
EXTRA_DIST += systemd/amqp-execd.service.in

systemd/amqp-execd.service: systemd/amqp-execd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && $(SED) -e 's|@sbindir[@]|$(sbindir)|g' $(srcdir)/systemd/amqp-execd.service.in >$@.tmp && mv $@.tmp $@

# `make install` does not overwrite a configuration. Not for everybody to read: it may come to hold a password.
pkgsysconfdir = $(sysconfdir)/amqp-execd
EXTRA_DIST += conf/amqp-execd.conf
install-data-local:
	$(MKDIR_P) "$(DESTDIR)$(pkgsysconfdir)"
	test -e "$(DESTDIR)$(pkgsysconfdir)/amqp-execd.conf" || \
	  $(INSTALL) -m 640 $(srcdir)/conf/amqp-execd.conf "$(DESTDIR)$(pkgsysconfdir)/amqp-execd.conf"
uninstall-local:
	! cmp -s $(srcdir)/conf/amqp-execd.conf "$(DESTDIR)$(pkgsysconfdir)/amqp-execd.conf" || \
	  rm -f "$(DESTDIR)$(pkgsysconfdir)/amqp-execd.conf"
