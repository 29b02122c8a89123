"""README.md's tour: each command runs as printed and answers what is printed.

The `sh` blocks of the section are fed to one shell, in a directory that looks like a
checkout after ./tools/up. A `text` block is what the `sh` block before it printed, up to
what differs from run to run: ids, times and rates, and all numbers in a `text numbers-vary`
block. `[...]` in a line stands for anything, a line of its own for any lines. Only the port is
replaced, by that of the test.
"""
import os
import re
import signal
import subprocess
import unittest

from harness import (LIVE, Case, Settings, environment, filesystem_of, free_port, new_id,
                     run_weir)

SECTION = "## A five-minute tour"
SHELL_SECONDS_MAX = 120
# What differs from run to run but keeps its shape; the first that matches counts.
VARYING = (
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
    r"\b[0-9a-f]{32}\b",
    r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} 20\d\d [0-9:]{8}",
    r"\d+\.\d\d s, \d+/s",
    r" +",
)
NUMBERS = (r"\d+",)
GAP = "[...]"


def readme():
    with open(os.path.join(Settings.root, "README.md"), encoding="utf-8") as file:
        return file.read()


def tour_blocks(text):
    """[(commands, pattern of their output or None)] of the section."""
    section = text.split("\n%s\n" % SECTION, 1)[1].split("\n## ", 1)[0]
    blocks = []
    for info, body in re.findall(r"^```(\w[^\n]*)\n(.*?)^```$", section, re.M | re.S):
        if info == "sh":
            blocks.append((body, None))
        elif info.split()[0] == "text":
            assert blocks[-1][1] is None, "two outputs for one block of commands:\n" + body
            blocks[-1] = blocks[-1][0], pattern_of(body, numbers_vary="numbers-vary" in info)
    return blocks


def pattern_of_line(line, shapes):
    pattern, position = "", 0
    while position < len(line):
        if line.startswith(GAP, position):
            pattern += ".*"
            position += len(GAP)
            continue
        found = ((shape, re.compile(shape).match(line, position)) for shape in shapes)
        shape, match = next(((s, m) for s, m in found if m), (re.escape(line[position]), None))
        pattern += shape
        position = match.end() if match else position + 1
    return pattern


def pattern_of(expected, numbers_vary=False):
    """The regular expression of a whole output."""
    shapes = VARYING + (NUMBERS if numbers_vary else ())
    lines = expected.rstrip("\n").split("\n")
    return "".join(r"(?:[^\n]*\n)*?" if line == GAP
                   else pattern_of_line(line, shapes) + r" *\r?\n" for line in lines)


class Shell:
    """One bash that runs blocks of commands and gives what each printed."""

    def __init__(self, directory, env):
        self.process = subprocess.Popen(["bash", "-u"], cwd=directory, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env=environment(env), start_new_session=True)
        LIVE.add(self.process)

    def run(self, commands):
        """(status of the last command, output)"""
        mark = "--- %s" % new_id()
        self.process.stdin.write(("%s\nprintf '\\n%s %%d\\n' $?\n" % (commands, mark)).encode())
        self.process.stdin.flush()
        lines = []
        while True:
            line = self.process.stdout.readline().decode(errors="replace")
            if not line:
                raise AssertionError("the shell ended:\n" + "".join(lines))
            if line.startswith(mark):
                return int(line.split()[-1]), "".join(lines)[:-1].rstrip("\n") + "\n"
            lines.append(line)

    def close(self):
        """Ends the shell and what it started, which shares its session."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        LIVE.discard(self.process)


class Tour(Case):
    def checkout(self):
        """A directory with what the tour's commands name."""
        os.makedirs(os.path.join(self.directory, "build/release"))
        os.symlink(Settings.weir, os.path.join(self.directory, "build/release/weir"))
        os.symlink(os.path.join(Settings.root, "tests"), os.path.join(self.directory, "tests"))
        return self.directory

    def test_every_command_prints_what_the_readme_says(self):
        directory = self.checkout()
        port = free_port()
        env = {"WEIR_SERVER_LISTEN": "127.0.0.1:%d" % port, "WEIR_SERVER_SHARDS": "2"}
        if filesystem_of(directory) == "tmpfs":
            env["WEIR_SERVER_UNSAFE_STORAGE"] = "true"
        first = self.unstarted("--shards=2", data=os.path.join(directory, "weir-data"), port=port,
                               env={"WEIR_DEMO_TRAFFIC": "true"})
        first.start()
        shell = Shell(directory, env)
        self.addCleanup(shell.close)
        alarm = signal.signal(signal.SIGALRM, lambda *_: shell.process.kill())
        self.addCleanup(signal.signal, signal.SIGALRM, alarm)
        self.addCleanup(signal.alarm, 0)
        signal.alarm(SHELL_SECONDS_MAX)
        for commands, expected in tour_blocks(readme().replace("127.0.0.1:3000",
                                                               "127.0.0.1:%d" % port)):
            if "weir serve" in commands and first.process.poll() is None:
                first.process.send_signal(signal.SIGINT)  # the reader presses Ctrl-C
                self.assertEqual(first.wait_exit(), 0, first.log_tail())
            commands = re.sub(r"(weir (?:replay|keys \w+))\b",
                              r"\1 --url http://127.0.0.1:%d" % port, commands)
            status, output = shell.run(commands)
            with self.subTest(commands):
                self.assertEqual(status, 0, output)
                if expected is not None:
                    self.assertRegex(output, r"\A%s\Z" % expected)
        self.assertIsNotNone(first.process.poll(), "the tour never stopped the first server")

    def test_the_tour_shows_what_it_promises(self):
        blocks = tour_blocks(readme())
        commands = "".join(block for block, _ in blocks)
        for word in ("/v1/events", "/v1/events/batch", "?partial=true", "x-ndjson", "gzip",
                     "idempotency-key", "keys create", "/metrics", "/v1/incidents", "ai_summary",
                     "replay", "journal inspect", "journal verify", "journal dump", "kill -9"):
            self.assertIn(word, commands)
        self.assertGreater(sum(expected is not None for _, expected in blocks), 10)


class Patterns(unittest.TestCase):
    """The comparison above must be able to fail."""

    def matches(self, expected, output, numbers_vary=False):
        pattern = pattern_of(expected, numbers_vary)
        return re.search(r"\A%s\Z" % pattern, output) is not None

    def test_only_what_varies_may_differ(self):
        expected = 'HTTP/1.1 202\n{"id":"0b7c1c9e-7a57-4f0e-9c1b-2f4a6f5f0a01","n":17}\n'
        other = expected.replace("0b7c1c9e", "ffffffff")
        self.assertTrue(self.matches(expected, expected))
        self.assertTrue(self.matches(expected, other))
        self.assertFalse(self.matches(expected, other.replace("202", "500")))
        self.assertFalse(self.matches(expected, other.replace('"n"', '"m"')))
        self.assertFalse(self.matches(expected, other + "more\n"))
        self.assertFalse(self.matches(expected, other.replace("17", "18")))
        self.assertTrue(self.matches(expected, other.replace("17", "18"), numbers_vary=True))
        self.assertFalse(self.matches(expected, other.replace("17", "x"), numbers_vary=True))

    def test_times_and_rates_differ_but_stay_times_and_rates(self):
        expected = "at 2026-11-21T02:48:22.141Z sent 73; 0.03 s, 2282/s\n"
        other = "at 2027-01-02T03:04:05.006Z sent 73; 1.20 s, 9/s\n"
        self.assertTrue(self.matches(expected, other))
        self.assertFalse(self.matches(expected, other.replace("T", " ")))
        self.assertFalse(self.matches(expected, other.replace("73", "72")))

    def test_marked_gaps_stand_for_anything(self):
        self.assertTrue(self.matches("a [...] c\n", "a bbb c\n"))
        self.assertFalse(self.matches("a [...] c\n", "a bbb d\n"))
        self.assertTrue(self.matches("a\n[...]\nd\n", "a\nb\nc\nd\n"))
        self.assertTrue(self.matches("a\n[...]\nd\n", "a\nd\n"))
        self.assertFalse(self.matches("a\n[...]\nd\n", "a\nb\ne\n"))


class Reference(unittest.TestCase):
    """The tables of README.md say what the binary says."""

    def test_every_setting_is_listed_with_its_default(self):
        status, out, err = run_weir("serve", "--print-config")
        self.assertEqual(status, 0, err)
        expected, meaning = [], ""
        for line in out.split("\n"):
            if line.startswith("["):
                expected.append("**`%s`**" % line)
            elif line.startswith("; "):
                meaning = line[2:]
            elif " = " in line:
                key, value = line.replace(" ; default", "").split(" = ")
                expected.append("| `%s` | `%s` | %s |" % (key, value, meaning))
        self.assertGreater(len(expected), 20)
        section = readme().split("\n## Configuration\n", 1)[1].split("\n## ", 1)[0]
        listed = [line for line in section.split("\n")
                  if re.match(r"\*\*`\[|\| `[a-z_]+` \| `", line)]
        self.assertEqual(listed, expected)

    def test_every_exit_code_is_listed(self):
        with open(os.path.join(Settings.root, "tools/commands.h"), encoding="utf-8") as file:
            codes = re.findall(r"^    COMMAND_\w+ = (\d+),", file.read(), re.M)
        section = readme().split("\n**Exit codes**", 1)[1].split("\n**Signals", 1)[0]
        self.assertEqual(re.findall(r"^\| (\d+) \|", section, re.M), codes)
