# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += %D%/manager.c %D%/manager.h
