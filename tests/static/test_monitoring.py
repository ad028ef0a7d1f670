# SPDX-License-Identifier: MIT
"""What monitoring/ brings: the alert rules are tested, the dashboard is one, and both ask for metrics that the daemon has."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
RULES = MONITORING / "amqp-execd.rules.yml"
TESTS = sorted((MONITORING / "tests").glob("*.yml"))
DASHBOARD = json.loads((MONITORING / "amqp-execd-dashboard.json").read_text(encoding="utf-8"))
PANELS = DASHBOARD["panels"]
DRAWN = [p for p in PANELS if p["type"] != "row"]

# What Grafana puts in for its variables, by what they stand for in these queries.
VARIABLES = {"instance": ".*", "broker": ".*", "queue": ".*", "__rate_interval": "1m"}

# Grafana 9's own kinds of panels, and the units that are used of hers; those that begin with "suffix:" are free.
TYPES = {"stat", "timeseries", "state-timeline", "heatmap", "table"}
UNITS = {"none", "short", "s", "percentunit", "bytes"}


@pytest.fixture(name="promtool")
def _promtool():
    if not shutil.which("promtool"):
        pytest.skip("there is no promtool here (Debian package prometheus)")

    def run(*arguments):
        done = subprocess.run(["promtool", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False,
                              encoding="utf-8")
        assert done.returncode == 0, done.stdout
        return done.stdout
    return run


def rules():
    """{alert: its lines}"""
    text = RULES.read_text(encoding="utf-8")
    return {part.split("\n", 1)[0]: part for part in re.split(r"^ +- alert: ", text, flags=re.MULTILINE)[1:]}


def expressions():
    """(panel's title, expression) of each query of the dashboard, its variables replaced."""
    for panel in DRAWN:
        for target in panel["targets"]:
            yield panel["title"], re.sub(r"\$(\w+)", lambda m: VARIABLES[m[1]], target["expr"])


def metrics_of(text):
    return set(re.findall(r"\b(?:amqp_execd|process)_\w+", text))


def metrics_of_the_daemon():
    """By the strings of the source that writes them; of a histogram, what it is made of."""
    names = set()
    for source in (ROOT / "src" / "service").glob("metrics*.c"):
        for name, kind in re.findall(r'\{"((?:amqp_execd|process)_\w+)",\s*"(counter|gauge|histogram)"', source.read_text(encoding="utf-8")):
            names |= {name + suffix for suffix in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names


# ------------------------------------------------------------------- rules

def test_rules_are_well_formed(promtool):
    assert "SUCCESS" in promtool("check", "rules", RULES)


@pytest.mark.parametrize("path", TESTS, ids=[p.stem for p in TESTS])
def test_alerts_fire_when_they_are_to(promtool, path):
    promtool("test", "rules", path)


def test_each_alert_is_seen_to_fire_and_not_to():
    """Of the tests above: the name of each stands in what is expected; and no test is without a moment when nothing fires but one of
    those that say so."""
    tests = "\n".join(p.read_text(encoding="utf-8") for p in TESTS)
    expected = set(re.findall(r'alertname="(\w+)"', tests))
    assert expected == set(rules())
    assert tests.count("exp_samples: [ ]") > len(expected)
    # Whatever fires is compared, not only the alert in question.
    assert set(re.findall(r"expr: (.*)", tests)) == {'count by (alertname, broker, queue) (ALERTS{alertstate="firing"})'}


def test_each_alert_says_what_to_do():
    wrong = []
    for name, text in rules().items():
        if not name.startswith("AmqpExecd"):
            wrong.append(f"{name}: the name")
        if not re.search(r"^ +for: \d+[mh]$", text, re.MULTILINE):
            wrong.append(f"{name}: no time (for)")
        if not re.search(r"^ +severity: (critical|warning|info)$", text, re.MULTILINE):
            wrong.append(f"{name}: no severity")
        if not re.search(r"^ +summary: .*\{\{", text, re.MULTILINE) and name != "AmqpExecdAbsent":
            wrong.append(f"{name}: no summary that says which")
        description = text.partition("description: >-")[2]
        if not re.search(r"`(amqp-execctl|amqp-execd|journalctl|systemctl|rabbitmqctl) ", description) and name != "AmqpExecdAbsent":
            wrong.append(f"{name}: no command to look with")
    assert not wrong, "\n".join(wrong)


def test_commands_in_descriptions_exist():
    """What is said of amqp-execctl is in its manual."""
    manual = (ROOT / "man" / "amqp-execctl.1").read_text(encoding="utf-8")
    commands = set(re.findall(r"`amqp-execctl (\w+)", re.sub(r"\n +", " ", RULES.read_text(encoding="utf-8"))))
    assert "status" in commands
    assert {c for c in commands if not re.search(rf"^\.(It )?Cm (\w+ \| )?{c}\b", manual, re.MULTILINE)} == set()


def test_readme_lists_each_alert():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [name for name in rules() if f"`{name}`" not in readme and f"`{name.removeprefix('AmqpExecd')}`" not in readme]


def test_example_configuration(promtool, tmp_path):
    text = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
    assert "/usr/share/amqp-execd/monitoring/amqp-execd.rules.yml" in text
    (tmp_path / "prometheus.yml").write_text(text.replace("/usr/share/amqp-execd/monitoring", str(MONITORING)), encoding="utf-8")
    promtool("check", "config", tmp_path / "prometheus.yml")


# --------------------------------------------------------------- dashboard

def test_dashboard_is_for_grafana_9():
    assert DASHBOARD["id"] is None and DASHBOARD["uid"] == "amqp-execd" and DASHBOARD["title"] == "amqp-execd"
    assert DASHBOARD["schemaVersion"] == 37
    names = [v["name"] for v in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "instance", "broker", "queue"]
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert all(p["datasource"] == source for p in DRAWN)
    assert all(t["datasource"] == source for p in DRAWN for t in p["targets"])
    assert all(v["datasource"] == source for v in DASHBOARD["templating"]["list"][1:])


def test_panels_have_ids_and_room():
    ids = [p["id"] for p in PANELS]
    assert len(set(ids)) == len(ids) and all(isinstance(i, int) and i > 0 for i in ids)
    taken = {}
    for panel in PANELS:
        grid = panel["gridPos"]
        assert set(grid) == {"x", "y", "w", "h"} and grid["x"] >= 0 and grid["w"] > 0 and grid["x"] + grid["w"] <= 24, panel["title"]
        for cell in ((x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])):
            assert cell not in taken, f"{panel['title']} and {taken[cell]} overlap"
            taken[cell] = panel["title"]


def test_panels_are_described():
    wrong = []
    for panel in DRAWN:
        title = panel["title"]
        if panel["type"] not in TYPES or not title:
            wrong.append(f"{title}: {panel['type']}")
        if len(panel.get("description", "")) < 20:
            wrong.append(f"{title}: no description")
        unit = panel["fieldConfig"]["defaults"].get("unit", "")
        if unit not in UNITS and not unit.startswith("suffix:"):
            wrong.append(f"{title}: the unit {unit!r}")
        references = [t["refId"] for t in panel["targets"]]
        if not references or len(set(references)) != len(references):
            wrong.append(f"{title}: refId")
        wrong += [f"{title}: no legend" for t in panel["targets"] if not t["legendFormat"]]
    assert not wrong, "\n".join(wrong)


def test_queries_parse(promtool, tmp_path):
    """promtool knows no way to parse an expression alone, but those of rules."""
    found = [*expressions(), *((a["name"], re.sub(r"\$(\w+)", lambda m: VARIABLES[m[1]], a["expr"]))
                               for a in DASHBOARD["annotations"]["list"] if "expr" in a)]
    assert len(found) > 40
    for _, expression in found:
        assert "$" not in expression
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": [
        {"record": f"query{i}", "expr": e, "labels": {"panel": title}} for i, (title, e) in enumerate(found)]}]}), encoding="utf-8")
    assert f"SUCCESS: {len(found)} rules found" in promtool("check", "rules", tmp_path / "queries.yml")


# ----------------------------------------------------------------- metrics

def test_metrics_exist():
    known = metrics_of_the_daemon()
    assert len(known) > 40
    recorded = set(re.findall(r"- record: (\S+)", RULES.read_text(encoding="utf-8")))
    expressions_of_rules = re.sub(r"#.*|description: >-\n(?: {12}.*\n)+|job(?:_name)?: .*", "", RULES.read_text(encoding="utf-8"))
    for name in recorded:
        expressions_of_rules = expressions_of_rules.replace(name, "")
    assert metrics_of(expressions_of_rules) - known == set()
    assert {m for _, e in expressions() for m in metrics_of(e)} - known == set()


def test_dashboard_shows_what_there_is():
    """Nothing that the daemon tells is left out but for what only rules or people ask."""
    shown = {m for _, e in expressions() for m in metrics_of(e)}
    left = {m for m in metrics_of_the_daemon() - shown if not m.endswith(("_sum", "_count"))}
    assert left <= {"amqp_execd_last_reload_successful", "amqp_execd_config_loaded_timestamp_seconds", "process_virtual_memory_bytes"}
