#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A worker for amqp-execd in Python: worker.py FOLDER stores the body of each message in FOLDER, in a file that is named by its SHA-256
checksum, and rejects empty ones. The protocol is described in amqp-execd(8), section WORKERS."""

import hashlib
import json
import os
import sys


def handle(folder, metadata, body):
    """Does the work, and returns the answer."""
    if not body:
        return "reject the body is empty"
    try:
        new = os.path.join(folder, f".{os.getpid()}")
        with open(new, "wb") as f:
            f.write(body)
        os.rename(new, os.path.join(folder, hashlib.sha256(body).hexdigest()))
    except OSError as e:
        print(f"message {metadata['properties']['message_id']!r} of {metadata['queue']}: {e}", file=sys.stderr)
        return "retry 60"
    return "ack"


def main(folder):
    # What anybody prints goes to stderr, and so to the log: only answers go to stdout.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in iter(sys.stdin.buffer.readline, b""):
        metadata = json.loads(line)
        body = sys.stdin.buffer.read(metadata["body_size"])
        # An exception ends the worker, which fails the message: there is another one for the next.
        answer = handle(folder, metadata, body)
        sys.stderr.flush()
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
