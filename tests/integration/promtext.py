"""A validator of Prometheus' text format, version 0.0.4, as strict as the format's description is:

https://prometheus.io/docs/instrumenting/exposition_formats/ (families together, HELP and TYPE once and before the
samples, names, label escaping, values, histograms) and its naming rules (counters end in _total).

parse(text) returns the families by name, or raises PromError with the number of the line.
"""

import math
import re

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


class PromError(Exception):
    """What is wrong, and in which line."""


class Family:
    """One metric: its type, its help, and its samples as {(suffix, labels): value}; labels are sorted pairs."""

    def __init__(self, name):
        self.name = name
        self.type = None
        self.help = None
        self.samples = {}

    def value(self, suffix="", **labels):
        """The value of the series with exactly these labels."""
        return self.samples[(suffix, tuple(sorted(labels.items())))]


class Parser:
    def __init__(self, text):
        self.text = text
        self.families = {}
        self.current = None
        self.number = 0

    def fail(self, what):
        raise PromError("line %d: %s" % (self.number, what))

    def parse(self):
        if not self.text.endswith("\n"):
            self.number = self.text.count("\n") + 1
            self.fail("the last line does not end with a newline")
        for line in self.text[:-1].split("\n"):
            self.number += 1
            if line.startswith("# HELP ") or line.startswith("# TYPE "):
                self.comment(line)
            elif line.startswith("#") or line.strip() == "":
                continue
            else:
                self.sample(line)
        for family in self.families.values():
            self.check(family)
        return self.families

    def enter(self, name):
        """The family that a line belongs to; those of one family are in one place."""
        if self.current is None or self.current.name != name:
            if name in self.families:
                self.fail("lines of %s are not together" % name)
            self.current = self.families[name] = Family(name)
        return self.current

    def comment(self, line):
        word, name, rest = (line[2:].split(" ", 2) + ["", ""])[:3]
        if not METRIC_NAME.fullmatch(name):
            self.fail("'%s' is no name of a metric" % name)
        family = self.enter(name)
        if family.samples:
            self.fail("%s of %s comes after its samples" % (word, name))
        if word == "HELP":
            if family.help is not None:
                self.fail("a second HELP of %s" % name)
            if re.search(r"\\(?![\\n])", rest):
                self.fail("a backslash in HELP that escapes nothing")
            family.help = rest
        else:
            if family.type is not None:
                self.fail("a second TYPE of %s" % name)
            if rest not in TYPES:
                self.fail("'%s' is no type" % rest)
            family.type = rest

    def labels(self, text, at):
        """Labels from behind the '{' on; returns the pairs and the place behind the '}'."""
        pairs = {}
        while True:
            if text[at:at + 1] == "}":
                return tuple(sorted(pairs.items())), at + 1
            match = re.compile(r'([^=,{}" ]*)="((?:[^"\\\n]|\\.)*)"(,|(?=\}))').match(text, at)
            if match is None:
                self.fail("labels cannot be read from column %d on" % (at + 1))
            name, value = match.group(1), match.group(2)
            if not LABEL_NAME.fullmatch(name) or name.startswith("__"):
                self.fail("'%s' is no name of a label" % name)
            if name in pairs:
                self.fail("label %s is there twice" % name)
            if re.search(r'\\(?![\\"n])', value.replace("\\\\", "")):
                self.fail("an unknown escape in the value of %s" % name)
            pairs[name] = re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), value)
            at = match.end()

    def number_of(self, text):
        if not re.fullmatch(r"[+-]?(Inf|\d+(\.\d*)?([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?)|NaN", text):
            self.fail("'%s' is no value" % text)
        return float(text)

    def family_of(self, name):
        """The name of the family that a sample belongs to, and the suffix that is left of its own."""
        family = self.current
        if family is not None and family.type in SUFFIXES and name.startswith(family.name):
            suffix = name[len(family.name):]
            if suffix in SUFFIXES[family.type]:
                return family.name, suffix
        return name, ""

    def sample(self, line):
        match = METRIC_NAME.match(line)
        if match is None:
            self.fail("a sample must begin with the name of a metric")
        name, at, labels = match.group(), match.end(), ()
        if line[at:at + 1] == "{":
            labels, at = self.labels(line, at + 1)
        rest = line[at:].split()
        if line[at:at + 1] not in (" ", "\t") or len(rest) not in (1, 2):
            self.fail("a value (and a time stamp at most) must follow the name and the labels")
        if len(rest) == 2 and not re.fullmatch(r"-?\d+", rest[1]):
            self.fail("'%s' is no time stamp" % rest[1])
        base, suffix = self.family_of(name)
        family = self.enter(base)
        if (suffix, labels) in family.samples:
            self.fail("%s with these labels is there twice" % name)
        family.samples[(suffix, labels)] = self.number_of(rest[0])

    def check(self, family):
        if family.type is None or not family.help:
            self.fail("%s has no TYPE or no HELP" % family.name)
        if (family.type == "counter") != family.name.endswith("_total"):
            self.fail("%s: counters, and nothing else, end in _total" % family.name)
        if family.type == "counter":
            for value in family.samples.values():
                if not value >= 0:
                    self.fail("%s: a counter is never below 0" % family.name)
        if family.type == "histogram":
            self.check_histogram(family)

    def check_histogram(self, family):
        buckets = {}
        for (suffix, labels), value in family.samples.items():
            if suffix == "_bucket":
                bound = dict(labels).get("le")
                if bound is None:
                    self.fail("%s: a bucket without le" % family.name)
                others = tuple(pair for pair in labels if pair[0] != "le")
                buckets.setdefault(others, []).append((self.number_of(bound), value))
            elif suffix == "":
                self.fail("%s: a histogram has no sample of its own name" % family.name)
        series = {labels for (suffix, labels) in family.samples if suffix in ("_sum", "_count")}
        if series != set(buckets):
            self.fail("%s: _bucket, _sum and _count have not the same labels" % family.name)
        for others, list_of in buckets.items():
            if list_of != sorted(list_of) or list_of[-1][0] != math.inf:
                self.fail("%s: buckets are not in order up to +Inf" % family.name)
            counts = [count for _, count in list_of]
            if counts != sorted(counts):
                self.fail("%s: buckets are not cumulative" % family.name)
            if ("_sum", others) not in family.samples or ("_count", others) not in family.samples:
                self.fail("%s: _sum or _count is missing" % family.name)
            if family.samples[("_count", others)] != counts[-1]:
                self.fail("%s: _count is not the bucket of +Inf" % family.name)


def parse(text):
    """The families of a page by their names; PromError if it breaks a rule."""
    return Parser(text).parse()
