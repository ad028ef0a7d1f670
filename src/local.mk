# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += %D%/guard.c %D%/guard.h %D%/manager.c %D%/manager.h %D%/manager_private.h %D%/manager_stop.c \
	%D%/manager_uplink.c
