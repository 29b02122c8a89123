"""A parser of the Prometheus text format that rejects what a scraper would stumble over."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
SAMPLE = re.compile(r"^(%s)(\{(?:%s(?:,%s)*,?)?\})? (\S+)( -?\d+)?$" % (NAME, LABEL, LABEL))
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")


def base_name(name, types):
    """The family that a sample belongs to: strips the suffixes of a histogram."""
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix) and types.get(name[:-len(suffix)]) in ("histogram", "summary"):
            return name[:-len(suffix)]
    return name


def check(text):
    """Gives a list of complaints; an empty one means that the text is valid."""
    complaints = []
    types, helps, seen_samples, closed = {}, set(), set(), []
    buckets = {}
    current = None
    if not text.endswith("\n"):
        complaints.append("the last line has no newline")
    for number, line in enumerate(text.split("\n")[:-1], 1):
        where = "line %d: " % number
        match = re.match(r"^# (HELP|TYPE) (%s)(?: (.*))?$" % NAME, line)
        if match:
            kind, name, rest = match.groups()
            if name != current:
                if name in closed:
                    complaints.append(where + "%s appears in two places" % name)
                if current:
                    closed.append(current)
                current = name
            if kind == "HELP":
                if name in helps:
                    complaints.append(where + "second HELP of " + name)
                helps.add(name)
            elif name in types or rest not in TYPES:
                complaints.append(where + "bad or second TYPE of %s: %s" % (name, rest))
            else:
                types[name] = rest
            continue
        if line.startswith("#") or not line:
            continue
        match = SAMPLE.match(line)
        if not match:
            complaints.append(where + "not a sample: %r" % line)
            continue
        name, labels, value = match.group(1), match.group(2) or "", match.group(3)
        try:
            number_value = float(value.replace("Inf", "inf"))
        except ValueError:
            complaints.append(where + "not a number: %r" % value)
            continue
        if (name, labels) in seen_samples:
            complaints.append(where + "twice: %s%s" % (name, labels))
        seen_samples.add((name, labels))
        family = base_name(name, types)
        if family not in types or family not in helps:
            complaints.append(where + "%s has no TYPE or no HELP" % family)
        if family != current:
            complaints.append(where + "%s stands outside of its family" % name)
        if types.get(family) == "counter":
            if not name.endswith("_total"):
                complaints.append(where + "counter %s does not end in _total" % name)
            if number_value < 0:
                complaints.append(where + "a negative counter")
        if name.endswith("_bucket") and types.get(family) == "histogram":
            bound = re.search(r'le="([^"]*)"', labels)
            if not bound:
                complaints.append(where + "a bucket without le")
                continue
            series = (family, re.sub(r',?le="[^"]*",?', "", labels))
            buckets.setdefault(series, []).append((bound.group(1), number_value))
    for (family, labels), steps in buckets.items():
        counts = [count for _, count in steps]
        if counts != sorted(counts):
            complaints.append("%s%s: the buckets are not cumulative" % (family, labels))
        if steps[-1][0] != "+Inf":
            complaints.append("%s%s: the last bucket is not +Inf" % (family, labels))
        bounds = [float(bound.replace("Inf", "inf")) for bound, _ in steps]
        if bounds != sorted(set(bounds)):
            complaints.append("%s%s: the bounds do not rise" % (family, labels))
    return complaints
