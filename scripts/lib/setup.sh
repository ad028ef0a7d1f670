# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What scripts/demo and scripts/test share: headings, missing packages, building. To be sourced by bash.

# root: the checkout. The caller may set it before.
: "${root:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"

# What it takes to build the daemon and to run it against a broker of one's own.
# shellcheck disable=SC2034  # for those who source this
PACKAGES_BUILD="autoconf automake gcc libc6-dev make pkg-config libconfig-dev libcurl4-openssl-dev libjansson-dev libmicrohttpd-dev librabbitmq-dev libssl-dev libsystemd-dev zlib1g-dev"
# shellcheck disable=SC2034
PACKAGES_RUN="python3 python3-pika rabbitmq-server util-linux"

if [ -t 1 ]; then
	bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
	bold='' plain=''
fi

heading() {
	printf '%s==> %s%s\n' "$bold" "$*" "$plain"
}

die() {
	printf '%s\n' "$*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		command -v sudo >/dev/null || die "root is needed for: $* (there is no sudo)"
		sudo "$@"
	fi
}

missing_packages() {
	local p
	for p; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || printf '%s ' "$p"
	done
}

# Keeps services that packages bring from being started while it lives, and runs apt-get.
apt_without_services() {
	(
		policy=/usr/sbin/policy-rc.d
		if [ ! -e $policy ]; then
			trap 'as_root rm -f $policy' EXIT
			printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
			as_root chmod 755 $policy
		fi
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$@"
	)
}

# leave_off PACKAGE WHAT: a service that was installed for what else is in its package does not run after the next boot, either.
# $missing is what was installed.
leave_off() {
	case " $missing " in
	*" $1 "*)
		if [ -d /run/systemd/system ]; then
			as_root systemctl -q disable "$1.service" >/dev/null 2>&1 || true
		fi
		echo "$1 was installed for $2; its own service stays off."
		;;
	esac
}

# Installs those of the named Debian packages that are missing. A broker or another service that comes with them is
# not started: this machine did not ask for one.
install_missing() {
	local missing log
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || die "missing, and there is no apt-get to install them: $missing"
	heading "Installing what is missing: $missing"
	log=$(mktemp)
	# shellcheck disable=SC2086  # a list of words
	if ! as_root apt-get -q update >"$log" 2>&1 || ! apt_without_services $missing >>"$log" 2>&1 </dev/null; then
		tail -30 "$log" >&2
		rm -f "$log"
		die "apt-get has failed"
	fi
	rm -f "$log"
	leave_off rabbitmq-server "throw-away brokers"
	leave_off prometheus "its promtool"
}

# configure is made from configure.ac when it is not there or older.
make_configure() {
	local f
	[ ! -e "$root/config.status" ] || die "$root was configured in place: run 'make distclean' there first"
	for f in "$root"/configure.ac "$root"/m4/*.m4; do
		[ "$root/configure" -nt "$f" ] && [ -e "$root/Makefile.in" ] || {
			"$root/autogen.sh"
			return
		}
	done
}

# configured FOLDER ARGUMENT...: a build folder, configured with these arguments. It begins anew when they, or what
# configure is made from, have changed: make does not notice other compiler flags.
configured() {
	local folder=$1 wanted
	shift
	wanted=$(printf '%q ' "$@" && cat "$root"/configure.ac "$root"/m4/*.m4 | sha256sum)
	mkdir -p "$folder"
	if [ "$wanted" != "$(cat "$folder/arguments" 2>/dev/null)" ] || [ ! -e "$folder/config.status" ]; then
		find "$folder" -mindepth 1 -delete
		(cd "$folder" && "$root/configure" -q "$@") || return 1
		printf '%s' "$wanted" >"$folder/arguments"
	fi
}
