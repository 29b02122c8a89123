"""The command line: what replay, keys and journal promise beyond the single call."""
import glob
import json
import os

from harness import (DEMO_KEY, EX_DATA_DIR, EX_IO, EX_UNAVAILABLE, EX_USAGE, Case, Settings,
                     SharedCase, event, free_port, new_id, run_weir)

FIXTURE = os.path.join(Settings.root, "tests/fixtures/spike.ndjson")


def lines_of(*events):
    return "".join(json.dumps(item) + "\n" for item in events).encode()


def dump(data, *arguments):
    status, out, err = run_weir("journal", "dump", "--data", data, *arguments)
    assert status == 0, err
    return [json.loads(line) for line in out.split("\n") if line]


class Replay(SharedCase):
    def replay(self, *arguments, stdin=b"", key=DEMO_KEY):
        """Exit status, the summary, stderr."""
        status, out, err = run_weir("replay", *arguments, "--json", "--speed", "max", "--key", key,
                                    "--url", "http://127.0.0.1:%d" % self.weir.port, stdin=stdin)
        return status, json.loads(out), err

    def test_events_without_an_id_are_sent_once_however_often_they_are_replayed(self):
        text = lines_of(event(message=new_id()), event(message="same"), event(message="same"))
        status, first, err = self.replay("-", stdin=text)
        self.assertEqual((status, first["accepted"]), (0, 3), err)
        for batch in ("1", "100"):
            status, second, err = self.replay("-", "--batch", batch, "--verify", stdin=text)
            self.assertEqual((status, second["accepted"], second["duplicates"],
                              second["verified"]), (0, 0, 3, 3), err)

    def test_one_seed_gives_one_set_of_ids(self):
        ids = []
        for seed in ("7", "7", "8"):
            status, summary, err = self.replay(FIXTURE, "--new-ids", "--seed", seed, "--batch",
                                               "50", "--verify")
            self.assertEqual(status, 0, err)
            self.assertEqual(summary["seed"], int(seed))
            ids.append((summary["accepted"], summary["duplicates"]))
        size = ids[0][0]
        self.assertGreater(size, 0)
        self.assertEqual(ids, [(size, 0), (0, size), (size, 0)])

    def test_new_ids_are_new_without_a_seed(self):
        for _ in range(2):
            status, summary, err = self.replay(FIXTURE, "--new-ids")
            self.assertEqual((status, summary["duplicates"]), (0, 0), err)

    def test_bad_lines_are_counted_and_the_others_are_sent(self):
        text = lines_of(event()) + b"\n[]\n" + lines_of({"event_type": "error"}, event())
        for batch in ("1", "10"):
            status, summary, err = self.replay("-", "--batch", batch, "--new-ids", stdin=text)
            self.assertEqual(status, 1)
            self.assertEqual((summary["accepted"], summary["bad_lines"], summary["rejected"]),
                             (2, 1, 1), err)
            self.assertIn("line 3:", err)
            self.assertIn("line 4:", err)
            self.assertIs(summary["ok"], False)
        status, summary, err = self.replay("-", "--skip-bad", stdin=text)
        self.assertEqual((status, summary["accepted"]), (0, 2), err)

    def test_another_event_under_a_known_id_is_a_failure(self):
        identity = new_id()
        self.post_ok(self.weir, event(event_id=identity, message="first"))
        text = lines_of(event(event_id=identity, message="second"))
        for batch in ("1", "10"):
            status, summary, err = self.replay("-", "--batch", batch, "--skip-bad", stdin=text)
            self.assertEqual((status, summary["rejected"]), (1, 1), err)
            self.assertIn("event_id_conflict", err)

    def test_a_line_longer_than_any_event_does_not_stop_the_others(self):
        text = lines_of(event(message="x" * (2 << 20)), event())
        status, summary, err = self.replay("-", stdin=text)
        self.assertEqual((status, summary["bad_lines"], summary["accepted"]), (1, 1, 1), err)
        self.assertIn("line 1:", err)

    def test_a_batch_larger_than_the_server_takes_ends_the_run_with_a_hint(self):
        text = lines_of(*[event() for _ in range(101)])
        status, summary, err = self.replay("-", "--batch", "101", stdin=text)
        self.assertEqual((status, summary["sent"]), (1, 0))
        self.assertIn("--batch", err)

    def dump(self, server):
        """The events of a server's journal, without what says when and where they were stored."""
        status, out, err = run_weir("journal", "dump", "--data", server.data, "--type", "event")
        self.assertEqual(status, 0, err)
        events = []
        for line in out.split("\n"):
            if line:
                found = json.loads(line)["event"]
                del found["received_at"]
                events.append(json.dumps(found, sort_keys=True))
        return out, sorted(events)

    def test_two_replays_of_one_seed_give_the_same_accepted_set(self):
        sets = []
        for name, seed, batch in (("a", "5", "1"), ("b", "5", "40"), ("c", "6", "40")):
            server = self.server("--shards", "2", data=self.data(name))
            status, out, err = run_weir("replay", FIXTURE, "--json", "--speed", "max", "--new-ids",
                                        "--seed", seed, "--batch", batch, "--key", DEMO_KEY,
                                        "--url", "http://127.0.0.1:%d" % server.port)
            self.assertEqual(status, 0, out + err)
            sets.append(self.dump(server)[1])
            self.assertEqual(server.stop(), 0)
        self.assertEqual(len(sets[0]), 73)
        self.assertEqual(sets[0], sets[1])
        self.assertNotEqual(sets[0], sets[2])

    def test_a_dump_of_two_logs_gives_the_same_set_on_another_server(self):
        first = self.server("--shards", "2", data=self.data("first"))
        for number in range(30):
            self.post_ok(first, event(message="m%d" % number, environment="prod",
                                      attributes={"route": "/r/%d" % number}))
        text, events = self.dump(first)
        self.assertEqual(len({json.loads(line)["log"] for line in text.split("\n") if line}), 2)
        second = self.server("--shards", "2", data=self.data("second"))
        for accepted in (30, 0):
            status, out, err = run_weir("replay", "-", "--json", "--key", DEMO_KEY, "--verify",
                                        "--sort", "--speed", "100", "--url",
                                        "http://127.0.0.1:%d" % second.port, stdin=text.encode())
            summary = json.loads(out)
            self.assertEqual((status, summary["sent"], summary["accepted"], summary["verified"]),
                             (0, 30, accepted, 30), err)
        self.assertEqual(self.dump(second)[1], events)

    def test_sorted_lines_are_sent_in_the_order_of_their_times(self):
        times = [3, 1, 2, 1]
        lines = [event(event_id=new_id(), message="m",
                       occurred_at="2025-01-15T12:00:00.00%dZ" % time) for time in times]
        text = lines_of(*lines) + b"\n[]\n"
        status, summary, err = self.replay("-", "--sort", "--skip-bad", stdin=text)
        self.assertEqual((status, summary["accepted"], summary["lines"], summary["bad_lines"]),
                         (0, 4, 6, 1), err)
        self.assertIn("line 6:", err)
        out = self.dump(self.weir)[0]
        ids = [line["event_id"] for line in lines]
        sent = [json.loads(line)["event"]["event_id"] for line in out.split("\n") if line]
        self.assertEqual([i for i in sent if i in ids], [ids[1], ids[3], ids[2], ids[0]])

    def test_a_dump_can_be_replayed(self):
        text = lines_of(*[event(event_id=new_id()) for _ in range(5)])
        self.assertEqual(self.replay("-", stdin=text)[0], 0)
        status, out, err = run_weir("journal", "dump", "--data", self.weir.data)
        self.assertEqual(status, 0, err)
        status, summary, err = self.replay("-", "--batch", "100", "--verify", stdin=out.encode())
        self.assertEqual((status, summary["accepted"]), (0, 0), err)
        self.assertGreaterEqual(summary["duplicates"], 5)
        self.assertEqual(summary["verified"], summary["sent"])

    def test_usage_errors(self):
        for arguments in (["replay", "-", "--speed", "0"], ["replay", "-", "--speed", "fast"],
                          ["replay", "-", "--url", "nonsense"], ["replay", "-", "--batch", "0"],
                          ["replay", "-", "--max-gap", "soon"], ["replay", "-", "--seed", "1"],
                          ["replay", "-", "--shift-time", "--gaps", "arrival"],
                          ["replay", "-", "--url", "http://192.0.2.1"], ["replay", "-", "more"]):
            with self.subTest(arguments):
                status, _, err = run_weir(*arguments)
                self.assertEqual(status, EX_USAGE, err)
                self.assertIn("weir replay --help", err)
        self.assertEqual(run_weir("replay", "/nonexistent/file")[0], 1)


class Patience(Case):
    def test_a_quota_is_waited_out(self):
        server = self.server(env={"WEIR_LIMITS_EVENTS_PER_SECOND": "60",
                                  "WEIR_LIMITS_EVENTS_BURST": "20"})
        for batch in ("1", "40"):
            status, out, err = run_weir("replay", FIXTURE, "--speed", "max", "--new-ids",
                                        "--batch", batch, "--json", "--key", DEMO_KEY,
                                        "--url", "http://127.0.0.1:%d" % server.port)
            summary = json.loads(out)
            self.assertEqual((status, summary["rejected"]), (0, 0), err)
            self.assertGreaterEqual(summary["retries"], 1)


class Keys(SharedCase):
    def keys(self, *arguments, token=None):
        return run_weir("keys", *arguments, "--url", "http://127.0.0.1:%d" % self.weir.port,
                        env={"WEIR_ADMIN_TOKEN": token} if token else None)

    def test_the_token_is_found_in_the_data_directory(self):
        status, out, err = self.keys("create", "--org", "a", "--project", "b", "--data",
                                     self.weir.data)
        self.assertEqual(status, 0, err)
        self.assertIn("weir_", out)
        status, out, err = self.keys("list", "--data", self.weir.data)
        self.assertEqual(status, 0, err)
        self.assertIn("org_demo", out)

    def test_lists_are_followed_to_their_end(self):
        for i in range(105):
            status, _, err = self.keys("create", "--org", "many", "--project", "p%d" % i,
                                       token=self.weir.admin_token())
            self.assertEqual(status, 0, err)
        status, out, err = self.keys("list", "--json", token=self.weir.admin_token())
        self.assertEqual(status, 0, err)
        listed = json.loads(out)
        self.assertIsNone(listed["next_cursor"])
        self.assertEqual(len({k["id"] for k in listed["keys"] if k["org_id"] == "many"}), 105)

    def test_refusals(self):
        token = self.weir.admin_token()
        status, _, err = self.keys("list", token="wrong")
        self.assertEqual(status, 1)
        self.assertIn("401", err)
        status, _, err = self.keys("create", "--org", "a", "--project", "b", "--scopes", "nope",
                                   token=token)
        self.assertEqual(status, 1)
        self.assertIn("422", err)
        status, _, err = self.keys("revoke", new_id(), token=token)
        self.assertEqual(status, 1)
        self.assertIn("404", err)
        for arguments in (["create", "--org", "a"], ["revoke"], ["revoke", "../x"], ["frob"], []):
            with self.subTest(arguments):
                self.assertEqual(run_weir("keys", *arguments,
                                          env={"WEIR_ADMIN_TOKEN": token})[0], EX_USAGE)
        self.assertEqual(run_weir("keys", "list", "--data", "/nonexistent")[0], EX_DATA_DIR)


class Journal(Case):
    def filled(self, count=30):
        """Of a type that no rule counts, so that the log has these records and no others."""
        server = self.server()
        for i in range(count):
            self.post_ok(server, event(event_type="deploy", message="needle-%d." % i))
        return server

    def test_dump_filters_and_hides_secrets(self):
        server = self.filled()
        made = server.admin("POST", "/v1/admin/keys", {"org_id": "o", "project_id": "p"}).json()
        self.post_ok(server, event(), headers={"Idempotency-Key": "once"})
        records = dump(server.data)
        self.assertEqual({r["type"] for r in records}, {"event", "claim", "key"})
        keys = dump(server.data, "--type", "key")
        self.assertEqual([r["id"] for r in keys if r["org_id"] == "o"], [made["id"]])
        self.assertNotIn(made["key"], json.dumps(keys))
        self.assertFalse([r for r in keys if "hash" in r])
        claims = dump(server.data, "--type", "claim")
        self.assertEqual([(r["key"], len(r["events"])) for r in claims], [("once", 1)])
        middle = records[len(records) // 2]
        self.assertTrue(all(r["lsn"] >= middle["lsn"]
                            for r in dump(server.data, "--from", str(middle["lsn"]))))
        self.assertEqual({r["partition"] for r in
                          dump(server.data, "--partition", str(middle["partition"]))},
                         {middle["partition"]})
        self.assertEqual(dump(server.data, "--limit", "3"), records[:3])

    def test_inspect_and_verify_as_json(self):
        server = self.filled()
        status, out, err = run_weir("journal", "inspect", "--data", server.data, "--json")
        self.assertEqual(status, 0, err)
        shown = json.loads(out)
        self.assertEqual(shown["superblock"]["boot_generation"], 1)
        self.assertGreaterEqual(sum(s.get("records", 0) for s in shown["segments"]), 30)
        status, out, err = run_weir("journal", "verify", "--data", server.data, "--json")
        self.assertEqual(status, 0, err)
        found = json.loads(out)
        self.assertIs(found["ok"], True)
        self.assertGreaterEqual(found["records"], 30)

    def test_salvage_is_for_a_stopped_server_and_keeps_what_is_intact(self):
        server = self.filled(200)
        status, _, err = run_weir("journal", "verify", "--data", server.data, "--salvage")
        self.assertEqual(status, EX_DATA_DIR, err)
        self.assertEqual(server.stop(), 0, server.log_tail())
        for path in glob.glob(server.data + "/**/*.seg", recursive=True):
            with open(path, "r+b") as file:
                offset = file.read().find(b"needle-50.")
                if offset >= 0:
                    file.seek(offset)
                    file.write(b"N")
        status, out, _ = run_weir("journal", "verify", "--data", server.data, "--json")
        self.assertEqual((status, json.loads(out)["ok"]), (EX_IO, False))
        status, out, err = run_weir("journal", "verify", "--data", server.data, "--salvage",
                                    "--json")
        self.assertEqual(status, 0, err)
        report = json.loads(out)
        self.assertIs(report["ok"], True)
        self.assertEqual(report["salvaged_logs"], 1)
        lost = sum(range_["last_lsn"] - range_["first_lsn"] + 1 for range_ in report["lost"])
        self.assertGreaterEqual(lost, 1)
        messages = {r["event"]["message"] for r in dump(server.data, "--type", "event")}
        self.assertNotIn("needle-50.", messages)
        self.assertIn("needle-199.", messages)
        again = self.server(data=server.data)
        self.assertEqual(again.stop(), 0, again.log_tail())

    def test_what_is_no_data_directory_is_named(self):
        for action in ("inspect", "verify", "dump"):
            with self.subTest(action):
                status, _, err = run_weir("journal", action, "--data", self.directory)
                self.assertEqual(status, EX_DATA_DIR, err)
                self.assertIn(self.directory, err)


class Unreachable(Case):
    def test_each_command_says_who_does_not_answer(self):
        url = "http://127.0.0.1:%d" % free_port()
        for arguments in (["replay", FIXTURE, "--speed", "max"], ["keys", "list"]):
            with self.subTest(arguments):
                status, _, err = run_weir(*arguments, "--url", url,
                                          env={"WEIR_ADMIN_TOKEN": "x"})
                self.assertEqual(status, EX_UNAVAILABLE, err)
                self.assertIn(url, err)
