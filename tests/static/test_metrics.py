# SPDX-License-Identifier: MIT
"""Metrics: the manual describes those that the code has, with their types, labels and the labels' values."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def read(*parts):
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def code():
    """name -> (type, label of its own or None)"""
    body = re.search(r"families\[\] = \{\n(.*?)\n\};", read("src", "service", "metrics.c"), re.DOTALL)[1]
    rows = re.findall(r'\{"(\w+)",\s*"(\w+)",(.*?)\}[,\n]', body + "\n", re.DOTALL)
    return {name: (kind, (re.findall(r'BY\("(\w+)"', rest) or [None])[0]) for name, kind, rest in rows}


def manual():
    """name -> the lines of its description"""
    section = re.search(r"^\.Sh METRICS\n(.*?)^\.Sh ", read("man", "amqp-execd.8"), re.DOTALL | re.MULTILINE)[1]
    return {name: text for name, text in re.findall(r"^\.It Ic (\w+)\n(.*?)(?=^\.It |^\.El)", section, re.DOTALL | re.MULTILINE)}


def names_of(path, table):
    """The strings of a table of names."""
    return re.findall(r'\] = "(\w+)"', re.search(table + r"\[\] = \{(.*?)\};", read("src", *path), re.DOTALL)[1])


def test_the_manual_has_what_the_code_has():
    assert len(code()) > 40
    assert set(code()) == set(manual())


def test_types_are_told():
    assert {name: kind for name, (kind, _) in code().items()} == {
        name: text.split(".\n", 1)[0].lower() for name, text in manual().items()}


def test_labels_are_told():
    for name, (_, label) in code().items():
        if label:
            assert f".Li {label}" in manual()[name], name


def test_values_of_labels_are_told():
    for name, values in (
            ("amqp_execd_settlements_total", names_of(("service", "metrics_queue.c"), "settlement_names")),
            ("amqp_execd_handler_exits_total", names_of(("delivery", "statistics.c"), "end_names")),
            ("amqp_execd_pauses_total", names_of(("delivery", "statistics.c"), "cause_names")),
            ("amqp_execd_queue_state", names_of(("delivery", "queue.c"), "queue_state_names")),
            ("amqp_execd_broker_failures_total", names_of(("broker", "broker.c"), "broker_failure_names"))):
        told = set(re.findall(r"^\.Ql (\w+)", manual()[name], re.MULTILINE))
        assert len(values) >= 3
        # A worker's "ack" is explained, too.
        assert set(values) <= told and told - set(values) <= {"ack"}, name


def test_names_are_as_prometheus_wants_them():
    for name, (kind, _) in code().items():
        assert re.fullmatch(r"(amqp_execd|process)_[a-z_]+", name)
        assert (kind == "counter") == name.endswith("_total"), name
