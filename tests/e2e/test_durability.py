"""What was acknowledged is there after a restart, and was flushed before it was answered.

Kills are in test_kill.py, full and failing disks in test_disk.py.
"""
import json
import os
import shutil
import subprocess
import threading

from harness import DEMO_KEY, Case, Settings, event, new_id, run_weir, wait_until
from journal_dump import dump_ids

KEY = {"X-API-Key": DEMO_KEY}


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
        total = self.answers(server, 64, 30)
        self.assertEqual(total, 64 * 30)
        ratio = (self.flushes(server) - before) / total
        print("# 64 connections: %.3f flushes per acknowledged request" % ratio)
        # About 0.1 when the clients keep up; a server that flushed for each had 1.
        self.assertLess(ratio, 0.8)

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
