"""Full, growing, failing and lying disks, under a real kernel and a real ext4.

What needs root, loop devices, FUSE or device mapper is skipped with the reason where the
machine has none of it. Disks that fail come in two kinds with the same cases, see disks.py:
one in user space that any machine with FUSE can have, one made by device mapper.
"""
import json
import os
import shutil
import threading
import time

from disks import DmExt4, Ext4, FuseExt4, Impossible, Xfs, dm_table, file_ranges, left_over
from harness import (DEMO_KEY, EX_DATA_DIR, EX_IO, Case, Settings, event, new_id, run_weir,
                     wait_until)
from http_client import Closed, render
from journal_dump import dump_ids, verify

KEY = {"X-API-Key": DEMO_KEY}
SIZE_MIB = 560    # four segments of 64 MiB, what the file system takes, and room for two more
GROWN_MIB = 840
FAILING_MIB = 700  # room for a salvage beside the log
EXIT_SECONDS_MAX = 30


class DiskCase(Case):
    def disk(self, kind, size_mib=SIZE_MIB):
        try:
            disk = kind(self.directory, size_mib)
        except Impossible as reason:
            self.skipTest(str(reason))
        self.addCleanup(self.close, disk)
        return disk

    def close(self, disk):
        disk.close()
        wait_until(lambda: not left_over(self.directory), 30,
                   "no mount and no device is left: %s" % left_over(self.directory))

    def post_batch(self, connection, ids, fill=0):
        body = {"events": [event(event_id=one, payload={"fill": "f" * fill}) for one in ids]}
        return connection.request("POST", "/v1/events/batch", json.dumps(body).encode(), KEY)

    def post_each(self, server, count):
        """Of a type that no rule counts, so that the log has these records and no others."""
        ids = [new_id() for _ in range(count)]
        with server.connect() as connection:
            for one in ids:
                response = connection.request("POST", "/v1/events",
                                              json.dumps(event(event_type="deploy",
                                                               event_id=one)).encode(), KEY)
                self.assertEqual(response.status, 202, response)
        return ids

    def assert_stored_once(self, server, ids):
        """By the API while it runs, then by what lies in the journal of the stopped server."""
        with server.connect() as connection:
            for one in ids[::max(1, len(ids) // 500)]:
                response = connection.request("GET", "/v1/events/" + one, None, KEY)
                self.assertEqual(response.status, 200, "%s is lost: %r" % (one, response))
        self.assertEqual(server.stop(60), 0, server.log_tail())
        self.assert_journal_has_once(server, ids)

    def assert_journal_has_once(self, server, ids):
        clean, said = verify(server.data, server.binary)
        self.assertTrue(clean, said)
        counts = dump_ids(server.data, server.binary)
        self.assertEqual([(one, counts[one]) for one in ids if counts[one] != 1][:5], [])
        self.assertEqual([one for one, count in counts.items() if count > 1][:5], [])


class FullDisk:
    """The cases; their classes below say which file system it is."""
    kind = None

    def settled(self, disk):
        """A server that has made all the segments it wants to have in hand."""
        server = self.server(data=os.path.join(disk.path, "data"))
        log = os.path.join(server.data, "log-00")
        wait_until(lambda: len([name for name in os.listdir(log)
                                if name.endswith((".seg", ".spare"))]) == 4, 30, "four segments")
        return server

    def fill_by_events(self, server):
        """Sends until it is refused; (what was acknowledged, the refusal)."""
        acknowledged = []
        with server.connect() as connection:
            for _ in range(3000):
                ids = [new_id() for _ in range(50)]
                response = self.post_batch(connection, ids, fill=4000)
                if response.status != 202:
                    return acknowledged, response
                acknowledged += ids
        raise AssertionError("the disk never filled: %d events" % len(acknowledged))

    def assert_full(self, server, refused):
        self.assert_problem(refused, 503, "storage_full")
        self.assertGreaterEqual(int(refused.header("retry-after")), 1)
        self.assertEqual(server.request("GET", "/livez").status, 200)
        wait_until(lambda: server.request("GET", "/readyz").status == 503, 10,
                   "readyz turns 503 on a full disk")
        self.assertIn("disk_low", server.request("GET", "/readyz").body.decode())

    def assert_resumes(self, server):
        wait_until(lambda: self.post(server, event()).status == 202, 30,
                   "intake resumes by itself")
        wait_until(lambda: server.request("GET", "/readyz").status == 200, 10, "ready again")

    def test_a_full_disk_is_503_and_resumes_when_space_returns(self):
        disk = self.disk(self.kind)
        server = self.settled(disk)
        ballast = disk.fill()
        acknowledged, refused = self.fill_by_events(server)
        self.assert_full(server, refused)
        pid = server.pid
        os.unlink(ballast)
        self.assert_resumes(server)
        self.assertEqual(server.pid, pid)
        self.assertIsNone(server.process.poll())
        acknowledged += self.post_each(server, 20)
        self.assert_stored_once(server, acknowledged)

    def test_a_full_disk_that_grows_is_used_at_once(self):
        disk = self.disk(self.kind)
        server = self.settled(disk)
        disk.fill()
        acknowledged, refused = self.fill_by_events(server)
        self.assert_full(server, refused)
        try:
            disk.grow(GROWN_MIB)
        except Impossible as reason:
            self.skipTest(str(reason))
        self.assert_resumes(server)
        self.assertIsNone(server.process.poll())
        # More than what was left in the old segments: the new room is really used.
        with server.connect() as connection:
            for _ in range(400):
                ids = [new_id() for _ in range(50)]
                self.assertEqual(self.post_batch(connection, ids, fill=4000).status, 202)
                acknowledged += ids
        self.assert_stored_once(server, acknowledged)

    def test_a_start_on_a_full_disk_that_knows_the_data_loses_nothing(self):
        disk = self.disk(self.kind)
        server = self.settled(disk)
        ballast = disk.fill()
        acknowledged, _ = self.fill_by_events(server)
        server.kill()
        # A start writes a little (its superblock): without that room it would be exit code 73.
        os.truncate(ballast, os.path.getsize(ballast) - (1 << 20))
        # It starts and reads; what it finds room for it takes, then it is full again.
        server.start()
        self.assertIsNotNone(self.stored(server, acknowledged[0]))
        self.assertIsNotNone(self.stored(server, acknowledged[-1]))
        more, refused = self.fill_by_events(server)
        acknowledged += more
        self.assert_full(server, refused)
        os.unlink(ballast)
        self.assert_resumes(server)
        self.assert_stored_once(server, acknowledged)

    def test_a_first_start_on_a_full_disk_is_exit_code_73(self):
        disk = self.disk(self.kind)
        for name, left in (("none", 0), ("some", 40 << 20)):
            with self.subTest(name):
                ballast = disk.fill()
                os.truncate(ballast, os.path.getsize(ballast) - left)
                data = os.path.join(disk.path, "data-" + name)
                server = self.unstarted(data=data).spawn()
                self.assertEqual(server.wait_exit(EXIT_SECONDS_MAX), EX_DATA_DIR,
                                 server.log_tail())
                self.assertRegex(server.log(), r"[Nn]o space")
                os.unlink(ballast)
                server.start()
                self.assert_stored_once(server, self.post_each(server, 5))
                shutil.rmtree(data)


class FullExt4(FullDisk, DiskCase):
    kind = Ext4


class FullXfs(FullDisk, DiskCase):
    kind = Xfs


class Sender(threading.Thread):
    """Pipelines events until the connection ends; sorts them by what was answered."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.acknowledged, self.unknown, self.unanswered, self.odd = [], [], [], []

    def run(self):
        try:
            with self.server.connect() as connection:
                while True:
                    self.unanswered = [new_id() for _ in range(16)]
                    connection.send(b"".join(
                        render("POST", "/v1/events", json.dumps(event(event_id=one)).encode(), KEY)
                        for one in self.unanswered))
                    for _ in range(16):
                        self.sort(connection.read_response())
        except (OSError, Closed):
            return

    def sort(self, response):
        one = self.unanswered.pop(0)
        if response.status == 202:
            self.acknowledged.append(one)
        elif response.status == 503 and response.json().get("outcome") == "unknown":
            self.unknown.append(one)
        else:
            # 503 without an outcome promises that nothing was stored.
            self.odd.append((one, response))


class FailingDisk:
    """The cases; their classes below say how the disk is made to fail."""
    kind = None

    def failing(self):
        disk = self.disk(self.kind, FAILING_MIB)
        return disk, self.server(data=os.path.join(disk.path, "data"), binary=Settings.fast_weir)

    def segment(self, server, suffix=".seg"):
        log = os.path.join(server.data, "log-00")
        return os.path.join(log, sorted(n for n in os.listdir(log) if n.endswith(suffix))[0])

    def fail_under_load(self, server, fail):
        """Sends on 6 connections, lets the disk fail, waits for the end; gives the senders."""
        senders = [Sender(server) for _ in range(6)]
        for sender in senders:
            sender.start()
        wait_until(lambda: sum(len(s.acknowledged) for s in senders) >= 500, 60, "500 answers")
        began = time.monotonic()
        fail()
        self.assertEqual(server.wait_exit(EXIT_SECONDS_MAX), EX_IO, server.log_tail())
        seconds = time.monotonic() - began
        for sender in senders:
            sender.join(30)
            self.assertFalse(sender.is_alive())
        acknowledged = [one for s in senders for one in s.acknowledged]
        unknown = [one for s in senders for one in s.unknown]
        unanswered = [one for s in senders for one in s.unanswered]
        for sender in senders:
            for _, response in sender.odd:
                self.assert_problem(response, 503)
        print("# %s: %d acknowledged, then %d outcome unknown, %d unanswered; exit code 74 after "
              "%.2f s" % (self.id().split(".", 1)[1], len(acknowledged), len(unknown),
                          len(unanswered), seconds))
        self.assertGreater(len(unknown), 0, "nobody heard that the outcome is unknown")
        return acknowledged, unknown + unanswered

    def assert_recovers(self, server, acknowledged, doubtful):
        server.start(60)
        # What a client does with an unknown outcome: it sends the same event again.
        with server.connect() as connection:
            for one in doubtful:
                response = connection.request("POST", "/v1/events",
                                              json.dumps(event(event_id=one)).encode(), KEY)
                self.assertEqual(response.status, 202, response)
        self.assert_stored_once(server, acknowledged + doubtful)

    def test_a_disk_that_dies_stops_the_server_and_loses_nothing(self):
        disk, server = self.failing()
        acknowledged, doubtful = self.fail_under_load(server, lambda: disk.fault("error"))
        disk.unmount()
        disk.heal()
        disk.repair_and_mount()
        self.assert_recovers(server, acknowledged, doubtful)

    def test_write_errors_in_the_log_alone_stop_the_server_and_lose_nothing(self):
        disk, server = self.failing()
        ranges = file_ranges(self.segment(server))
        acknowledged, doubtful = self.fail_under_load(
            server, lambda: disk.fault("error_writes", ranges))
        self.assertRegex(server.log(), r'"errno":5|error 5|[Ii]nput/output')
        disk.heal()  # the file system never noticed
        self.assert_recovers(server, acknowledged, doubtful)

    def test_a_start_on_a_bad_sector_is_refused_and_works_when_it_can_be_read(self):
        disk, server = self.failing()
        acknowledged = self.post_each(server, 50)
        self.assertEqual(server.stop(), 0, server.log_tail())
        path = self.segment(server)
        begin, _ = file_ranges(path)[0]
        disk.unmount()  # nothing of it may come from memory
        disk.mount()
        disk.fault("error", [[begin + 8192, begin + 12288]])
        server.spawn()
        self.assertEqual(server.wait_exit(EXIT_SECONDS_MAX), EX_IO, server.log_tail())
        self.assertIn(os.path.basename(path), server.log())
        disk.heal()
        self.assert_recovers(server, acknowledged, [])

    def test_acknowledged_writes_that_the_disk_lost_are_noticed(self):
        disk, server = self.failing()
        kept = self.post_each(server, 50)
        disk.fault("drop_writes", file_ranges(self.segment(server)))
        self.post_each(server, 50)  # the disk lies: these are nowhere
        disk.heal()
        later = self.post_each(server, 50)  # these blocks say that the lost ones were durable
        server.kill()
        disk.unmount()
        disk.mount()
        for _ in range(2):  # refusing is not repairing: it stays refused
            server.spawn()
            self.assertEqual(server.wait_exit(EXIT_SECONDS_MAX), EX_IO, server.log_tail())
        self.assertIn(os.path.basename(self.segment(server)), server.log())
        clean, said = verify(server.data, server.binary)
        self.assertFalse(clean, said)
        self.assertIn(os.path.basename(self.segment(server)), said)
        status, out, err = run_weir("journal", "verify", "--salvage", "--data", server.data,
                                    binary=server.binary)
        self.assertEqual(status, 0, out + err)
        # The demo key is LSN 1. What was lost is named exactly, and nothing more is given up.
        self.assertIn("log 0: lost LSN 52 to 101\n", out + err)
        self.assert_recovers(server, kept + later, [])

    def test_a_disk_that_loses_the_newest_writes_keeps_what_came_before(self):
        """The named limit of one copy: the missing end is not noticed, but it is only the end."""
        disk, server = self.failing()
        kept = self.post_each(server, 50)
        disk.fault("drop_writes", file_ranges(self.segment(server)))
        self.post_each(server, 50)
        server.kill()
        disk.heal()
        disk.unmount()
        disk.mount()
        self.assert_recovers(server, kept, [])


class FailingFuse(FailingDisk, DiskCase):
    kind = FuseExt4


class FailingDeviceMapper(FailingDisk, DiskCase):
    kind = DmExt4


class DeviceMapperTable(Case):
    """The one part of DmExt4 that can be tested on any machine."""

    def test_covers_the_device_without_gap_or_overlap(self):
        for ranges, kinds in ((None, ["drop"]), ([[0, 512]], ["drop", "linear"]),
                              ([[8192, 12288], [4096, 8192], [51200 - 512, 51200]],
                               ["linear", "drop", "drop", "linear", "drop"]),
                              ([[4096, 12288], [8192, 9000]], ["linear", "drop", "linear"])):
            at, seen = 0, []
            for line in dm_table("/dev/loop9", 100, "drop_writes", ranges).splitlines():
                words = line.split()
                self.assertEqual(int(words[0]), at)
                self.assertEqual(words[3:5], ["/dev/loop9", words[0]])
                at += int(words[1])
                seen.append({"flakey": "drop"}.get(words[2], words[2]))
            self.assertEqual((at, seen), (100, kinds), ranges)

    def test_each_fault_has_its_target(self):
        lines = {mode: dm_table("D", 8, mode, None)
                 for mode in ("none", "error", "error_writes", "drop_writes")}
        self.assertEqual(lines, {
            "none": "0 8 linear D 0\n", "error": "0 8 error\n",
            "error_writes": "0 8 flakey D 0 0 3600 1 error_writes\n",
            "drop_writes": "0 8 flakey D 0 0 3600 1 drop_writes\n"})
