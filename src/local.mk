# SPDX-License-Identifier: MIT
libexecd_a_SOURCES +=
