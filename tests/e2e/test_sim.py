"""`weir sim`: one seed is one run, whatever the process around it does."""
import json
import os
import re
import signal
import subprocess

from harness import EX_USAGE, Case, Settings, environment, run_weir, wait_until

SEED = "7"


def sim(*arguments, binary=None):
    """The parsed result of a simulation that must end well."""
    status, out, err = run_weir("sim", "--json", *arguments, timeout=300, binary=binary)
    assert status == 0, (arguments, status, out[-3000:], err[-3000:])
    return json.loads(out)


def without_aslr():
    """The words that start a program at fixed addresses; None when that is not permitted."""
    words = ["setarch", os.uname().machine, "-R"]
    try:
        tried = subprocess.run([*words, "true"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        return None
    return words if tried.returncode == 0 else None


def children_of(pid):
    """The processes that pid has started and that are not yet gone."""
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Determinism(Case):
    def trace(self, name):
        return os.path.join(self.directory, name)

    def assert_same_file(self, first, second):
        self.assertEqual(subprocess.run(["cmp", first, second], check=False).returncode, 0)

    def test_one_seed_gives_one_hash_and_one_trace(self):
        hashes = []
        for name in ("first", "second"):
            result = sim("--seed", SEED, "--trace", self.trace(name), "--trace-io")
            hashes.append(result["hash"])
        self.assertRegex(hashes[0], r"^[0-9a-f]{16}$")
        self.assertEqual(hashes[0], hashes[1])
        self.assertGreater(os.path.getsize(self.trace("first")), 1000)
        self.assert_same_file(self.trace("first"), self.trace("second"))

    def test_addresses_do_not_matter(self):
        words = without_aslr()
        if words is None:
            self.skipTest("setarch -R is not permitted here")
        with_aslr = sim("--seed", SEED, "--trace", self.trace("with"), "--trace-io")
        done = subprocess.run([*words, Settings.weir, "sim", "--json", "--seed", SEED, "--trace",
                               self.trace("without"), "--trace-io"], stdout=subprocess.PIPE,
                              check=False, timeout=300, env=environment())
        self.assertEqual(done.returncode, 0)
        self.assertEqual(json.loads(done.stdout)["hash"], with_aslr["hash"])
        self.assert_same_file(self.trace("with"), self.trace("without"))

    def test_the_environment_does_not_matter(self):
        plain = sim("--seed", SEED)
        status, out, err = run_weir("sim", "--json", "--seed", SEED, timeout=300,
                                    env={"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8",
                                         "WEIR_LIMITS_CONNECTIONS": "17"})
        self.assertEqual(status, 0, err)
        self.assertEqual(json.loads(out)["hash"], plain["hash"])

    def test_a_seed_does_the_same_alone_and_among_others(self):
        alone = sim("--seed", SEED, binary=Settings.fast_weir)
        hashes = {}
        for jobs in ("1", "3"):
            among = sim("--seeds", "0..20", "--jobs", jobs, "--hashes", binary=Settings.fast_weir)
            self.assertEqual((among["done"], among["failed"]), (20, 0))
            self.assertEqual(among["hashes"][int(SEED)], alone["hash"])
            self.assertEqual(len(set(among["hashes"])), 20)
            hashes[jobs] = (among["hash"], among["hashes"], among["sum"])
        self.assertEqual(hashes["1"], hashes["3"])

    def test_a_trace_does_not_change_the_run(self):
        self.assertEqual(sim("--seed", SEED, "--trace", self.trace("trace"))["hash"],
                         sim("--seed", SEED)["hash"])

    def test_a_trace_goes_to_standard_output(self):
        sim("--seed", SEED, "--trace", self.trace("file"))
        status, out, err = run_weir("sim", "--seed", SEED, "--trace", "-", timeout=300)
        self.assertEqual(status, 0, err)
        with open(self.trace("file"), encoding="utf-8") as file:
            self.assertEqual(out, file.read())
        self.assertRegex(out.split("\n")[0], r"^ *\d+\.\d{9} s  \S")
        self.assertIn("seed %s: ok" % SEED, err)


class Campaign(Case):
    def test_it_sums_up_what_was_done(self):
        status, out, err = run_weir("sim", "--seeds", "3..13", "--points", timeout=300,
                                    binary=Settings.fast_weir)
        self.assertEqual(status, 0, err)
        self.assertRegex(out, r"seeds 3\.\.13: 10 done in [0-9.]+ s \([0-9.]+/s, \d+ at a time\), "
                              r"0 failed\n")
        self.assertRegex(out, r"\npoints met \d+ of \d+")
        self.assertRegex(out, r"\n  sometimes +\d+ hits in +10 seeds  \S")
        lives, acknowledged = (int(re.search(pattern, out).group(1)) for pattern in
                               (r"\nlives (\d+):", r"events acknowledged (\d+)"))
        self.assertGreaterEqual(lives, 10)
        self.assertGreater(acknowledged, 10)

    def test_points_that_were_not_met_can_be_an_error(self):
        arguments = ["sim", "--seeds", "0..1", "--faults", "none"]
        self.assertEqual(run_weir(*arguments)[0], 0)
        status, out, err = run_weir(*arguments, "--require-points")
        self.assertEqual(status, 1)
        self.assertIn("points were never met", err)
        self.assertIn("never met:", out)

    def test_each_group_of_faults_can_be_asked_for(self):
        status, out, _ = run_weir("sim", "--help")
        self.assertEqual(status, 0)
        names = re.findall(r"^  ([a-z]+): ", out, re.M)
        self.assertGreaterEqual(len(names), 8)
        for name in names:
            with self.subTest(name):
                result = sim("--seed", "1", "--faults", name, binary=Settings.fast_weir)
                self.assertEqual(result["faults"], name)
        self.assertEqual(sim("--seed", "1", "--faults", "none")["sum"]["crash_count"], 0)
        self.assertEqual(sim("--seed", "1", "--faults=-" + names[0])["faults"],
                         "all,-" + names[0])

    def start_endless(self):
        process = subprocess.Popen([Settings.weir, "sim", "--seeds", "0..1000000000", "--jobs",
                                    "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until(lambda: len(children_of(process.pid)) == 2, 30, "two workers run")
        return process, children_of(process.pid)

    def test_an_interrupt_ends_it_with_what_was_done(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process, workers = self.start_endless()
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130)
            self.assertIn(b"; interrupted\n", out)
            self.assertIn(b"interrupted", err)
            self.assertEqual([pid for pid in workers if is_running(pid)], [])

    def test_workers_end_with_their_parent(self):
        process, workers = self.start_endless()
        process.kill()
        process.wait(30)
        wait_until(lambda: not any(is_running(pid) for pid in workers), 30, "the workers end")


class Usage(Case):
    def test_what_makes_no_sense_is_refused(self):
        for arguments in (["--faults", "disk,fire"], ["--faults", "Disk"], ["--faults", "disk,"],
                          ["--seeds", "9..3"], ["--seeds", "3..3"], ["--seeds", "3"],
                          ["--seeds", "a..b"], ["--seeds", "..3"], ["--seeds", "3.."],
                          ["--seeds", "0..3", "--trace", "file"], ["--trace-io"],
                          ["--seeds", "0..3", "--seed", "1"], ["--seed", "-1"], ["--jobs", "0"],
                          ["--seed", "18446744073709551615"], ["--steps", "0"], ["--budget", "3"],
                          ["--table", "file"], ["--keep-going"], ["more"],
                          ["--mutants", "--seed", "1"], ["--mutants", "--trace", "file"],
                          ["--mutants", "--seeds", "0..3", "--budget", "3"],
                          ["--mutants", "--seeds", "0..3", "--table", "file"]):
            with self.subTest(arguments):
                status, out, err = run_weir("sim", *arguments)
                self.assertEqual(status, EX_USAGE, err)
                self.assertEqual(out, "")
                self.assertIn("weir sim --help", err)

    def test_a_misspelt_fault_gets_a_hint(self):
        self.assertIn("did you mean disk?", run_weir("sim", "--faults", "all,-dsik")[2])

    def test_an_ordinary_build_has_no_mutants(self):
        for arguments in (["--mutant", "ack_before_flush"], ["--mutants"]):
            status, _, err = run_weir("sim", *arguments)
            self.assertEqual(status, EX_USAGE)
            self.assertIn("-Dmutants=true", err)

    def test_a_trace_that_cannot_be_written_is_an_error(self):
        status, _, err = run_weir("sim", "--seed", "1", "--trace", "/nonexistent/file")
        self.assertEqual(status, 1)
        self.assertIn("/nonexistent/file", err)
