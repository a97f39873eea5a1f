#!/usr/bin/python3
"""/metrics as promtool would judge it, in every state; that the counters count; and that the alert
rules and the dashboard ask for nothing that is not there."""

import json
import os
import re
import shutil
import subprocess
import sys

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import exposition  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402
from daemon import METRICS, Daemon  # noqa: E402

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RULES = os.path.join(SOURCE, "conf", "alerts.yaml")
DASHBOARD = os.path.join(SOURCE, "conf", "dashboard.json")
RULE = "-4 rule del pref 202 lookup 51870 protocol kernel"
DURATION = re.compile(r"([0-9]+(ms|[smhdwy]))+")
# PromQL: what its lexer knows, as far as it is used here.
TOKEN = re.compile(r"""\s*(?:(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<number>[0-9.]+)|(?P<text>"[^"]*")
                       |(?P<range>\[[^\]]*\])|(?P<variable>\$\w+)
                       |(?P<operator>=~|!~|!=|==|<=|>=|[-+*/%<>=(){},]))""", re.X)
WORDS = {"sum", "count", "max", "by", "on", "and", "or", "rate", "increase", "histogram_quantile",
         "time", "vector", "up"}


def scrape(tap, daemon, when):
    """The families, when the text is as it should be."""
    code, text = daemon.get("/metrics", METRICS)
    try:
        families = exposition.parse(text)
    except ValueError as problem:
        tap.ok(False, f"{when}: the text format")
        tap.note(problem)
        return {}
    complaints = exposition.lint(families)
    tap.ok(code == 200 and not complaints, f"{when}: {len(families)} families, well-formed")
    tap.note("\n".join(complaints))
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=False,
                              capture_output=True)
        tap.equal((done.returncode, done.stderr), (0, ""), f"{when}: promtool check metrics")
    return families


def strictness(tap):
    """The judge itself: each of these is wrong in one thing."""
    head = "# HELP a_total b\n# TYPE a_total counter\n"
    for text, what in (
            (head + "a_total 1", "a last line that does not end"),
            (head + "a_total 1\na_total 2\n", "a sample twice"),
            (head + 'a_total{x="1",x="2"} 1\n', "a label twice"),
            (head + 'a_total{x="\n"} 1\n', "a line feed in a label"),
            (head + "a_total one\n", "no number"),
            (head + "b_total 1\n", "another family's sample"),
            (head, "no sample"), ("a_total 1\n", "no TYPE"), (head + "a_total 1\n" + head, "twice"),
            ("# TYPE a_total counter\na_total 1\n", "no HELP"),
            ('# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\n'
             "h_count 1\n", "buckets that decrease"),
            ('# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_sum 1\nh_count 2\n', "no +Inf")):
        try:
            exposition.parse(text)
            tap.ok(False, f"the parser refuses {what}")
        except ValueError:
            tap.ok(True, f"the parser refuses {what}")
    for name, kind in (("nodecryptor_a", "counter"), ("nodecryptor_a_total", "gauge"),
                       ("nodecryptor_a_ms", "gauge"), ("other_a", "gauge")):
        families = exposition.parse(f"# HELP {name} x\n# TYPE {name} {kind}\n{name} 1\n")
        tap.ok(exposition.lint(families), f"the lint dislikes a {kind} {name}")


def value(families, name, **labels):
    return families[f"nodecryptor_{name}"].samples[tuple(sorted(labels.items()))]


def counts(tap, cluster, node, families):
    """What is steered on a worker, by role and family."""
    tap.equal([value(families, "nodes", role=role) for role in ("control_plane", "worker")], [1, 2],
              "nodes by role")
    for name in ("node_addresses", "pod_prefixes"):
        tap.equal([value(families, name, role=role, family=family)
                   for role in ("control_plane", "worker") for family in ("ipv4", "ipv6")],
                  [1, 1, 1, 1], f"{name} by role and family")
    tap.ok(value(families, "api_requests_total", code="2xx") >= 1, "requests to the API")
    samples = families["nodecryptor_reconcile_duration_seconds"].samples
    tap.equal(samples[("_count", ())],
              sum(families["nodecryptor_reconciles_total"].samples.values()), "every reconcile")


def repairs(tap, node):
    daemon = node.daemon
    cause = 'nodecryptor_repairs_total{{cause="{}"}}'.format
    before = daemon.metrics()
    node.ns.ip(RULE)
    daemon.wait(lambda: daemon.metrics()[cause("foreign_change")] > before[cause("foreign_change")],
                10, "a repair of a rule that was deleted")
    tap.ok(True, "a rule that was deleted: cause foreign_change")
    wireguard.down(node.ns)
    daemon.wait(lambda: daemon.metrics()['nodecryptor_device_up{device="cilium_wg0"}'] == 0, 10,
                "the device is down")
    wireguard.up(node.ns)
    daemon.wait(lambda: daemon.metrics()[cause("device")] > before[cause("device")], 10,
                "the device is up")
    tap.ok(True, "a device that came back: cause device")
    after = daemon.metrics()
    tap.equal([after[cause(name)] - before[cause(name)] for name in ("host", "retry", "rescan")],
              [0, 0, 0], "and no other cause")


def watches(tap, cluster, node):
    """The server goes, and comes back."""
    daemon = node.daemon
    name = 'nodecryptor_api_watch_restarts_total{reason="broken"}'
    before = daemon.metrics()[name]
    cluster.stop_api()
    daemon.wait(lambda: daemon.metrics()[name] == before + 1, 20, "the watch is broken")
    tap.ok(True, "a server that ends: a watch broken")
    none = daemon.metrics()['nodecryptor_api_requests_total{code="none"}']
    daemon.wait(lambda: daemon.metrics()['nodecryptor_api_requests_total{code="none"}'] > none, 20,
                "a request without an answer")
    tap.ok(True, "and requests without an answer")
    cluster.start_api()
    daemon.wait_in_sync()


def tokens(expression):
    """[(kind, text)]; ValueError when PromQL's lexer would not take it."""
    found, place, open_ = [], 0, []
    expression = expression.strip()
    while place < len(expression):
        token = TOKEN.match(expression, place)
        if not token:
            raise ValueError(f"not PromQL at {expression[place:]!r}")
        text = token.group(token.lastgroup)
        if text in "({":
            open_.append(text)
        if text in ")}" and (not open_ or open_.pop() + text not in ("()", "{}")):
            raise ValueError("brackets that do not match")
        if token.lastgroup == "range" and not DURATION.fullmatch(text[1:-1]) and \
                text != "[$__rate_interval]":
            raise ValueError(f"not a duration: {text}")
        found.append((token.lastgroup, text))
        place = token.end()
    if open_:
        raise ValueError("brackets that do not match")
    return found


def selectors(expression):
    """{metric: [(label, operator, value)]}."""
    found, words = {}, tokens(expression)
    for place, (kind, text) in enumerate(words):
        if kind != "name" or not text.startswith("nodecryptor_"):
            continue
        inside = []
        if words[place + 1:place + 2] == [("operator", "{")]:
            end = words.index(("operator", "}"), place)
            flat = [word for _, word in words[place + 2:end]]
            inside = [tuple(flat[at:at + 3]) for at in range(0, len(flat), 4)]
        found.setdefault(text, []).extend(inside)
    return found


def asks_for(tap, what, expression, families):
    """Each metric, label and value of the expression is one of the program's."""
    problems = []
    try:
        for kind, text in tokens(expression):
            labels = {name for family in families.values() for key in family.samples
                      for name, _ in (key[1] if family.kind == "histogram" else key)}
            if kind == "name" and not text.startswith("nodecryptor_") and \
                    text not in WORDS | labels | {"instance", "job"}:
                problems.append(f"the word {text}")
        for metric, wanted in selectors(expression).items():
            family = families.get(metric) or families.get(metric.removesuffix("_bucket"))
            if not family:
                problems.append(metric)
                continue
            pairs = {pair for key in family.samples
                     for pair in (key[1] if family.kind == "histogram" else key)}
            problems += [f"{metric}{{{label}}}" for label, operator, text in wanted
                         if label not in ("instance", "job") and operator in ("=", "!=") and
                         (label, text.strip('"')) not in pairs]
    except ValueError as problem:
        problems.append(str(problem))
    tap.ok(not problems, what)
    for problem in problems:
        tap.note(f"not there: {problem}, in {expression}")


def all_families(tap, *scraped):
    """Those of every state, and those that only the kernel's WireGuard has, from the manual."""
    families = {}
    for some in scraped:
        families.update(some)
    with open(os.path.join(SOURCE, "man", "nodecryptor.8"), encoding="utf-8") as file:
        page = file.read()
    names = set(re.findall(r"^\.B (nodecryptor_\w+) ", page, re.M))
    tap.ok(set(families) <= names, "the manual has every metric")
    for name in names - set(families):
        tap.ok(name.startswith("nodecryptor_wireguard_"), f"{name} is not seen here")
        families[name] = exposition.Family(name, "")
    states = ("carried", "missing", "mismatched", "stale")
    families["nodecryptor_wireguard_nodes"].samples = {(("state", state),): 0 for state in states}
    return families


def rules(tap, families):
    with open(RULES, encoding="utf-8") as file:
        groups = yaml.safe_load(file)["groups"]
    names = set()
    for rule in groups[0]["rules"]:
        name = rule["alert"]
        known = set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        tap.ok(known and name not in names and DURATION.fullmatch(rule.get("for", "0m")) and
               rule["labels"]["severity"] in ("critical", "warning", "info") and
               set(rule["annotations"]) == {"summary", "description"}, f"alert {name}")
        asks_for(tap, f"alert {name}: its expression", rule["expr"], families)
        names.add(name)
    tap.ok(len(groups) == 1 and len(names) > 10, f"{len(names)} alerts")
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "rules", RULES], check=False)
        tap.equal(done.returncode, 0, "promtool check rules")


def dashboard(tap, families):
    with open(DASHBOARD, encoding="utf-8") as file:
        board = json.load(file)
    ids = [panel["id"] for panel in board["panels"]]
    tap.ok(len(set(ids)) == len(ids) > 10, f"{len(ids)} panels")
    places = [panel["gridPos"] for panel in board["panels"]]
    tap.ok(all(place["x"] + place["w"] <= 24 for place in places) and not any(
        a is not b and a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and
        a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"] for a in places for b in places),
           "side by side, and none over another")
    for panel in board["panels"]:
        for target in panel["targets"]:
            asks_for(tap, f"panel {panel['title']}", target["expr"].replace('"$instance"', '"x"'),
                     families)


def run(tap):
    strictness(tap)
    cluster = suite.start(control_planes=1, workers=2, daemons=False)
    node = cluster.workers[0]
    Daemon(node).configure(mode="observe", protect=["10.244.0.0/16"])
    node.daemon.start().wait_ready()
    observing = scrape(tap, node.daemon, "observing")
    node.daemon.configure(protect=["10.244.0.0/16"])
    node.daemon.reload()
    node.daemon.wait_in_sync()
    enforcing = scrape(tap, node.daemon, "enforcing")
    tap.ok("nodecryptor_observed_destinations" not in enforcing, "enforcing, nothing is foretold")
    counts(tap, cluster, node, enforcing)
    repairs(tap, node)
    watches(tap, cluster, node)
    families = all_families(tap, observing, enforcing, scrape(tap, node.daemon, "later"))
    rules(tap, families)
    dashboard(tap, families)
    node.daemon.stop()


suite.main(run)
