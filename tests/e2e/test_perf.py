"""What perf/run says of its figures: when a row has become worse, when nothing can be said, and
that its picture shows every one of them. Nothing is measured here."""
import argparse
import json
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree

from contextlib import redirect_stdout
from io import StringIO
from unittest import mock

PERF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../perf")
sys.path.insert(0, PERF)

# pylint: disable=wrong-import-position
import gate  # noqa: E402
import machine  # noqa: E402
import plot  # noqa: E402


compare, run = machine.load_script("compare"), machine.load_script("run")
HEAD = ["- machine: Some CPU, 2 cores, kernel 6.1, load 0.10", "- disk: /dev/x",
        "- weir: weir 1.0 (abc1234) io: uring; commit abc1234"]


class Gate(unittest.TestCase):
    def test_more_than_ten_percent_is_worse_whatever_the_replicas_say(self):
        self.assertTrue(gate.is_worse([100], [89], False))
        self.assertTrue(gate.is_worse([100], [111], True))
        self.assertTrue(gate.is_worse([100, 109, 91], [89, 80, 98], False))
        self.assertFalse(gate.is_worse([100], [91], False))
        self.assertFalse(gate.is_worse([100], [109], True))
        self.assertFalse(gate.is_worse([100], [200], False))
        self.assertFalse(gate.is_worse([100], [50], True))

    def test_more_than_five_percent_is_worse_when_it_is_no_chance(self):
        self.assertTrue(gate.is_worse([100, 101, 99], [93, 94, 92], False))
        self.assertTrue(gate.is_worse([100, 101, 99], [107, 108, 106], True))
        self.assertFalse(gate.is_worse([100, 101, 99], [96, 97, 95], False))
        self.assertFalse(gate.is_worse([100, 108, 92], [93, 101, 85], False))
        self.assertFalse(gate.is_worse([100, 101, 99], [107, 108, 106], False))
        self.assertFalse(gate.is_worse([100, 101], [93, 94], False))

    def test_the_interval_is_that_of_welch(self):
        # By hand: means 100 and 94, variances 4 and 9 of four each, sqrt(3.25) = 1.803, 5.23
        # degrees of freedom, of which 5 are taken: t = 2.015.
        before = [100 - 6 ** 0.5, 100, 100, 100 + 6 ** 0.5]
        after = [94 - 13.5 ** 0.5, 94, 94, 94 + 13.5 ** 0.5]
        low, high = gate.interval(before, after)
        self.assertAlmostEqual(low, -0.06 - 0.01 * 2.015 * 3.25 ** 0.5, places=6)
        self.assertAlmostEqual(high, -0.06 + 0.01 * 2.015 * 3.25 ** 0.5, places=6)
        self.assertEqual(gate.interval([5, 5, 5], [4, 4, 4]), (-0.2, -0.2))

    def test_replicas_far_apart_are_erratic(self):
        self.assertFalse(gate.is_erratic([100, 105, 95]))
        self.assertTrue(gate.is_erratic([100, 115, 85]))
        self.assertFalse(gate.is_erratic([100, 200]))  # too few to tell

    def test_neighbours_are_compared_by_their_ratios(self):
        low, high = gate.paired_interval([0.9, 0.91, 0.89, 0.9])
        self.assertTrue(-0.12 < low < -0.1 < high < -0.08, (low, high))
        low, high = gate.paired_interval([0.9, 1.1, 1.0])
        self.assertTrue(low < 0 < high)


class Check(unittest.TestCase):
    def check(self, rows, baseline, is_all=True, machine="Some CPU, 2 cores"):
        """(status, what was printed) against a baseline of these rows."""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "baseline.json")
            with open(path, "w", encoding="ascii") as file:
                json.dump({"machine": machine, "commit": "old", "rows": baseline}, file)
            kept, run.BASELINE, out = run.BASELINE, path, StringIO()
            try:
                with redirect_stdout(out):
                    status = run.check(rows, HEAD, is_all)
            finally:
                run.BASELINE = kept
        return status, out.getvalue()

    def test_passes_when_nothing_is_worse(self):
        rows = [run.Row("a", "rate", [100, 101, 99], "/s"),
                run.Row("b", "time", [10, 10, 10], "us", less=True)]
        self.assertEqual(self.check(rows, {"a": [100, 100, 100], "b": [10.5]})[0], 0)

    def test_fails_when_a_row_is_worse(self):
        rows = [run.Row("a", "rate", [100, 101, 99], "/s"),
                run.Row("b", "time", [10, 10, 10], "us", less=True)]
        status, text = self.check(rows, {"a": [120], "b": [10]})
        self.assertEqual(status, 1)
        self.assertIn("a: 100, the baseline 120, 17 % worse", text)
        self.assertEqual(self.check(rows, {"a": [100], "b": [8]})[0], 1)

    def test_judges_a_row_with_a_peer_by_its_ratio(self):
        row = run.Row("a", "rate", [50, 51, 49], "/s", aim=0.9, on_ratio=True, peer="other",
                      peer_values=[50, 51, 49], ratios=[1.0, 1.0, 1.0])
        self.assertEqual(self.check([row], {"a": [1.0]})[0], 0)
        self.assertEqual(self.check([row], {"a": [1.2]})[0], 1)

    def test_never_passes_what_was_not_measured_well_enough(self):
        noisy = run.Row("a", "rate", [100, 100, 100], "/s")
        noisy.is_noisy = True
        erratic = run.Row("a", "rate", [100, 150, 50], "/s")
        for rows, word in (([noisy], "noisy"), ([erratic], "erratic"), ([], "not measured: a")):
            with self.subTest(word):
                status, text = self.check(rows, {"a": [100]})
                self.assertEqual(status, run.EX_TRY_AGAIN)
                self.assertIn(word, text)
        part = [run.Row("a", "rate", [100, 100, 100], "/s")]
        self.assertEqual(self.check(part, {"a": [100], "b": [1]}, is_all=False)[0], 0)
        self.assertEqual(self.check(part, {"b": [1]}, is_all=False)[0], run.EX_TRY_AGAIN)
        self.assertEqual(self.check([], {}, machine="Another, 2 cores")[0], run.EX_TRY_AGAIN)

    def test_the_baseline_of_the_tree_can_be_read_and_a_saved_one_compares_with_itself(self):
        with open(run.BASELINE, encoding="ascii") as file:
            baseline = json.load(file)
        for identity, values in baseline["rows"].items():
            self.assertTrue(values and min(values) > 0, identity)
        rows = [run.Row("a", "rate", [100.123456, 101, 99], "/s"),
                run.Row("b", "rate", [100, 150, 50], "/s")]
        with tempfile.TemporaryDirectory() as directory:
            kept, run.BASELINE = run.BASELINE, os.path.join(directory, "b.json")
            try:
                with redirect_stdout(StringIO()) as out:
                    run.save(rows, HEAD)
                    status = run.check(rows[:1], HEAD, True)
                with open(run.BASELINE, encoding="ascii") as file:
                    text = file.read()
            finally:
                run.BASELINE = kept
        self.assertEqual(status, 0, out.getvalue())
        self.assertIn('"a": [100.12,101.0,99.0]', text)
        self.assertEqual(json.loads(text)["head"], HEAD)
        self.assertIn("not in the baseline: b (erratic", out.getvalue())


class Compare(unittest.TestCase):
    def test_has_a_case_for_each_combination(self):
        self.assertEqual(len({case.name for case in compare.CASES}), 12)

    def test_judges_by_the_ratios_of_neighbours(self):
        drift = [100, 200, 50, 400, 120, 90]  # of the machine, which both share
        for factors, word in (([0.9, 0.91, 0.89, 0.9, 0.92, 0.9], "**slower**"),
                              ([1.1, 1.11, 1.09, 1.1, 1.12, 1.1], "faster"),
                              ([0.97, 0.96, 0.98, 0.97, 0.96, 0.97], "same"),
                              ([0.93, 1.05, 0.9, 1.03, 0.94, 0.95], "same"),
                              ([0.7, 1.3, 0.9, 1.1, 0.6, 1.2], "erratic")):
            with self.subTest(word):
                after = [rate * factor for rate, factor in zip(drift, factors)]
                found, change, (low, high) = compare.judge(drift, after)
                self.assertEqual(found, word)
                self.assertTrue(low < change < high)

    def test_passes_only_when_every_case_can_be_judged(self):
        self.assertEqual(compare.status_of(["same", "faster"]), 0)
        self.assertEqual(compare.status_of(["same", "erratic"]), compare.EX_TRY_AGAIN)
        self.assertEqual(compare.status_of(["erratic", "**slower**", "same"]), 1)


class Cores(unittest.TestCase):
    TABLE = """            CPU0       CPU1
  35:         70          1   PCI-MSIX-0000:00:02.0   0-edge      virtio1-config
  36:          %d         %d   PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0
 NMI:        900          0   Non-maskable interrupts
"""

    def test_the_one_that_the_disk_interrupts_comes_first(self):
        for counts, cores in (((5, 44568207), ["1", "0"]), ((9, 0), ["0", "1"])):
            table = mock.mock_open(read_data=self.TABLE % counts)
            with self.subTest(cores), mock.patch("builtins.open", table):
                self.assertEqual(machine.cores_by_disk(), cores)


class Latency(unittest.TestCase):
    def measure(self, results):
        """The rows when `weir load` says these one after the other, and what it was told."""
        asked, results = [], iter(results)

        def run_load(_options, _server, *arguments):
            asked.append(arguments)
            return next(results)

        with mock.patch.object(run, "Weir"), mock.patch.object(run, "run_load", run_load):
            return run.measure_latency(argparse.Namespace(weir="", work="")), asked

    def test_asks_for_seven_tenths_of_the_rate_and_shows_milliseconds(self):
        fast = {"throughput_per_s": 50000}
        results = [{"valid": True, "latency_us": {"corrected": {"p99": 8000 + i, "p999": 30000}}}
                   for i in range(run.REPLICAS)]
        rows, asked = self.measure([one for result in results for one in (fast, result)])
        self.assertIn("35000", asked[1])
        self.assertEqual([row.values for row in rows], [[8, 8.001, 8.002], [30, 30, 30]])
        self.assertEqual([row.state() for row in rows], ["met", "**missed**"])

    def test_gives_no_row_for_a_run_that_is_void(self):
        void = {"valid": False, "why": ["it was the limit"], "latency_us": {}}
        with self.assertRaisesRegex(run.Missing, "it was the limit"):
            self.measure([{"throughput_per_s": 50000}, void] * (run.VOID_COUNT_MAX + 1))

    def test_repeats_a_run_that_is_void(self):
        fast, void = {"throughput_per_s": 50000}, {"valid": False, "why": ["it was late"]}
        result = {"valid": True, "latency_us": {"corrected": {"p99": 8000, "p999": 9000}}}
        rows, _ = self.measure([fast, void] + [fast, result] * run.REPLICAS)
        self.assertEqual(rows[0].values, [8] * run.REPLICAS)


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
