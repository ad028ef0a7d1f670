# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What scripts/test does with the Debian package. To be sourced by bash after setup.sh; FOLDER is one that scripts/package has filled.

: "${root:?}"

# shellcheck disable=SC2034  # for those who source this
PACKAGES_PACKAGE="autopkgtest blhc debhelper debootstrap dpkg-dev lintian piuparts systemd-container"

# What keeps a machine from being booted here, in words; nothing if one can be.
why_no_machine() {
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$root/tests/system/machine.py" why
}

package_of() {
	find "$1" -maxdepth 1 -name 'amqp-execd_*.deb'
}

# check_lintian FOLDER: nothing is to be complained of, but for what the overrides say why.
check_lintian() {
	lintian -i -I --pedantic --fail-on error,warning,info,pedantic --allow-root "$1"/*.changes
}

# check_blhc FOLDER: every file was compiled and linked with Debian's hardening flags.
check_blhc() {
	blhc --bindnow "$1/build.log"
}

# check_reproducible FOLDER SCRATCH: a second build, elsewhere, later and in another environment, gives the same bytes.
check_reproducible() {
	local first second
	(umask 077 && env DEB_BUILD_OPTIONS=nocheck TZ=Pacific/Kiritimati LC_ALL=C USER=somebody "$root/scripts/package" "$2/second") ||
		return 1
	first=$(cd "$1" && sha256sum ./*.deb) second=$(cd "$2/second" && sha256sum ./*.deb)
	printf '%s\n' "$first" "$second"
	[ -n "$first" ] && [ "$first" = "$second" ]
}

# check_piuparts FOLDER ROOTS: installation, removal and purge leave nothing behind. In a copy of the root file system that the booted
# machine has, too, with packages from where this machine gets its own.
check_piuparts() {
	local tree suite url
	tree=$(/usr/bin/python3 "$root/tests/system/machine.py" root "$2" "$(package_of "$1")") || return 1
	read -r suite url < <(/usr/bin/python3 "$root/tests/system/machine.py" mirror)
	piuparts --existing-chroot="$tree" --distribution="$suite" --mirror="$url main" --no-eatmydata "$(package_of "$1")"
}

# check_autopkgtest FOLDER: the test that the package brings (debian/tests), with the package installed in a copy of this machine's
# file system: an overlay in memory, in a mount namespace of its own, which ends with it.
check_autopkgtest() {
	# shellcheck disable=SC2016  # they are for the inner shell
	unshare --mount --propagation private bash -euc '
		top=$(mktemp -d)
		trap "umount --lazy $top; rmdir $top" EXIT
		mount -t tmpfs tmpfs "$top"
		mkdir "$top"/upper "$top"/work "$top"/root
		mount -t overlay overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" "$top/root"
		mount -t proc proc "$top/root/proc"
		mount --rbind /dev "$top/root/dev"
		mount -t tmpfs tmpfs "$top/root/run"
		mount -t tmpfs tmpfs "$top/root/tmp"
		chmod 1777 "$top/root/tmp"
		printf "#!/bin/sh\nexit 101\n" >"$top/root/usr/sbin/policy-rc.d"
		chmod 755 "$top/root/usr/sbin/policy-rc.d"
		# Our TMPDIR is not there inside.
		TMPDIR=/tmp autopkgtest --no-built-binaries "$@" -- chroot "$top/root"
	' bash "$1"/*.dsc "$(package_of "$1")"
}

# pytest_system FOLDER ROOTS [ARGUMENT...]: the package on a machine that is booted with systemd.
pytest_system() {
	local folder=$1 roots=$2
	shift 2
	AMQP_EXECD_PACKAGE=$(package_of "$folder") AMQP_EXECD_ROOTS=$roots /usr/bin/python3 -m pytest -c "$root/tests/pytest.ini" \
		--rootdir "$root/tests" --verbose --durations 5 "$root/tests/system" "$@"
}
