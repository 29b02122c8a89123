"""The disk stays in proportion to the jobs that are alive, however long one of them lives."""
import glob
import os
import threading
import time

from harness import Settings, wait_until
from test_jobs import JobCase

MIB = 1 << 20
SECONDS = 5
LIVE_FACTOR, SPENT_SEGMENTS = 2, 4  # what ARCHITECTURE.md promises


class Disk(JobCase):
    def segment_bytes(self, server):
        total = 0
        for path in glob.glob(server.data + "/log-00/*.seg"):
            try:
                total += os.path.getsize(path)
            except FileNotFoundError:
                pass  # it has just gone
        return total

    def bound(self, server):
        live = server.metric("weir_job_live_bytes")
        # The ends of blocks are not counted, nor is the segment that is being written.
        return (LIVE_FACTOR * live + SPENT_SEGMENTS * MIB) * 1.03 + MIB

    def pass_through(self, server, until, errors):
        """Jobs that come, are done and go, a hundred at a time."""
        try:
            batch = {"jobs": [{"kind": "passing", "payload": "x" * 1000}] * 100}
            outcome = []
            while time.monotonic() < until:
                response = server.request("POST", "/v1/jobs/batch", batch)
                if response.status != 503:
                    self.assertEqual(response.status, 202, response)
                response = server.request("POST", "/v1/jobs/passing/lease",
                                          {"limit": 100, "complete": outcome})
                if response.status == 503:
                    continue
                self.assertEqual(response.status, 200, response)
                outcome = [{"id": job["id"], "epoch": job["epoch"]}
                           for job in response.json()["jobs"]]
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)

    def test_a_held_job_and_heavy_traffic_leave_no_more_than_is_alive(self):
        server = self.server("--shards", "1", binary=Settings.fast_weir, env={
            "WEIR_JOURNAL_SEGMENT_BYTES": "1MiB", "WEIR_JOBS_FINISHED": "1000",
            "WEIR_JOBS_PAYLOAD_BYTES": "64KiB", "WEIR_LIMITS_EVENT_BYTES": "64KiB"})
        payload = "held" * 10000
        held = self.job(server, {"kind": "held", "payload": payload})
        errors = []
        threads = [threading.Thread(daemon=True, target=self.pass_through,
                                    args=(server, time.monotonic() + SECONDS, errors))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        peak = 0
        while any(thread.is_alive() for thread in threads):
            peak = max(peak, self.segment_bytes(server))
            time.sleep(0.05)  # between two samples
        self.assertEqual(errors, [])
        wait_until(lambda: self.segment_bytes(server) <= self.bound(server), 20,
                   "the disk is in proportion again")
        written = server.metric("weir_journal_bytes_total")
        print("# disk: %.0f MiB written, at most %.0f MiB of segments, %.0f MiB at the end, "
              "%.2f MiB alive" % (written / MIB, peak / MIB, self.segment_bytes(server) / MIB,
                                  server.metric("weir_job_live_bytes") / MIB))
        self.assertGreater(written, 16 * MIB)
        self.assertLess(peak, written / 2)
        self.assertGreater(server.metric("weir_jobs_carried_total"), 0)
        server.kill()
        server.start()
        leased = self.lease_one(server, "held")
        self.assertEqual((leased["id"], leased["payload"]), (held["id"], payload))
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_the_log_of_a_shard_that_is_no_more_goes_to_its_last_segment(self):
        settings = {"WEIR_JOURNAL_SEGMENT_BYTES": "1MiB", "WEIR_JOBS_FINISHED": "1",
                    "WEIR_JOBS_PAYLOAD_BYTES": "64KiB", "WEIR_LIMITS_EVENT_BYTES": "64KiB"}
        server = self.server("--shards", "2", env=settings)
        keys = [self.key(server, "project-%d" % number) for number in range(8)]
        made = [self.job(server, {"kind": "a", "payload": key}, key=key) for key in keys]
        self.assertEqual(server.stop(), 0, server.log_tail())
        server.arguments[server.arguments.index("--shards") + 1] = "1"
        server.start()
        for key in keys:
            response = server.request("POST", "/v1/jobs/a/lease", {}, key=key)
            leased = response.json()["jobs"][0]
            self.assertEqual(leased["payload"], key)
            response = server.request("POST", "/v1/jobs/%s/complete" % leased["id"],
                                      {"epoch": leased["epoch"]}, key=key)
            self.assertEqual(response.status, 200, response)

        def known():
            return sum(server.request("GET", "/v1/jobs/" + job["id"], key=key).status == 200
                       for job, key in zip(made, keys))

        wait_until(lambda: known() <= 2, 20, "those with records in two logs are forgotten too")
        old = [os.path.getsize(path) for path in glob.glob(server.data + "/log-01/*.seg")]
        self.assertEqual(old, [4096])
        server.kill()
        server.start()
        wait_until(lambda: known() <= 2, 20, "and stay forgotten")
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_payloads_of_jobs_that_are_remembered_for_their_key_go(self):
        server = self.server("--shards", "1", binary=Settings.fast_weir, env={
            "WEIR_JOURNAL_SEGMENT_BYTES": "1MiB", "WEIR_JOBS_FINISHED": "10",
            "WEIR_JOBS_PAYLOAD_BYTES": "64KiB", "WEIR_LIMITS_EVENT_BYTES": "64KiB"})
        count = 600
        first = None
        for number in range(count):
            made = self.job(server, {"kind": "a", "payload": "x" * 50000},
                            headers={"Idempotency-Key": "order-%d" % number})
            first = first or made
            leased = self.lease_one(server, "a")
            self.assertEqual(self.act(server, leased, "complete", result=number).status, 200)
        wait_until(lambda: server.metric("weir_job_live_bytes") <= count * 512, 10,
                   "no payload counts as alive")
        wait_until(lambda: self.segment_bytes(server) <= self.bound(server), 20,
                   "the disk is in proportion")
        self.assertGreater(server.metric("weir_jobs_carried_total"), 0)
        server.kill()
        server.start()
        again = self.job(server, {"kind": "a", "payload": "x" * 50000},
                         headers={"Idempotency-Key": "order-0"})
        self.assertEqual((again["id"], again["duplicate"]), (first["id"], True))
        self.assertEqual(self.look(server, first)["result"], 0)
        self.assertEqual(server.stop(), 0, server.log_tail())
