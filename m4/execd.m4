# SPDX-License-Identifier: MIT
# EXECD_TRY_CFLAGS(FLAGS), EXECD_TRY_LDFLAGS(FLAGS): append FLAGS to EXECD_CFLAGS or EXECD_LDFLAGS if the tool chain takes them.
AC_DEFUN([EXECD_TRY_CFLAGS], [
  execd_save="$CFLAGS"; CFLAGS="$CFLAGS -Werror $1"
  AC_MSG_CHECKING([whether $CC takes $1])
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes]); EXECD_CFLAGS="$EXECD_CFLAGS $1"], [AC_MSG_RESULT([no])])
  CFLAGS="$execd_save"])
AC_DEFUN([EXECD_TRY_LDFLAGS], [
  execd_save="$LDFLAGS"; LDFLAGS="$LDFLAGS -Werror $1"
  AC_MSG_CHECKING([whether the linker takes $1])
  AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
    [AC_MSG_RESULT([yes]); EXECD_LDFLAGS="$EXECD_LDFLAGS $1"], [AC_MSG_RESULT([no])])
  LDFLAGS="$execd_save"])
# EXECD_THREADS: -pthread in THREADS_CFLAGS and THREADS_LIBS.
AC_DEFUN([EXECD_THREADS], [
  AC_SUBST([THREADS_CFLAGS], [-pthread])
  AC_SUBST([THREADS_LIBS], [-pthread])])
