# SPDX-License-Identifier: MIT
# What Prometheus and Grafana are to have is installed where it can be named in their configuration; what draws the picture is for developers.
monitoringdir = $(pkgdatadir)/monitoring
dist_monitoring_DATA = monitoring/amqp-execd.rules.yml monitoring/amqp-execd-dashboard.json monitoring/prometheus.yml
EXTRA_DIST += monitoring/tests monitoring/render monitoring/scenario doc/dashboard.png
