#!/usr/bin/env python3
"""Plot: the figures of perf/run as one picture, beside their aims and peers.

usage: perf/plot.py FIGURES.json PICTURE.svg      (perf/run --json FILE, perf/run --svg FILE)

Two scales of factors, both logarithmic: how far a row is from its aim, which is the line at
1, and how often as fast as a peer it is, measured in turns. To the right is always better. A
row that is no result is drawn hollow. The picture has its own background, so that it reads
the same on a dark page.
"""
import json
import math
import statistics
import sys
from xml.sax.saxutils import escape

WIDTH, MARGIN = 1000, 20
LABEL_END, SCALE_BEGIN, SCALE_END, TEXT_BEGIN = 372, 390, 660, 680
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
INK, FAINT, RULE, PAPER = "#1f2328", "#59636e", "#d1d9e0", "#ffffff"
MET, MISSED, PLAIN = "#0969da", "#bc4c00", "#59636e"


def figure_text(value):
    """Three digits, or all of a larger number."""
    if abs(value) >= 1000:
        return "{:,.0f}".format(value)
    return "%.3g" % value


def measured(values, unit):
    return ("%s %s" % (figure_text(statistics.median(values)), unit)).strip()


def state_of(row):
    return row["state"].strip("*").partition(" ")[0]


def is_result(row):
    return state_of(row) not in ("noisy", "erratic")


def colour_of(row):
    if not is_result(row):
        return PLAIN
    return {"met": MET, "missed": MISSED}.get(state_of(row), PLAIN)


class Item:
    """One row on a scale: where its point is, from where to where it varied, what it says.

    names and texts are the lines to the left and to the right."""

    def __init__(self, row, factors, mark, names, texts):
        self.row, self.mark, self.names, self.texts = row, mark, names, texts
        self.middle = statistics.median(factors)
        self.low, self.high = min(factors), max(factors)

    def height(self):
        return 8 + 16 * len(self.names)


def beside_aim(row):
    def factor(value):
        if row["less"]:
            return row["aim"] / value if value else math.inf
        return value / row["aim"]

    sign = "\u2264" if row["less"] else "\u2265"
    text = "%s, aim %s %s" % (measured(row["values"], row["unit"]), sign, figure_text(row["aim"]))
    return Item(row, [factor(value) for value in row["values"]], None, [row["what"]], [text])


def beside_peer(row):
    ratios = row["ratios"]
    text = "%.2f\u00d7 (%.2f to %.2f)" % (statistics.median(ratios), min(ratios), max(ratios))
    if row["aim"] is not None:
        text += ", aim \u2265 %s" % figure_text(row["aim"])
    both = "%s; %s" % (measured(row["values"], row["unit"]),
                       measured(row["peer_values"], row["unit"]))
    return Item(row, ratios, row["aim"], [row["what"], "beside " + row["peer"]], [text, both])


class Scale:
    """Factors to pixels."""

    def __init__(self, items):
        values = [value for item in items for value in (item.low, item.high, item.mark or 1)]
        low, high = min(values + [0.9]), max(values + [1.1])
        self.ticks = [tick for tick in TICKS if low / 2.5 < tick < high * 2.5]
        self.low = max([tick for tick in self.ticks if tick <= low] or [self.ticks[0]])
        self.high = min([tick for tick in self.ticks if tick >= high] or [self.ticks[-1]])
        self.ticks = [tick for tick in self.ticks if self.low <= tick <= self.high]

    def x(self, factor):
        share = math.log(min(max(factor, self.low), self.high) / self.low)
        return SCALE_BEGIN + (SCALE_END - SCALE_BEGIN) * share / math.log(self.high / self.low)


class Picture:
    def __init__(self):
        self.parts, self.y = [], 0

    def text(self, x, y, text, anchor="start", colour=INK, size=12, weight="normal"):
        self.parts.append('<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s" font-size="%d" '
                          'font-weight="%s">%s</text>' % (x, y, anchor, colour, size, weight,
                                                          escape(text)))

    def line(self, x1, y1, x2, y2, colour, width=1.0, dash=""):
        self.parts.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" '
                          'stroke-width="%.1f"%s/>' % (
                              x1, y1, x2, y2, colour, width,
                              ' stroke-dasharray="%s"' % dash if dash else ""))

    def dot(self, x, y, colour, is_full):
        self.parts.append('<circle cx="%.1f" cy="%.1f" r="5" fill="%s" stroke="%s" '
                          'stroke-width="2"/>' % (x, y, colour if is_full else PAPER, colour))

    def svg(self, title):
        return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" '
                'font-family="system-ui, sans-serif">\n<title>%s</title>\n'
                '<rect width="%d" height="%d" rx="8" fill="%s"/>\n%s\n</svg>\n' % (
                    WIDTH, self.y, escape(title), WIDTH, self.y, PAPER, "\n".join(self.parts)))


def draw_head(picture, lines):
    heads = dict(line[2:].partition(": ")[::2] for line in lines if line.startswith("- "))
    commit = heads.get("weir", "").rpartition("commit ")[2]
    picture.text(MARGIN, 34, "weir: measured beside its aims and its peers", size=18, weight="bold")
    picture.text(MARGIN, 54, "%s; commit %s" % (heads.get("machine", "unknown machine"),
                                                commit or "unknown"), colour=FAINT)
    x = MARGIN + 6
    for colour, is_full, word in ((MET, True, "aim met"), (MISSED, True, "aim missed"),
                                  (PLAIN, True, "no aim"), (PLAIN, False, "not a result")):
        picture.dot(x, 73, colour, is_full)
        picture.text(x + 12, 77, word, colour=FAINT)
        x += 34 + 7 * len(word)
    picture.text(WIDTH - MARGIN, 77, "logarithmic; further right is better", "end", FAINT)
    picture.y = 92


def draw_lines(picture, x, y, lines, anchor):
    """The first in ink, those below it fainter; y is the middle of all."""
    for index, line in enumerate(lines):
        picture.text(x, y + 4 + 15 * (index - (len(lines) - 1) / 2), line.replace("`", ""), anchor,
                     INK if index == 0 else FAINT)


def draw_item(picture, scale, item):
    height = item.height()
    y, colour = picture.y + height / 2, colour_of(item.row)
    draw_lines(picture, LABEL_END, y, item.names, "end")
    picture.line(scale.x(1), y, scale.x(item.middle), y, colour, 3)
    picture.line(scale.x(item.low), y, scale.x(item.high), y, colour, 1)
    for end in (item.low, item.high):
        picture.line(scale.x(end), y - 4, scale.x(end), y + 4, colour, 1)
    if item.mark is not None:
        picture.line(scale.x(item.mark), y - 9, scale.x(item.mark), y + 9, INK, 2)
    picture.dot(scale.x(item.middle), y, colour, is_result(item.row))
    draw_lines(picture, TEXT_BEGIN, y, item.texts, "start")
    picture.text(WIDTH - MARGIN, y + 4, item.row["state"].strip("*"), "end", colour, weight="bold")
    picture.y += height


def draw_scale(picture, title, items):
    if not items:
        return
    scale = Scale(items)
    picture.text(MARGIN, picture.y + 20, title, size=14, weight="bold")
    picture.y += 44
    top, bottom = picture.y, picture.y + sum(item.height() for item in items)
    for tick in scale.ticks:
        picture.line(scale.x(tick), top, scale.x(tick), bottom, INK if tick == 1 else RULE,
                     2 if tick == 1 else 1)
        picture.text(scale.x(tick), top - 5, "%g\u00d7" % tick, "middle", FAINT, 11)
    for item in items:
        draw_item(picture, scale, item)
    picture.y += 14


def picture_of(lines, rows):
    """The text of the picture; rows as perf/run --json writes them."""
    picture = Picture()
    draw_head(picture, lines)
    draw_scale(picture, "Beside its aim, the line at 1\u00d7",
               [beside_aim(row) for row in rows if row["aim"] is not None and not row["on_ratio"]])
    draw_scale(picture,
               "Beside a peer in turns, which is the line at 1\u00d7; a short line: the aim",
               [beside_peer(row) for row in rows if row["ratios"]])
    return picture.svg("Performance of weir beside its aims and its peers")


def draw(lines, rows, path):
    with open(path, "w", encoding="utf-8") as file:
        file.write(picture_of(lines, rows))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n", maxsplit=2)[1])
    with open(sys.argv[1], encoding="ascii") as file:
        figures = json.load(file)
    draw(figures["head"], list(figures["rows"].values()), sys.argv[2])


if __name__ == "__main__":
    main()
