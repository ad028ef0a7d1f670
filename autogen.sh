#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes ./configure from a checkout.
set -e
cd "$(dirname "$0")"
exec autoreconf --force --install --warnings=all
