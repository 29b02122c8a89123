#!/usr/bin/env python3
"""Runs the end-to-end cases against a weir binary and prints TAP.

usage: run.py --weir BINARY [--fast-weir BINARY] [--work DIR] [--long] [--seed N]
              [--timeout SECONDS] [PATTERN ...]

A PATTERN selects cases whose `file.Class.case` contains it. The work directory should be
on a real disk: what is durable is what these cases are about.
"""
import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from disks import close_leftovers  # noqa: E402
from harness import Settings, kill_leftovers  # noqa: E402
from http_client import Connection  # noqa: E402
from openapi import Judge  # noqa: E402


class TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.count = self.failed = self.skipped_count = 0
        self.started = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def _line(self, word, test, rest=""):
        self.count += 1
        name = " ".join(test.id().replace("#", " ").split())
        print("%s %d - %s%s" % (word, self.count, name, rest), flush=True)

    def _comment(self, text):
        for line in text.rstrip().split("\n"):
            print("# " + line, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line("ok", test, " (%.2fs)" % (time.monotonic() - self.started))

    def _fail(self, test, error):
        self.failed += 1
        self._line("not ok", test)
        self._comment("".join(traceback.format_exception(*error)))

    def addError(self, test, error):
        super().addError(test, error)
        self._fail(test, error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._fail(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._fail(subtest, error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skipped_count += 1
        self._line("ok", test, " # SKIP " + reason)


def selected(suite, patterns):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from selected(test, patterns)
        elif not patterns or any(pattern in test.id() for pattern in patterns):
            yield test


def on_terminated(_number, _frame):
    """A run that takes too long is ended like this; unittest lets this one through."""
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weir", default=os.environ.get("WEIR_BINARY"))
    parser.add_argument("--fast-weir", default=os.environ.get("FAST_WEIR_BINARY"))
    parser.add_argument("--work", default=None)
    parser.add_argument("--long", action="store_true",
                        default=os.environ.get("CHECK_LONG") == "1")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("CHECK_SEED", "0")))
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    if not options.weir:
        parser.error("--weir BINARY (or WEIR_BINARY) is needed")
    Settings.weir = os.path.abspath(options.weir)
    fast = options.fast_weir and os.path.abspath(options.fast_weir)
    Settings.fast_weir = fast if fast and os.access(fast, os.X_OK) else Settings.weir
    Settings.long = options.long
    Settings.seed = options.seed or random.SystemRandom().randrange(1, 1 << 31)
    base = options.work or os.environ.get("E2E_WORK") or os.path.dirname(Settings.weir)
    os.makedirs(base, exist_ok=True)
    Settings.work = tempfile.mkdtemp(prefix="e2e-", dir=base)

    Connection.judge = Judge()
    signal.signal(signal.SIGTERM, on_terminated)
    loader = unittest.TestLoader()
    tests = list(selected(loader.discover(HERE, pattern="test_*.py"), options.patterns))
    print("TAP version 13")
    print("# seed %d (repeat with --seed %d)" % (Settings.seed, Settings.seed), flush=True)
    result = TapResult()
    try:
        unittest.TestSuite(tests).run(result)
    finally:
        kill_leftovers()
        close_leftovers()
        shutil.rmtree(Settings.work, ignore_errors=True)
    print("1..%d" % result.count)
    print("# %d passed, %d failed, %d skipped" % (
        result.count - result.failed - result.skipped_count, result.failed,
        result.skipped_count))
    return 1 if result.failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
