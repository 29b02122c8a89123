#!/usr/bin/env python3
"""Counts the results of one meson test run, TAP subtests one by one.

usage: count_results.py TESTLOG_JSON
Prints what failed and what was skipped, with reasons, then `counts PASSED FAILED SKIPPED`.
A program that ends badly without a failed subtest (a crash, a sanitizer, a timeout) counts
as one failure.
"""
import json
import re
import subprocess
import sys

TAP_LINE = re.compile(r"^(not )?ok\b\s*(\d+)?\s*-?\s*(.*)$")
OUTPUT_LINES_MAX = 60
RERUN_SECONDS_MAX = 60


def count_tap(text):
    """Gives (passed, failed names, [(name, reason)] skipped)."""
    passed, failed, skipped = 0, [], []
    for line in text.split("\n"):
        match = TAP_LINE.match(line)
        if not match:
            continue
        name = match.group(3)
        skip = re.search(r"#\s*SKIP\b\s*(.*)$", name, re.I)
        if skip:
            skipped.append((name[:skip.start()].strip(), skip.group(1).strip()))
        elif match.group(1):
            failed.append(name)
        else:
            passed += 1
    return passed, failed, skipped


def rerun(command):
    """Criterion hides what a test writes to stderr under --tap; once more, without it."""
    try:
        done = subprocess.run([word for word in command if word != "--tap"], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=RERUN_SECONDS_MAX)
        return done.stdout.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)


def print_tail(test):
    text = test.get("stdout", "").rstrip() + "\n" + test.get("stderr", "").rstrip()
    if "--tap" in test.get("command", []):
        text = rerun(test["command"])
    lines = [line for line in text.strip().split("\n") if not line.startswith("ok ")]
    for line in lines[-OUTPUT_LINES_MAX:]:
        print("      | " + line)


def main(path):
    passed = failed = skipped = 0
    try:
        with open(path, encoding="utf-8") as file:
            tests = [json.loads(line) for line in file if line.strip()]
    except FileNotFoundError:
        tests = []
    for test in tests:
        name, result = test["name"].split(" / ")[-1], test["result"]
        output = test.get("stdout", "")
        if re.search(r"^1\.\.\d+", output, re.M) or "TAP version" in output:
            good, bad, skips = count_tap(output)
            if name.startswith("e2e_"):
                for line in output.split("\n"):
                    if line.startswith("# ") and not bad:
                        print("    " + line)
        else:
            good, bad, skips = 0, [], []
            if result == "OK":
                good = 1
            elif result == "SKIP":
                skips = [(name, "the program says so")]
        for subtest in bad:
            print("    FAILED %s: %s" % (name, subtest))
        if result not in ("OK", "SKIP") and not bad:
            bad = [name]
            print("    FAILED %s: %s, exit status %s" % (name, result, test.get("returncode")))
        if bad:
            print_tail(test)
        for subtest, reason in skips:
            print("    SKIPPED %s: %s" % (subtest or name, reason))
        passed, failed, skipped = passed + good, failed + len(bad), skipped + len(skips)
    print("counts %d %d %d" % (passed, failed, skipped))


if __name__ == "__main__":
    main(sys.argv[1])
