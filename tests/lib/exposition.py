"""The Prometheus text format 0.0.4, read strictly, and the rules of `promtool check metrics`.

    families = exposition.parse(text)            # ValueError with the line that is wrong
    families["nodecryptor_nodes"].samples        # {(("role", "worker"),): 3.0}
    exposition.lint(families)                    # [complaint]
"""

import re

TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? ([^ ]+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
UNITS = ("milliseconds", "microseconds", "nanoseconds", "minutes", "hours", "days", "kilobytes",
         "megabytes", "bits", "ms", "us", "usec", "msec", "sec", "kb", "mb", "percent")


class Family:
    def __init__(self, name, text):
        self.name, self.help, self.kind = name, text, None
        self.samples = {}               # of a histogram: keyed by (suffix, labels)

    @property
    def suffixes(self):
        return ("_bucket", "_sum", "_count") if self.kind == "histogram" else ("",)


def _labels(text):
    pairs, place = [], 0
    while place < len(text or ""):
        found = LABEL.match(text, place)
        if not found:
            raise ValueError("labels that cannot be read")
        pairs.append((found[1], found[2]))
        place = found.end()
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a label given twice")
    return tuple(sorted(pairs))


def _comment(line, families, current):
    word, name, text = (line.split(" ", 3) + ["", ""])[1:4]
    if word == "HELP":
        if name in families:
            raise ValueError("a second HELP, or samples apart")
        families[name] = Family(name, text)
        return families[name]
    if word != "TYPE" or not current or current.name != name or current.kind or current.samples:
        raise ValueError("a TYPE that does not follow its HELP")
    if text not in TYPES:
        raise ValueError("an unknown type")
    current.kind = text
    return current


def _sample(line, current):
    found = SAMPLE.fullmatch(line)
    if not found or not current or not current.kind:
        raise ValueError("not a sample, or one before its HELP and TYPE")
    name, labels, value = found[1], _labels(found[2]), float(found[3])
    suffix = name[len(current.name):]
    if not name.startswith(current.name) or suffix not in current.suffixes:
        raise ValueError(f"a sample of another family than {current.name}")
    key = (suffix, labels) if current.kind == "histogram" else labels
    if key in current.samples:
        raise ValueError("a sample given twice")
    if current.kind == "counter" and value < 0:
        raise ValueError("a counter below zero")
    current.samples[key] = value


def _histogram(family):
    buckets = [(float(dict(labels)["le"]), value)
               for (suffix, labels), value in family.samples.items() if suffix == "_bucket"]
    bounds, counts = [bound for bound, _ in buckets], [count for _, count in buckets]
    if bounds != sorted(bounds) or counts != sorted(counts) or bounds[-1:] != [float("inf")]:
        raise ValueError(f"{family.name}: buckets that do not add up, or without +Inf")
    if family.samples.get(("_count", ())) != counts[-1] or ("_sum", ()) not in family.samples:
        raise ValueError(f"{family.name}: no sum, or another count than in +Inf")


def parse(text):
    families, current = {}, None
    if not text.endswith("\n"):
        raise ValueError("the last line does not end")
    for number, line in enumerate(text[:-1].split("\n"), 1):
        try:
            if line.startswith("#"):
                current = _comment(line, families, current)
            else:
                _sample(line, current)
        except ValueError as problem:
            raise ValueError(f"line {number}: {problem}: {line}") from None
    for family in families.values():
        if not family.samples:
            raise ValueError(f"{family.name}: no sample")
        if family.kind == "histogram":
            _histogram(family)
    return families


def lint(families):
    """What promtool would say."""
    complaints = []
    for name, family in families.items():
        words = name.split("_")
        wrong = {
            "no help": not family.help.strip(),
            "a counter ends in _total, and nothing else does":
                (family.kind == "counter") != name.endswith("_total"),
            "its type is in its name": bool(set(words) & set(TYPES)),
            "not a base unit": bool(set(words) & set(UNITS)),
            "a suffix of histograms": name.endswith(("_count", "_sum", "_bucket", "_info_total")),
            "capitals or colons": name.lower() != name or ":" in name,
            "another program's name": words[0] != "nodecryptor",
        }
        complaints += [f"{name}: {what}" for what, holds in wrong.items() if holds]
    return complaints
