"""`weir replay` and `weir journal` against a running server."""
import glob
import json
import os
import time

from harness import (DEMO_KEY, EX_IO, EX_UNAVAILABLE, Case, Settings, SharedCase, event,
                     free_port, new_id, run_weir)
from test_durability import dump_ids

FIXTURE = os.path.join(Settings.root, "tests/fixtures/spike.ndjson")


def fixture_events():
    with open(FIXTURE, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Replay(SharedCase):
    def replay(self, *arguments, stdin=b"", timeout=120):
        return run_weir("replay", *arguments, "--url", "http://127.0.0.1:%d" % self.weir.port,
                        "--key", DEMO_KEY, stdin=stdin, timeout=timeout)

    def test_the_fixture_is_what_it_says(self):
        events = fixture_events()
        self.assertGreaterEqual(len(events), 60)
        self.assertEqual(len({e["event_id"] for e in events}), len(events))
        self.assertEqual({e["event_type"] for e in events},
                         {"error", "http_request", "signup", "deploy", "feedback", "custom"})
        times = [e["occurred_at"] for e in events]
        self.assertEqual(times, sorted(times))

    def test_max_speed_sends_all_and_verifies_each(self):
        status, out, err = self.replay(FIXTURE, "--speed", "max", "--verify")
        self.assertEqual(status, 0, out + err)
        for given in fixture_events():
            stored = self.stored(self.weir, given["event_id"])
            self.assertIsNotNone(stored, given["event_id"])
            self.assertEqual(stored["message"], given["message"])
            self.assertEqual(stored["occurred_at"], given["occurred_at"])

    def test_a_second_replay_of_the_same_ids_adds_nothing(self):
        self.replay(FIXTURE, "--speed", "max")
        before = self.weir.metrics().get('weir_events_total{outcome="accepted"}', 0)
        status, out, err = self.replay(FIXTURE, "--speed", "max")
        self.assertEqual(status, 0, out + err)
        after = self.weir.metrics().get('weir_events_total{outcome="accepted"}', 0)
        self.assertEqual(after, before)

    def test_new_ids_and_batches(self):
        before = self.weir.metrics().get('weir_events_total{outcome="accepted"}', 0)
        status, out, err = self.replay(FIXTURE, "--speed", "max", "--new-ids", "--batch", "20")
        self.assertEqual(status, 0, out + err)
        after = self.weir.metrics().get('weir_events_total{outcome="accepted"}', 0)
        self.assertEqual(after - before, len(fixture_events()))

    def test_standard_input_and_bounded_gaps(self):
        lines = [event(event_id=new_id(), occurred_at="2025-01-15T12:00:00Z"),
                 event(event_id=new_id(), occurred_at="2025-01-15T12:00:01Z"),
                 event(event_id=new_id(), occurred_at="2025-01-16T12:00:00Z")]
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        started = time.monotonic()
        status, out, err = self.replay("-", "--speed", "2", "--max-gap", "1s", stdin=text)
        self.assertEqual(status, 0, out + err)
        # 1 s and then a day that --max-gap cuts to 1 s, at twice the speed.
        self.assertGreaterEqual(time.monotonic() - started, 0.95)
        for line in lines:
            self.assertIsNotNone(self.stored(self.weir, line["event_id"]))

    def test_shift_time_moves_the_last_event_to_now(self):
        lines = [event(event_id=new_id(), occurred_at="2025-01-15T12:00:00Z"),
                 event(event_id=new_id(), occurred_at="2025-01-15T12:00:00.250Z")]
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        status, out, err = self.replay("-", "--shift-time", stdin=text)
        self.assertEqual(status, 0, out + err)
        stored = self.stored(self.weir, lines[1]["event_id"])
        self.assertEqual(stored["occurred_at"][:4], stored["received_at"][:4])
        self.assertNotEqual(stored["occurred_at"], lines[1]["occurred_at"])

    def test_a_bad_line_is_named(self):
        text = (json.dumps(event()) + "\n{broken\n").encode()
        status, out, err = self.replay("-", "--speed", "max", stdin=text)
        self.assertNotEqual(status, 0, out + err)
        self.assertIn("2", err)

    def test_nobody_listens(self):
        status, _, err = run_weir("replay", FIXTURE, "--speed", "max", "--key", DEMO_KEY,
                                  "--url", "http://127.0.0.1:%d" % free_port())
        self.assertEqual(status, EX_UNAVAILABLE, err)

    def test_a_wrong_key_fails(self):
        status, _, err = run_weir("replay", FIXTURE, "--speed", "max", "--key", "wrong",
                                  "--url", "http://127.0.0.1:%d" % self.weir.port)
        self.assertNotEqual(status, 0)
        self.assertIn("401", err)


class Journal(Case):
    def test_dump_is_one_json_object_per_record_and_filters(self):
        server = self.server()
        ids = [self.post_ok(server, event())["event_id"] for _ in range(20)]
        self.assertEqual(server.stop(), 0, server.log_tail())
        status, out, err = run_weir("journal", "dump", "--data", server.data)
        self.assertEqual(status, 0, err)
        records = [json.loads(line) for line in out.split("\n") if line]
        self.assertGreaterEqual(len(records), 20)
        counts = dump_ids(server.data, Settings.weir)
        self.assertEqual([counts[i] for i in ids], [1] * 20)

    def test_verify_names_a_flipped_byte(self):
        server = self.server()
        receipt = self.post_ok(server, event(message="find-this-needle"))
        for _ in range(50):
            self.post_ok(server, event())
        self.assertEqual(server.stop(), 0, server.log_tail())
        hit = None
        for path in sorted(glob.glob(server.data + "/**/*", recursive=True)):
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    offset = file.read().find(b"find-this-needle")
                if offset >= 0:
                    hit = path, offset
                    break
        self.assertIsNotNone(hit, "the message is not on disk as written")
        with open(hit[0], "r+b") as file:
            file.seek(hit[1])
            file.write(b"F")
        status, out, err = run_weir("journal", "verify", "--data", server.data)
        self.assertEqual(status, EX_IO, out + err)
        self.assertIn(os.path.basename(hit[0]), out + err)
        again = self.unstarted(data=server.data).spawn()
        self.assertEqual(again.wait_exit(), EX_IO, again.log_tail())
        self.assertIn(os.path.basename(hit[0]), again.log())
        self.assertTrue(receipt["event_id"])
