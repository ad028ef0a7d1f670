# SPDX-License-Identifier: MIT
dist_man_MANS = man/amqp-execctl.1 man/amqp-execd.8 man/amqp-execd.conf.5 man/amqp-execd-from-cli-consumer.7
