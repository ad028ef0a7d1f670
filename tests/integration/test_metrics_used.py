# SPDX-License-Identifier: MIT
"""What the alert rules and the dashboard of monitoring/ ask for is what the daemon tells: metrics, labels, and values of labels."""

import collections
import json
import re
import shutil
import subprocess
import urllib.request

import pytest
from harness import ROOT, configuration, free_ports, shell, wait_until

MONITORING = ROOT / "monitoring"

# Labels that Prometheus adds, and what of a histogram is not for people.
ADDED = {"job", "instance"}


def asked():
    """(metric, matchers) of each selector in the rules and the dashboard."""
    texts = [re.sub(r"#.*|description: >-\n(?: {12}.*\n)+", "", (MONITORING / "amqp-execd.rules.yml").read_text(encoding="utf-8"))]
    for panel in json.loads((MONITORING / "amqp-execd-dashboard.json").read_text(encoding="utf-8"))["panels"]:
        texts += [t["expr"] for t in panel.get("targets", [])]
    for text in texts:
        for name, matchers in re.findall(r"\b((?:amqp_execd|process)_\w+)\{([^}]*)\}", text):
            yield name, re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers)


def series(text):
    """{metric: [labels]}"""
    found = collections.defaultdict(list)
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line).groups()
            found[name].append(dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")))
    return found


@pytest.fixture(name="metrics")
def _metrics(daemon, name):
    """Of a daemon that has handled something and publishes, too."""
    port, = free_ports(1)
    queue = name()

    def get():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=40) as answer:
            return answer.read().decode()

    def make(broker, rabbit):
        rabbit.queues.append(queue)
        daemon(configuration(
            broker={"url": broker.url}, monitor={"listen": [f"127.0.0.1:{port}"]},
            queues=[{"name": queue, "declare": {}, "dead_letter": {"routing_key": f"{queue}.dead"}, "handler": shell("exit 0")}]))
        wait_until(lambda: 'state="consuming"} 1' in get() and 'connection="publishing"} 1' in get(), what="it consumes, and may publish")
        return get()
    return make


def test_rules_and_dashboard_ask_for_what_there_is(metrics, broker, rabbit):
    text = metrics(broker, rabbit)
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                              check=False, encoding="utf-8")
        assert done.returncode == 0, done.stdout
    known, wrong, selectors = series(text), [], list(asked())
    assert len(selectors) > 60
    for metric, matchers in selectors:
        # Those two only are there once the broker was asked.
        if metric in ("amqp_execd_queue_messages_ready", "amqp_execd_queue_consumers") and metric not in known:
            assert f"# TYPE {metric} gauge" in text
            continue
        if metric not in known:
            wrong.append(f"{metric} is not there")
            continue
        for label, operator, values in matchers:
            told = {labels[label] for labels in known[metric] if label in labels}
            if label in ADDED or (told and values.startswith(("$", ".*"))):
                continue
            if not told:
                wrong.append(f"{metric} has no label {label}")
            wrong += [f"{metric}: {label} is never {v}, for {operator}" for v in values.split("|") if v not in told]
    assert not wrong, "\n".join(sorted(set(wrong)))
