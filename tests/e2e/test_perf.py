"""That the picture of perf/run shows every one of its figures. Nothing is measured here."""
import importlib.machinery
import importlib.util
import os
import sys
import unittest
import xml.etree.ElementTree

PERF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../perf")
sys.path.insert(0, PERF)

# pylint: disable=wrong-import-position
import plot  # noqa: E402


def load_script(name):
    loader = importlib.machinery.SourceFileLoader("perf_" + name, os.path.join(PERF, name))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


run = load_script("run")
HEAD = ["- machine: Some CPU, 2 cores, kernel 6.1, load 0.10", "- disk: /dev/x",
        "- weir: weir 1.0 (abc1234) io: uring; commit abc1234"]


class Plot(unittest.TestCase):
    ROWS = [run.Row("a", "rate <of> `a`", [100, 101, 99], "/s", aim=50),
            run.Row("b", "time", [10, 11, 12], "us", aim=5, less=True),
            run.Row("c", "zero", [0, 0, 0], "us", aim=5, less=True),
            run.Row("d", "beside", [50, 60, 40], "/s", aim=0.9, on_ratio=True, peer="the peer",
                    peer_values=[10, 10, 10], ratios=[5, 6, 4]),
            run.Row("e", "no aim and no peer", [1], "us")]

    def texts(self, rows):
        tree = xml.etree.ElementTree.fromstring(
            plot.picture_of(HEAD, [row.record() for row in rows]))
        return ["".join(node.itertext()) for node in tree.iter("{http://www.w3.org/2000/svg}text")]

    def test_shows_the_machine_the_commit_and_every_row_with_an_aim_or_a_peer(self):
        texts = self.texts(self.ROWS)
        self.assertIn("Some CPU, 2 cores, kernel 6.1, load 0.10; commit abc1234", texts)
        for text in ("rate <of> a", "100 /s, aim \u2265 50", "time", "11 us, aim \u2264 5", "zero",
                     "beside", "beside the peer", "5.00\u00d7 (4.00 to 6.00), aim \u2265 0.9",
                     "50 /s; 10 /s", "met", "missed", "erratic (20 %)"):
            self.assertIn(text, texts)
        self.assertNotIn("no aim and no peer", texts)

    def test_draws_nothing_out_of_its_scale_however_far_off_the_figures_are(self):
        rows = [run.Row("x", "far", [factor], "/s", aim=1) for factor in (1e-9, 1, 1e9)]
        tree = xml.etree.ElementTree.fromstring(
            plot.picture_of(HEAD, [row.record() for row in rows]))
        dots = [float(node.get("cx")) for node in tree.iter("{http://www.w3.org/2000/svg}circle")]
        for x in dots[-3:]:
            self.assertTrue(plot.SCALE_BEGIN <= x <= plot.SCALE_END, dots)

    def test_is_a_picture_even_of_nothing(self):
        self.assertIn("aim met", self.texts([]))
