#!/bin/sh
# SPDX-License-Identifier: MIT
# A worker for amqp-execd in POSIX sh: worker.sh FOLDER stores the body of each message in FOLDER, in a file that is named by its
# SHA-256 checksum, and rejects empty ones. The protocol is described in amqp-execd(8), section WORKERS.
#
# Nothing may read ahead, or the next message is missing its beginning. The shell's read takes a byte at a time, some hundred system
# calls per message; head -c of GNU coreutils takes exactly what it is told, at the price of a process. A head that reads ahead
# (busybox) has to be replaced by dd bs=1 count="$size" 2>/dev/null, which is two system calls per byte.
folder=$1

# Does the work: the body is its stdin. Its stdout is not ours, which is for answers. 0: done; 1: rejected; else: try again later.
handle() {
	cat >"$folder/.$$" || return 75
	[ -s "$folder/.$$" ] || return 1
	sum=$(sha256sum <"$folder/.$$") || return 75
	mv "$folder/.$$" "$folder/${sum%% *}" || return 75
}

while IFS= read -r metadata; do
	# The line ends with ,"body_size":N} whatever else it says.
	size=${metadata##*:}
	size=${size%\}}
	# The last cat takes what the work has left of the body.
	head -c "$size" | {
		handle >&2
		status=$?
		cat >/dev/null
		exit $status
	}
	case $? in
	0) echo ack ;;
	1) echo "reject the body is empty" ;;
	*) echo "retry 60" ;;
	esac
done
