# SPDX-License-Identifier: MIT
"""The executable exports no function: one of ours would be called by a library that has its own of the same name."""

import os
import subprocess
from pathlib import Path

import pytest

EXECUTABLE = Path(os.environ.get("AMQP_EXECD") or Path(__file__).resolve().parents[2] / "build" / "gcc" / "amqp-execd")


def test_executable_exports_nothing():
    if not EXECUTABLE.exists():
        pytest.skip(f"{EXECUTABLE} is not built")
    names = subprocess.run(["nm", "--dynamic", "--defined-only", EXECUTABLE], check=True, capture_output=True, text=True)
    functions = [line for line in names.stdout.splitlines() if line.split()[-2] in "TW"]
    assert not functions
