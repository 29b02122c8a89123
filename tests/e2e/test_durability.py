"""What was acknowledged is there: after restarts, kills and full disks."""
import collections
import json
import os
import random
import shutil
import subprocess
import threading

from harness import (DEMO_KEY, Case, Server, Settings, event, new_id, run_weir, wait_until)
from http_client import Closed, Connection, render

KEY = {"X-API-Key": DEMO_KEY}


def dump_ids(data, binary):
    """How often each event id stands in the journal, from `weir journal dump`."""
    status, out, err = run_weir("journal", "dump", "--data", data, binary=binary, timeout=300)
    assert status == 0, "journal dump exited with %d: %s" % (status, err[-2000:])
    counts = collections.Counter()
    for line in out.split("\n"):
        if line:
            counts.update(find_event_ids(json.loads(line)))
    return counts


def find_event_ids(value):
    """The event ids of one dumped record: of the envelopes in it, wherever they stand."""
    if isinstance(value, dict):
        if "event_id" in value and "schema_version" in value:
            return [value["event_id"].lower()]
        return [found for item in value.values() for found in find_event_ids(item)]
    if isinstance(value, list):
        return [found for item in value for found in find_event_ids(item)]
    if isinstance(value, str) and value.startswith('{"schema_version"'):
        return find_event_ids(json.loads(value))
    return []


class Writer(threading.Thread):
    """One connection that sends events until it fails; remembers what was acknowledged."""

    def __init__(self, port, generator, pipeline, batch):
        super().__init__(daemon=True)
        self.port, self.random = port, generator
        self.pipeline, self.batch = pipeline, batch
        self.acknowledged, self.sent = [], []
        self.bad = None

    def identity(self):
        return "%08x-%04x-4%03x-8%03x-%012x" % tuple(
            self.random.getrandbits(bits) for bits in (32, 16, 12, 12, 48))

    def one_request(self):
        if self.batch > 1:
            ids = [self.identity() for _ in range(self.batch)]
            body = {"events": [event(event_id=i) for i in ids]}
            return ids, render("POST", "/v1/events/batch", json.dumps(body).encode(), KEY)
        ids = [self.identity()]
        return ids, render("POST", "/v1/events", json.dumps(event(event_id=ids[0])).encode(), KEY)

    def run(self):
        try:
            with Connection(self.port, timeout=30) as connection:
                while True:
                    requests = [self.one_request() for _ in range(self.pipeline)]
                    for ids, _ in requests:
                        self.sent += ids
                    connection.send(b"".join(raw for _, raw in requests))
                    for ids, _ in requests:
                        response = connection.read_response()
                        if response.status == 202:
                            self.acknowledged += ids
                        elif response.status not in (429, 503):
                            self.bad = repr(response)
                            return
        except (OSError, Closed):
            return  # the process was killed: what is unanswered is unknown


class Restart(Case):
    def test_reads_everything_back(self):
        server = self.server()
        ids = [new_id() for _ in range(1000)]
        with server.connect() as connection:
            for start in range(0, len(ids), 100):
                body = {"events": [event(event_id=i, message=i) for i in ids[start:start + 100]]}
                response = connection.request("POST", "/v1/events/batch",
                                              json.dumps(body).encode(), KEY)
                self.assertEqual(response.status, 202, response)
        self.assertEqual(server.stop(), 0, server.log_tail())
        server.start()
        with server.connect() as connection:
            for identity in ids:
                response = connection.request("GET", "/v1/events/" + identity, None, KEY)
                self.assertEqual(response.status, 200, response)
                self.assertEqual(response.json()["message"], identity)

    def test_more_and_fewer_shards_read_the_same(self):
        data = self.data()
        ids = [new_id() for _ in range(64)]
        first = self.server("--shards", "1", data=data)
        for identity in ids:
            self.post_ok(first, event(event_id=identity,
                                      attributes={"error_code": identity, "route": "/"}))
        self.assertEqual(first.stop(), 0, first.log_tail())
        for shards in ("2", "1"):
            server = self.server("--shards", shards, data=data)
            for identity in ids:
                self.assertIsNotNone(self.stored(server, identity), shards)
            self.assertEqual(server.stop(), 0, server.log_tail())

    def test_the_journal_can_be_inspected_while_it_lives(self):
        server = self.server()
        receipt = self.post_ok(server, event())
        for live in (True, False):
            if not live:
                self.assertEqual(server.stop(), 0)
            status, out, err = run_weir("journal", "verify", "--data", server.data)
            self.assertEqual(status, 0, out + err)
            status, out, err = run_weir("journal", "inspect", "--data", server.data)
            self.assertEqual(status, 0, out + err)
            self.assertEqual(dump_ids(server.data, Settings.weir)[receipt["event_id"]], 1)


class Kill(Case):
    def test_kill_9_loses_nothing_acknowledged_and_stores_nothing_twice(self):
        rounds = 300 if Settings.long else 50
        generator = random.Random(Settings.seed)
        print("# kill -9: seed %d, %d rounds, binary %s" % (
            Settings.seed, rounds, os.path.relpath(Settings.fast_weir, Settings.root)))
        server = Server(self.data(), "--shards", "2", binary=Settings.fast_weir)
        self.addCleanup(self._end, server)
        acknowledged, sent = [], 0
        for number in range(rounds):
            server.start(60)
            writers = [Writer(server.port, random.Random(generator.getrandbits(64)), pipeline,
                              batch)
                       for pipeline, batch in ((1, 1), (1, 1), (8, 1), (32, 1), (1, 20), (2, 100))]
            for writer in writers:
                writer.start()
            # The moment is random, in work done rather than in time: after so many answers.
            goal = generator.choice((0, 1, 10, 100, 300, 1000))
            wait_until(lambda: sum(len(w.acknowledged) for w in writers) >= goal
                       or not any(w.is_alive() for w in writers), 60, "%d answers" % goal)
            server.kill()
            fresh = []
            for writer in writers:
                writer.join(30)
                self.assertFalse(writer.is_alive())
                self.assertIsNone(writer.bad)
                fresh += writer.acknowledged
                sent += len(writer.sent)
            server.start(60)
            check = fresh if len(fresh) < 300 else generator.sample(fresh, 300)
            check = check + generator.sample(acknowledged, min(50, len(acknowledged)))
            self.read_back(server, check, number)
            acknowledged += fresh
            server.kill()
        server.start(60)
        self.read_back(server, acknowledged, rounds)
        self.assertEqual(server.stop(60), 0, server.log_tail())
        counts = dump_ids(server.data, Settings.fast_weir)
        twice = [identity for identity, count in counts.items() if count > 1]
        self.assertEqual(twice[:5], [])
        missing = [identity for identity in acknowledged if identity not in counts]
        self.assertEqual(missing[:5], [])
        self.assertGreater(len(acknowledged), rounds * 50)
        print("# kill -9: %d sent, %d acknowledged, %d stored, none lost, none twice" % (
            sent, len(acknowledged), len(counts)))

    def read_back(self, server, ids, number):
        with server.connect() as connection:
            for start in range(0, len(ids), 64):
                some = ids[start:start + 64]
                connection.send(b"".join(render("GET", "/v1/events/" + identity, None, KEY)
                                         for identity in some))
                for identity in some:
                    response = connection.read_response()
                    self.assertEqual(response.status, 200, "round %d (seed %d): %s is lost: %r" % (
                        number, Settings.seed, identity, response))


class FullDisk(Case):
    def small_disk(self, size_mib):
        """A small file system of its own; (path, unsafe). Skips loudly when impossible."""
        mount = os.path.join(self.directory, "disk")
        os.makedirs(mount)
        if os.geteuid() != 0:
            self.skipTest("a full disk needs root to mount a small file system")
        image = os.path.join(self.directory, "image")
        with open(image, "wb") as file:
            file.truncate(size_mib << 20)
        if shutil.which("mkfs.ext4"):
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
            done = subprocess.run(["mount", "-o", "loop", image, mount], check=False,
                                  stderr=subprocess.PIPE)
            if done.returncode == 0:
                self.addCleanup(subprocess.run, ["umount", "-l", mount], check=False)
                return mount, False
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % size_mib, "tmpfs", mount],
                              check=False, stderr=subprocess.PIPE)
        if done.returncode != 0:
            self.skipTest("cannot mount here: %s" % done.stderr.decode().strip())
        self.addCleanup(subprocess.run, ["umount", "-l", mount], check=False)
        return mount, True

    def test_a_full_disk_is_503_and_resumes_when_space_returns(self):
        mount, unsafe = self.small_disk(400)
        server = self.server(data=os.path.join(mount, "data"), unsafe=unsafe)
        ballast = os.path.join(mount, "ballast")
        with open(ballast, "wb") as file:
            free = os.statvfs(mount)
            try:
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
            except OSError:
                pass
        acknowledged, refused = [], None
        with server.connect() as connection:
            for _ in range(3000):
                ids = [new_id() for _ in range(50)]
                body = {"events": [event(event_id=i, payload={"fill": "f" * 4000}) for i in ids]}
                response = connection.request("POST", "/v1/events/batch",
                                              json.dumps(body).encode(), KEY)
                if response.status == 202:
                    acknowledged += ids
                else:
                    refused = response
                    break
        self.assertIsNotNone(refused, "the disk never filled: %d events" % len(acknowledged))
        self.assert_problem(refused, 503, "storage_full")
        self.assertGreaterEqual(int(refused.header("retry-after")), 1)
        self.assertEqual(server.request("GET", "/livez").status, 200)
        wait_until(lambda: server.request("GET", "/readyz").status == 503, 10,
                   "readyz turns 503 on a full disk")
        self.assertIn("disk", server.request("GET", "/readyz").body.decode())
        for identity in acknowledged[-20:]:
            self.assertIsNotNone(self.stored(server, identity))
        os.unlink(ballast)
        wait_until(lambda: self.post(server, event()).status == 202, 30,
                   "intake resumes by itself")
        wait_until(lambda: server.request("GET", "/readyz").status == 200, 10, "ready again")
        self.assertEqual(server.stop(), 0, server.log_tail())
        server.start()
        for identity in acknowledged[::97]:
            self.assertIsNotNone(self.stored(server, identity))


class FlushBeforeAnswer(Case):
    def flushes(self, server):
        return server.metric("weir_journal_flush_duration_seconds_count")

    def answers(self, server, connections, requests_each):
        """Closed loop over so many connections; the number of 202."""
        counts = []

        def run():
            good = 0
            with server.connect() as connection:
                for _ in range(requests_each):
                    body = json.dumps(event()).encode()
                    good += connection.request("POST", "/v1/events", body, KEY).status == 202
            counts.append(good)

        threads = [threading.Thread(target=run, daemon=True) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        return sum(counts)

    def test_one_connection_flushes_at_least_once_per_answer(self):
        server = self.server()
        before = self.flushes(server)
        self.assertEqual(self.answers(server, 1, 200), 200)
        ratio = (self.flushes(server) - before) / 200
        print("# 1 connection: %.2f flushes per acknowledged request" % ratio)
        self.assertGreaterEqual(ratio, 1.0)

    def test_many_in_flight_share_flushes(self):
        server = self.server(binary=Settings.fast_weir)
        before = self.flushes(server)
        with server.connect() as connection:
            # One writer that pipelines 64 requests keeps the server, not python, the limit.
            body = json.dumps(event()).encode()
            for _ in range(30):
                connection.send(render("POST", "/v1/events", body, KEY) * 64)
                for _ in range(64):
                    self.assertEqual(connection.read_response().status, 202)
        piped = (self.flushes(server) - before) / (30 * 64)
        before = self.flushes(server)
        total = self.answers(server, 64, 30)
        self.assertEqual(total, 64 * 30)
        ratio = (self.flushes(server) - before) / total
        print("# 64 pipelined: %.3f flushes per request; 64 connections: %.3f" % (piped, ratio))
        self.assertLess(min(piped, ratio), 0.5)

    def test_each_answer_follows_a_durable_write(self):
        """Counts what the kernel was asked for: the journal is opened for direct writes and
        the log shows a durable write between a request and its answer (strace)."""
        if not shutil.which("strace"):
            self.skipTest("no strace")
        server = self.server(binary=Settings.fast_weir)
        trace = os.path.join(self.directory, "trace")
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", trace, "-p", str(server.pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(tracer.kill)
        try:
            wait_until(lambda: self.is_traced(server.pid) or tracer.poll() is not None, 10,
                       "strace attaches")
        finally:
            if tracer.poll() is not None:
                self.skipTest("strace cannot attach: %s" % tracer.stderr.read().decode().strip())
        self.assertEqual(self.answers(server, 1, 50), 50)
        tracer.terminate()
        tracer.wait(20)
        with open(trace, encoding="utf-8", errors="replace") as file:
            text = file.read()
        durable = sum(text.count(word) for word in ("RWF_DSYNC", "fdatasync(", "fsync("))
        enters = text.count("io_uring_enter")
        print("# 50 answers: %d durable write calls seen, %d io_uring_enter" % (durable, enters))
        self.assertGreaterEqual(durable + enters, 50)
        flags = self.open_flags(server.pid)
        self.assertTrue(any(flag & os.O_DIRECT for flag in flags), flags)

    def is_traced(self, pid):
        with open("/proc/%d/status" % pid, encoding="ascii") as file:
            return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in file)

    def open_flags(self, pid):
        """The open flags of the regular files that the process holds, from /proc."""
        flags = []
        for number in os.listdir("/proc/%d/fd" % pid):
            try:
                target = os.readlink("/proc/%d/fd/%s" % (pid, number))
                if not target.startswith(os.path.realpath(self.directory)):
                    continue
                with open("/proc/%d/fdinfo/%s" % (pid, number), encoding="ascii") as file:
                    for line in file:
                        if line.startswith("flags:"):
                            flags.append(int(line.split()[1], 8))
            except FileNotFoundError:
                pass
        return flags
