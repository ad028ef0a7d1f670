# SPDX-License-Identifier: MIT
"""The rooms of src/: who may include whom, which libraries belong where, and that nothing is left out of the build."""

import re
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"
ROOT = SRC.parent

# From each room the rooms that it may include, besides itself. Files directly in src/ (main, manager) are the room "".
MAY_INCLUDE = {
    "": {"service", "delivery", "handler", "broker", "config", "message", "base"},
    "service": {"delivery", "handler", "broker", "config", "message", "base"},
    "delivery": {"handler", "broker", "config", "message", "base"},
    "handler": {"config", "message", "base"},
    "broker": {"config", "message", "base"},
    "config": {"message", "base"},
    "message": {"base"},
    "base": set(),
    "ctl": {"delivery", "handler", "broker", "config", "message", "base"},
}

# Which files may include a library's header, as patterns of paths below src/.
LIBRARIES = {
    r"(rabbitmq-c/)?(amqp|amqp_\w+|tcp_socket|ssl_socket|framing)\.h": [r"broker/"],
    r"openssl/\w+\.h": [r"broker/tls\w*\.[ch]$"],
    r"libconfig\.h": [r"config/"],
    r"jansson\.h": [r"message/", r"service/", r"ctl/"],
    r"zlib\.h": [r"handler/payload\.c$"],
    r"microhttpd\.h": [r"service/"],
    r"curl/curl\.h": [r"ctl/"],
    r"systemd/sd-daemon\.h": [r"manager\w*\.[ch]$", r"main\.c$", r"service/", r"base/log\.[ch]$"],
    r"systemd/sd-journal\.h": [r"base/log\w*\.[ch]$"],
}

FILES = sorted(p for p in SRC.rglob("*.[ch]"))
HEADERS = [p for p in FILES if p.suffix == ".h"]


def name(path):
    return str(path.relative_to(SRC))


def room(path):
    parts = path.relative_to(SRC).parts
    return parts[0] if len(parts) > 1 else ""


def includes(path):
    """(line number, quoted?, what is included)"""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if match:
            found.append((number, match[1] == '"', match[2]))
    return found


def test_there_is_something_to_look_at():
    assert len(FILES) > 20
    assert {room(p) for p in FILES} <= set(MAY_INCLUDE), "a room that this test does not know"


def test_include_directions():
    wrong = []
    for path in FILES:
        for number, quoted, what in includes(path):
            if not quoted or what == "autoconf.h":
                continue
            where = f"{name(path)}:{number}"
            target = SRC / what
            if not target.is_file():
                wrong.append(f"{where}: {what} is not the path of a header below src/")
            elif room(target) != room(path) and room(target) not in MAY_INCLUDE[room(path)]:
                wrong.append(f"{where}: {room(path) or 'main'} may not include {what}")
    assert not wrong, "\n".join(wrong)


def test_library_headers():
    wrong = []
    for path in FILES:
        for number, _, what in includes(path):
            for header, allowed in LIBRARIES.items():
                if re.fullmatch(header, what) and not any(re.match(a, name(path)) for a in allowed):
                    wrong.append(f"{name(path)}:{number}: {what} does not belong here")
    assert not wrong, "\n".join(wrong)


def test_rabbitmq_c_is_included_in_one_place():
    """The path of amqp.h differs between the versions of the library: one header of broker/ knows about it."""
    users = {name(p) for p in FILES for _, _, what in includes(p) if re.fullmatch(r"(rabbitmq-c/)?amqp\.h", what)}
    assert len(users) == 1, users
    assert users.pop().endswith(".h")


def test_event_loop_only_where_sources_live():
    """Files that include sd-event.h use it: they hold an event source, or pass the loop on to one that does."""
    wrong = []
    for path in FILES:
        if any(what == "systemd/sd-event.h" for _, _, what in includes(path)):
            if "sd_event" not in path.read_text(encoding="utf-8"):
                wrong.append(f"{name(path)} includes sd-event.h for nothing")
            if room(path) in ("base", "config", "message"):
                wrong.append(f"{name(path)}: no event source lives in this room")
    assert not wrong, "\n".join(wrong)


def test_everything_is_built():
    """Each file of src/ is named in the local.mk of its room, and each unit test in one of them."""
    makefiles = "\n".join(p.read_text(encoding="utf-8") for p in [ROOT / "Makefile.am", *SRC.rglob("local.mk")])
    words = set(makefiles.split())
    missing = []
    for path in FILES:
        local = path.parent / "local.mk"
        if f"src/{name(path)}" not in words and f"%D%/{path.name}" not in local.read_text(encoding="utf-8").split():
            missing.append(f"src/{name(path)}")
    for path in (ROOT / "tests" / "unit").glob("test_*.c"):
        if f"tests/unit/{path.stem}" not in words:
            missing.append(f"tests/unit/{path.name}")
    assert not missing, "in no local.mk: " + ", ".join(sorted(missing))


def test_licence_lines():
    wrong = [name(p) for p in FILES if not p.read_text(encoding="utf-8").startswith("/* SPDX-License-Identifier: MIT */\n")]
    assert not wrong


def test_headers_introduce_themselves():
    """A comment right after the licence line says what the module is; then the guard."""
    wrong = []
    for path in HEADERS:
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) < 3 or not lines[1].startswith("/*"):
            wrong.append(f"{name(path)} has no comment at its top")
        if "#pragma once" not in lines:
            wrong.append(f"{name(path)} has no guard")
    assert not wrong, "\n".join(wrong)


def test_no_leftovers():
    wrong = [f"{name(p)}:{n}" for p in FILES for n, line in enumerate(p.read_text(encoding="utf-8").splitlines(), 1)
             if re.search(r"\b(TODO|FIXME|XXX)\b", line)]
    assert not wrong
