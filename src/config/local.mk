# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += \
	%D%/arguments.c \
	%D%/check.c \
	%D%/config.c %D%/config.h \
	%D%/dump.c \
	%D%/keys.c %D%/keys.h \
	%D%/problem.c %D%/problem.h \
	%D%/reader.c %D%/reader.h \
	%D%/section.c %D%/section.h \
	%D%/source.c %D%/source.h \
	%D%/trusted.c %D%/trusted.h \
	%D%/units.c %D%/units.h \
	%D%/url.c %D%/url.h \
	%D%/value.c
