"""The read model: it follows the logs, once for each record, whatever happens to the process,
and nothing that intake does waits for it.
"""
import json
import os
import sqlite3
import threading

from harness import DEMO_KEY, EX_DATA_DIR, Case, Settings, event, new_id, run_weir, wait_until
from http_client import Closed
from journal_dump import dump_ids

KEY = {"X-API-Key": DEMO_KEY}


def path_of(data):
    return os.path.join(data, "read-model", "read-model.db")


def ask(data, sql, *values):
    """The rows, read beside whoever has the file open."""
    connection = sqlite3.connect("file:%s?mode=ro" % path_of(data), uri=True, timeout=10)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def dump(data):
    """All that a rebuild must make again."""
    return {table: sorted(ask(data, "SELECT * FROM " + table), key=repr)
            for table in ("projects", "positions", "events", "metric_minutes", "incidents",
                          "incident_changes", "ai_runs", "jobs")}


class Following(Case):
    def readiness(self, server):
        return server.request("GET", "/readyz", key=None).json()

    def state(self, server):
        return self.readiness(server)["read_model"]["state"]

    def followed(self, server, timeout=60):
        """Waits until the read model is up to date."""
        def current():
            read_model = self.readiness(server)["read_model"]
            return read_model["state"] == "running" and read_model["lag_records"] == 0
        wait_until(current, timeout, "the read model is up to date")

    def send_batches(self, server, count):
        ids = [new_id() for _ in range(count)]
        with server.connect() as connection:
            for start in range(0, count, 100):
                body = {"events": [event(event_id=i, message="batch of " + i)
                                   for i in ids[start:start + 100]]}
                response = connection.request("POST", "/v1/events/batch",
                                              json.dumps(body).encode(), KEY)
                self.assertEqual(response.status, 202, response)
        return ids

    def ids_of_rows(self, data):
        return sorted(row[0].hex() for row in ask(data, "SELECT event_id FROM events"))

    def assert_rows_are(self, data, ids):
        self.assertEqual(self.ids_of_rows(data), sorted(i.replace("-", "") for i in ids))
        self.assertEqual(ask(data, "SELECT sum(value) FROM metric_minutes"), [(len(ids),)])
        found = ask(data, "SELECT count(*) FROM event_search WHERE event_search MATCH ?",
                    "scope : p1")
        self.assertEqual(found, [(len(ids),)])

    def test_has_what_was_sent_within_a_second(self):
        server = self.server("--shards", "2")
        identity = new_id().upper()
        self.post_ok(server, event(event_id=identity, message="a \"quoted\" Überraschung",
                                   attributes={"route": "/x", "n": 1}))
        wait_until(lambda: ask(server.data, "SELECT count(*) FROM events") == [(1,)], 30, "a row")
        row = ask(server.data, "SELECT spelled_id, environment, event_type, severity, message,"
                               " attributes, occurred_ms FROM events")[0]
        self.assertEqual(row, (identity, 0, 0, 3, "a \"quoted\" Überraschung",
                               '{"route": "/x", "n": 1}', 1736942400000))
        found = ask(server.data, "SELECT count(*) FROM event_search WHERE event_search MATCH ?",
                    "message : uberraschung AND message : QUOTES")
        self.assertEqual(found, [(1,)], "stems, without accents and case")
        ids = self.send_batches(server, 500)
        self.followed(server)
        self.assert_rows_are(server.data, ids + [identity.lower()])
        metrics = server.metrics()
        self.assertEqual(metrics["weir_projection_lag_records"], 0)
        self.assertEqual(metrics["weir_projection_skipped_records_total"], 0)
        self.assertEqual(metrics["weir_read_model_state"], 2)
        self.assertGreaterEqual(metrics["weir_projection_records_total"], 501)
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_loses_and_doubles_nothing_when_killed(self):
        data = self.data()
        server = self.unstarted("--shards", "2", data=data)
        sent = set()
        for _ in range(8 if Settings.long else 4):
            server.start()
            stop = threading.Event()

            def send():
                while not stop.is_set():
                    ids = [new_id() for _ in range(20)]
                    body = {"events": [event(event_id=i) for i in ids]}
                    sent.update(ids)
                    try:
                        server.request("POST", "/v1/events/batch", body)
                    except (OSError, Closed):
                        return

            threads = [threading.Thread(target=send) for _ in range(4)]
            for thread in threads:
                thread.start()
            before = len(sent)
            wait_until(lambda: len(sent) > before + 400, 60, "some events were sent")
            server.kill()
            stop.set()
            for thread in threads:
                thread.join()
        server.start()
        self.followed(server)
        self.assertEqual(server.stop(), 0, server.log_tail())
        stored = dump_ids(data, Settings.weir)
        self.assertTrue(set(stored) <= sent)
        self.assert_rows_are(data, list(stored))

    def test_is_made_anew_from_the_logs_as_it_was(self):
        data = self.data()
        for shards in ("1", "2", "1"):
            server = self.server("--shards", shards, data=data)
            self.send_batches(server, 300)
            self.followed(server)
            status, _, err = run_weir("migrate", "--data", data, "--rebuild")
            self.assertEqual(status, EX_DATA_DIR, err)
            self.assertIn("stop the server first", err)
            self.assertEqual(server.stop(), 0, server.log_tail())
        before = dump(data)
        self.assertEqual(len(before["events"]), 900)
        status, out, err = run_weir("migrate", "--data", data, "--rebuild", "--json")
        self.assertEqual(status, 0, err)
        self.assertTrue(json.loads(out)["rebuilt"])
        self.assertEqual(json.loads(out)["unknown_records"], 0)
        self.assertEqual(dump(data), before)
        server = self.server(data=data)
        more = self.send_batches(server, 100)
        self.followed(server)
        self.assertEqual(len(self.ids_of_rows(data)), 900 + len(more))
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_a_damaged_one_is_refused_and_intake_goes_on(self):
        data = self.data()
        server = self.server(data=data)
        ids = self.send_batches(server, 100)
        self.followed(server)
        self.assertEqual(server.stop(), 0, server.log_tail())
        with open(path_of(data), "r+b") as file:
            file.write(b"\xff" * 64)
        server = self.server(data=data)
        wait_until(lambda: self.state(server) == "refused", 10, "it says")
        readiness = self.readiness(server)
        self.assertTrue(readiness["ready"])
        self.assertIn("read_model_refused", readiness["warnings"])
        self.assertIn("weir migrate --rebuild", readiness["read_model"]["detail"])
        self.assertIn("the read model cannot be used", server.log())
        ids += self.send_batches(server, 100)
        self.assertEqual(server.stop(), 0, server.log_tail())
        status, _, err = run_weir("migrate", "--data", data)
        self.assertNotEqual(status, 0)
        self.assertIn("--rebuild", err)
        self.assertEqual(run_weir("migrate", "--data", data, "--rebuild")[0], 0)
        self.assert_rows_are(data, ids)

    def test_one_of_a_later_version_is_refused(self):
        data = self.data()
        server = self.server(data=data)
        self.assertEqual(server.stop(), 0, server.log_tail())
        connection = sqlite3.connect(path_of(data))
        connection.execute("PRAGMA user_version = 4711")
        connection.close()
        server = self.server(data=data)
        self.assertIn("later version", self.readiness(server)["read_model"]["detail"])
        self.assertEqual(server.stop(), 0, server.log_tail())
        status, _, err = run_weir("migrate", "--data", data)
        self.assertEqual(status, EX_DATA_DIR, err)
        self.assertIn("later version", err)

    def test_can_be_off(self):
        server = self.server(env={"WEIR_STORE_READ_MODEL": "off"})
        self.post_ok(server, event())
        self.assertEqual(self.readiness(server)["read_model"]["state"], "off")
        self.assertFalse(os.path.exists(path_of(server.data)))
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_intake_does_not_wait_for_it(self):
        server = self.server()
        self.send_batches(server, 100)
        self.followed(server)
        locker = sqlite3.connect(path_of(server.data), isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        ids = self.send_batches(server, 1000)
        self.assertEqual(len(ids), 1000)
        self.assertGreater(self.readiness(server)["read_model"]["lag_records"], 0)
        wait_until(lambda: server.metric("weir_projection_lag_seconds") > 0.5, 30, "the lag shows")
        wait_until(lambda: self.state(server) == "failing", 30, "it says")
        locker.execute("ROLLBACK")
        locker.close()
        self.followed(server)
        self.assertEqual(len(self.ids_of_rows(server.data)), 1100)
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_migrating_twice_does_nothing(self):
        server = self.server()
        self.assertEqual(server.stop(), 0, server.log_tail())
        status, out, err = run_weir("migrate", "--data", server.data)
        self.assertEqual((status, out), (0, "nothing to do: the schema is that of this version\n"),
                         err)
        os.unlink(path_of(server.data))
        status, out, err = run_weir("migrate", "--data", server.data, "--json")
        self.assertEqual(status, 0, err)
        self.assertGreater(json.loads(out)["migrations"], 0)
        status, _, err = run_weir("migrate", "--data", server.data + "-not-there")
        self.assertEqual(status, EX_DATA_DIR, err)
