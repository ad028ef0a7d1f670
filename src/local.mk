# SPDX-License-Identifier: MIT
libexecd_a_SOURCES += %D%/guard.c %D%/guard.h %D%/loader.c %D%/loader.h %D%/log_problems.c %D%/log_problems.h %D%/manager.c %D%/manager.h %D%/manager_private.h \
	%D%/manager_handlers.c %D%/manager_listen.c %D%/manager_member.c %D%/manager_past.c %D%/manager_reload.c %D%/manager_report.c %D%/manager_stop.c %D%/manager_take.c \
	%D%/manager_uplink.c
