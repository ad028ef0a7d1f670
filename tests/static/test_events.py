# SPDX-License-Identifier: MIT
"""The events of the log: the enum, the table of ids, the message catalog and the manual agree, and the sources use them."""

import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
CATALOG = ROOT / "systemd" / "amqp-execd.catalog"

# What journalctl may be asked to put into a text; all of it is described in the manual.
FIELDS = {"AMQP_QUEUE", "AMQP_BROKER", "AMQP_HOST", "AMQP_PORT", "AMQP_REASON", "AMQP_COPY", "CONFIG_FILE", "HANDLER_STREAM",
          "HANDLER_PID"}


def read(*parts):
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def enum():
    """The constants without LOG_EVENT_, in order, each with whether a comment explains it."""
    body = re.search(r"enum log_event \{\n(.*?)\n\};", read("src", "base", "log_event.h"), re.DOTALL)[1]
    return re.findall(r"^\tLOG_EVENT_(\w+),( /\* .+ \*/)?$", body, re.MULTILINE)


def table():
    """(constant, name, id) of each row."""
    return re.findall(r'^\t\[LOG_EVENT_(\w+)\] = \{"([^"]*)", "([^"]*)"\},$', read("src", "base", "log_event.c"), re.MULTILINE)


def catalog():
    """(name in the comment, id, headers, text) of each entry."""
    entries = []
    for part in re.split(r"\n(?=# [a-z-]+\n-- )", read("systemd", "amqp-execd.catalog"))[1:]:
        head, _, text = part.partition("\n\n")
        comment, marker, *headers = head.splitlines()
        entries.append((comment[2:], marker[3:], [tuple(h.split(": ", 1)) for h in headers], text.strip("\n")))
    return entries


def test_each_event_has_a_comment_and_a_row():
    assert len(enum()) > 40
    assert not [name for name, comment in enum() if not comment]
    assert [name for name, _ in enum()] == [constant for constant, _, _ in table()]
    assert [constant.lower().replace("_", "-") for constant, _, _ in table()] == [name for _, name, _ in table()]


def test_ids_are_random_and_unique():
    ids = [identifier for _, _, identifier in table()]
    assert len(set(ids)) == len(ids)
    for identifier in ids:
        assert re.fullmatch(r"[0-9a-f]{32}", identifier)
        assert uuid.UUID(identifier).version == 4 and uuid.UUID(identifier).variant == uuid.RFC_4122


def test_catalog_explains_each_event():
    assert [(name, identifier) for name, identifier, _, _ in catalog()] == [(name, identifier) for _, name, identifier in table()]
    assert read("systemd", "amqp-execd.catalog").count("\n-- ") == len(table())
    wrong = []
    for name, _, headers, text in catalog():
        keys = [key for key, *_ in headers]
        if keys[:4] != ["Subject", "Defined-By", "Support", "Documentation"] or set(keys[4:]) - {"Documentation"}:
            wrong.append(f"{name}: headers {keys}")
        if dict(headers)["Defined-By"] != "amqp-execd":
            wrong.append(f"{name}: Defined-By")
        wrong += [f"{name}: {value} is not a manual of ours" for key, value in headers if key in ("Support", "Documentation")
                  and value not in ("man:amqp-execd(8)", "man:amqp-execd.conf(5)", "man:amqp-execctl(1)")]
        if len(text.split("\n\n")) < 2:
            wrong.append(f"{name}: says what has happened, or what to do, but not both")
        # What journalctl does not know it prints as it is.
        wrong += [f"{name}: @{field}@" for field in re.findall("@([^@]*)@", dict(headers)["Subject"] + text) if field not in FIELDS]
        wrong += [f"{name}: {line}" for line in text.splitlines() if len(line) > 80]
    assert not wrong, "\n".join(wrong)


def test_manual_lists_each_event():
    manual = read("man", "amqp-execd.8")
    section = manual[manual.index("\n.Ss Journal events\n"):manual.index("\n.Sh FILES\n")]
    listed = re.findall(r"^\.It Cm ([a-z-]+) Pq ([0-9a-f]{32})\n(?!\.It|\.El)", section, re.MULTILINE)
    assert listed == [(name, identifier) for _, name, identifier in table()]
    example = re.search(r"MESSAGE_ID=([0-9a-f]+)", section)[1]
    assert dict(listed)["message-rejected"] == example
    assert not {field for field in FIELDS if f" {field}=" not in manual}


def test_each_event_is_used():
    sources = "\n".join(p.read_text(encoding="utf-8") for p in SRC.rglob("*.c") if p.name != "log_event.c")
    used = set(re.findall(r"\bLOG_EVENT_(\w+)", sources))
    assert used - {name for name, _ in enum()} == set()
    assert {name for name, _ in enum()} - used == set()


def test_what_matters_is_an_event():
    """Whatever is logged at notice or above can be found by its id."""
    wrong = [f"{p.relative_to(SRC)}:{n}" for p in SRC.rglob("*.c") for n, line in enumerate(p.read_text(encoding="utf-8").splitlines(), 1)
             if re.search(r"\blog_(error|warning|notice)\(|\blog_write\((?!LOG_(INFO|DEBUG),)", line) and p.name != "log.c"]
    assert not wrong, "logged without an event: " + ", ".join(wrong)


@pytest.fixture(name="catalog_root")
def _catalog_root(tmp_path):
    if not shutil.which("journalctl"):
        pytest.skip("there is no journalctl here")
    folder = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    folder.mkdir(parents=True)
    shutil.copy(CATALOG, folder)
    return tmp_path


def journalctl(root, *arguments):
    done = subprocess.run(["journalctl", f"--root={root}", *arguments], check=True, capture_output=True, text=True, timeout=60,
                          env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"})
    assert done.stderr == ""
    return done.stdout


def test_journalctl_takes_the_catalog(catalog_root):
    journalctl(catalog_root, "--update-catalog")
    listed = dict(line.split(" ", 1) for line in journalctl(catalog_root, "--list-catalog").splitlines())
    assert listed == {identifier: f"amqp-execd: {dict(headers)['Subject']}" for _, identifier, headers, _ in catalog()}
    dumped = journalctl(catalog_root, "--dump-catalog")
    for _, identifier, headers, text in catalog():
        entry = "\n".join([f"-- {identifier}", *(f"{key}: {value}" for key, value in headers), "", text, ""])
        assert entry in dumped
