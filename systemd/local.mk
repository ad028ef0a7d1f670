# SPDX-License-Identifier: MIT
dist_catalog_DATA = systemd/amqp-execd.catalog
UNITS = systemd/amqp-execd.service systemd/amqp-execd@.service
SOCKETS = systemd/amqp-execd-control.socket systemd/amqp-execd-control@.socket systemd/amqp-execd-monitor.socket
systemdsystemunit_DATA = $(UNITS)
dist_systemdsystemunit_DATA = $(SOCKETS)
CLEANFILES += $(UNITS) conf/installed.conf
dist_sysusers_DATA = systemd/sysusers.d/amqp-execd.conf
EXTRA_DIST += systemd/amqp-execd.service.in conf/installed.conf.in

pkgsysconfdir = $(sysconfdir)/amqp-execd
examplesdir = $(docdir)/examples
dist_examples_DATA = conf/amqp-execd.conf systemd/examples/privileged.conf

# What both units and the configuration have in common.
SUBSTITUTE = $(SED) -e 's|@sbindir[@]|$(sbindir)|g; s|@bindir[@]|$(bindir)|g; s|@sysconfdir[@]|$(sysconfdir)|g' \
	-e 's|@pkgsysconfdir[@]|$(pkgsysconfdir)|g; s|@docdir[@]|$(docdir)|g'

# One text for both: an instance differs from the other in what is named after it.
systemd/amqp-execd.service: systemd/amqp-execd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && $(SUBSTITUTE) -e 's|@of_instance[@]||; s|@with_config[@]||; s|@with_instance[@]||' \
	  -e 's|@suffix[@]||; s|@credentials[@]|credentials|' $(srcdir)/systemd/amqp-execd.service.in >$@.tmp && mv $@.tmp $@

systemd/amqp-execd@.service: systemd/amqp-execd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && $(SUBSTITUTE) -e 's|@of_instance[@]| (%i)|; s|@with_instance[@]| --instance %i|' \
	  -e 's|@with_config[@]| --config $(pkgsysconfdir)/%i.conf|; s|@suffix[@]|-%i|; s|@credentials[@]|%i.credentials|' \
	  $(srcdir)/systemd/amqp-execd.service.in >$@.tmp && mv $@.tmp $@

conf/installed.conf: conf/installed.conf.in Makefile
	$(AM_V_GEN)$(MKDIR_P) conf && $(SUBSTITUTE) $(srcdir)/conf/installed.conf.in >$@.tmp && mv $@.tmp $@
all-local: conf/installed.conf

# `make install` does not overwrite a configuration. Not for everybody to read: it may come to hold a password.
install-data-local: conf/installed.conf
	$(MKDIR_P) "$(DESTDIR)$(pkgsysconfdir)/conf.d"
	$(INSTALL) -d -m 700 "$(DESTDIR)$(pkgsysconfdir)/credentials"
	test -e "$(DESTDIR)$(pkgsysconfdir)/amqp-execd.conf" || \
	  $(INSTALL) -m 640 conf/installed.conf "$(DESTDIR)$(pkgsysconfdir)/amqp-execd.conf"
uninstall-local:
	! cmp -s conf/installed.conf "$(DESTDIR)$(pkgsysconfdir)/amqp-execd.conf" || \
	  rm -f "$(DESTDIR)$(pkgsysconfdir)/amqp-execd.conf"
	rmdir "$(DESTDIR)$(pkgsysconfdir)/conf.d" "$(DESTDIR)$(pkgsysconfdir)/credentials" || :
