"""How the server is, for operators: /v1/admin/runtime, /v1/admin/doctor, weir doctor."""
import datetime
import json
import re
import threading
import time

from harness import Case, ORG, SharedCase, run_weir, wait_until
from test_http_request import PRIVATE, Peer

LINE = r"^(ok   |WARN |FAIL )[a-z_]+ +\S.*$"


def unix_ms(text):
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")
    return round(moment.timestamp() * 1000)


def key(server, project, scopes=("ingest", "read", "admin")):
    response = server.admin("POST", "/v1/admin/keys", {
        "org_id": ORG, "project_id": project, "scopes": list(scopes)})
    assert response.status == 201, response
    return response.json()["key"]


class Runtime(SharedCase):
    arguments = ("--shards", "2")

    def runtime(self, **options):
        response = self.weir.request("GET", "/v1/admin/runtime", **options) if options \
            else self.weir.admin("GET", "/v1/admin/runtime")
        self.assertEqual(response.status, 200, response)
        return response.json()

    def test_each_shard_shows_its_tree_its_jobs_and_its_journal(self):
        shards = self.runtime()["shards"]
        self.assertEqual([shard["index"] for shard in shards], [0, 1])
        for shard in shards:
            names = [line["name"] for line in shard["tree"]]
            self.assertEqual(names[0], "root")
            for name in ("keeper", "jobs", "intake", "connections", "listener"):
                self.assertIn(name, names)
            for line in shard["tree"]:
                self.assertEqual((line["state"], line["restarts"]), ("running", 0))
            self.assertEqual(shard["actors_left_out"], 0)
            self.assertEqual(shard["journal"]["state"], "open")
            self.assertGreater(shard["journal"]["segments"], 0)
            self.assertGreater(shard["timers"], 0)

    def test_connections_are_counted_and_not_listed(self):
        connections = [self.weir.connect() for _ in range(20)]
        try:
            for connection in connections:
                connection.request("GET", "/livez", None, {})

            def count():
                return sum(line["count"] for shard in self.runtime()["shards"]
                           for line in shard["tree"] if line["type"] == "connection")
            self.assertGreaterEqual(count(), 21)
            for shard in self.runtime()["shards"]:
                self.assertLess(len(shard["tree"]), 48)
        finally:
            for connection in connections:
                connection.close()

    def test_the_deepest_queues_come_first_and_a_key_sees_those_of_its_project(self):
        mine, other = key(self.weir, "proj_a"), key(self.weir, "proj_b")
        for project_key, count in ((mine, 3), (other, 5)):
            for n in range(25):
                jobs = {"jobs": [{"kind": "depth.%d" % n}] * (count + n)}
                self.assertEqual(self.weir.request("POST", "/v1/jobs/batch", jobs,
                                                   key=project_key).status, 202)
        everything = self.runtime()["queues"]
        depths = [queue["counts"]["queued"] for queue in everything]
        self.assertEqual((len(depths), depths), (20, sorted(depths, reverse=True)))
        self.assertEqual((everything[0]["project"], everything[0]["kind"]), ("proj_b", "depth.24"))
        own = self.runtime(key=mine)["queues"]
        self.assertEqual({queue["project"] for queue in own}, {"proj_a"})
        self.assertEqual(own[0]["counts"]["queued"], 27)

    def test_only_admins_see_it(self):
        for path in ("/v1/admin/runtime", "/v1/admin/doctor"):
            self.assert_problem(self.weir.request("GET", path), 403, "forbidden_scope")
            self.assert_problem(self.weir.request("GET", path, key=None), 401)
            self.assert_problem(self.weir.admin("POST", path), 405, "method_not_allowed")


class Breakers(Case):
    def jobs(self, server, url, count, **options):
        body = {"jobs": [{"kind": "http.request", "payload": {"url": url}}] * count}
        self.assertEqual(server.request("POST", "/v1/jobs/batch", body, **options).status, 202)

    def runtime(self, server, **options):
        response = server.request("GET", "/v1/admin/runtime", **options) if options \
            else server.admin("GET", "/v1/admin/runtime")
        self.assertEqual(response.status, 200, response)
        return response.json()

    def peer(self, script):
        peer = Peer(script)
        self.addCleanup(peer.close)
        return peer

    def test_an_open_breaker_is_shown_with_what_waits_for_it_and_again_after_a_restart(self):
        down = self.peer(lambda path, seen: None)
        up = self.peer(lambda path, seen: (200, {}, b""))
        server = self.server("--shards", "2", env=PRIVATE)
        mine, other = key(server, "proj_a"), key(server, "proj_b")
        before = int(time.time() * 1000)
        self.jobs(server, up.url + "/", 1, key=other)
        self.jobs(server, down.url + "/", 40, key=mine)

        def opened():
            first = self.runtime(server)["breakers"][:1]
            return first and first[0]["state"] == "open" and first[0]["parked"] >= 20
        wait_until(opened, 15, "no open breaker")
        shown = self.runtime(server)
        first = shown["breakers"][0]
        self.assertEqual((first["org"], first["project"], first["destination"]),
                         (ORG, "proj_a", down.url))
        self.assertEqual((first["failures"], first["openings"]), (0, 1))
        self.assertGreaterEqual(unix_ms(first["since"]), before)
        self.assertEqual(unix_ms(first["next_probe_at"]) - unix_ms(first["since"]), 30001)
        wait_until(lambda: len(self.runtime(server)["breakers"]) == 2, 15, "no second breaker")
        second = self.runtime(server)["breakers"][1]
        self.assertEqual((second["destination"], second["state"], second["next_probe_at"],
                          second["parked"]), (up.url, "closed", None, 0))
        self.assertEqual(sum(s["breakers"]["open"] for s in self.runtime(server)["shards"]), 1)
        self.assertEqual([b["project"] for b in self.runtime(server, key=other)["breakers"]],
                         ["proj_b"])
        checks = {check["name"]: check
                  for check in server.admin("GET", "/v1/admin/doctor").json()["checks"]}
        self.assertEqual([checks[name]["status"] for name in ("runs", "breakers", "probes",
                                                              "parked_room")], ["ok"] * 4, checks)
        self.assertEqual(checks["probes"]["numbers"], {"open": 1, "unprobed": 0})
        self.assertGreaterEqual(checks["breakers"]["numbers"]["parked"], 20)
        server.kill()
        server.start()
        again = self.runtime(server)["breakers"][0]
        self.assertEqual([again[name] for name in ("project", "destination", "state", "since",
                                                   "next_probe_at", "openings")],
                         [first[name] for name in ("project", "destination", "state", "since",
                                                   "next_probe_at", "openings")])
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_handlers_inside_of_the_process_are_shown_with_what_they_run(self):
        release = threading.Event()
        self.addCleanup(release.set)
        slow = self.peer(lambda path, seen: release.wait(60) and (200, {}, b""))
        server = self.server(env=PRIVATE)
        self.jobs(server, slow.url + "/", 3)
        wait_until(lambda: len(slow.seen("/")) == 3, 15, "no requests")
        shard = self.runtime(server)["shards"][0]
        handlers = {handler["kind"]: handler for handler in shard["handlers"]}
        self.assertEqual(handlers["http.request"]["running"], 3)
        self.assertGreaterEqual(handlers["http.request"]["concurrency"], 3)
        self.assertEqual(handlers["incident.summarize"]["running"], 0)
        self.assertEqual((shard["breakers"]["calls"], shard["breakers"]["closed"]), (3, 1))
        self.assertEqual(self.runtime(server)["breakers"][0]["calls"], 3)
        checks = {check["name"]: check
                  for check in server.admin("GET", "/v1/admin/doctor").json()["checks"]}
        self.assertEqual(checks["runs"]["numbers"]["of_handlers"], 3)
        self.assertEqual(checks["breakers"]["numbers"], {"breakers": 1, "calls": 3, "parked": 0})
        release.set()
        wait_until(lambda: self.runtime(server)["shards"][0]["breakers"]["calls"] == 0, 15,
                   "calls do not end")
        self.assertEqual(server.stop(), 0, server.log_tail())


class Doctor(Case):
    def doctor(self, server, *arguments, **options):
        return run_weir("doctor", "--url", "http://127.0.0.1:%d" % server.port, "--data",
                        server.data, *arguments, **options)

    def test_a_sound_server_passes_every_check_under_load(self):
        server = self.server("--shards", "2")
        stop = threading.Event()

        def work():
            while not stop.is_set():
                server.request("POST", "/v1/jobs/batch", {"jobs": [{"kind": "load"}] * 50})
                leased = server.request("POST", "/v1/jobs/load/lease", {"limit": 40}).json()
                server.request("POST", "/v1/jobs/complete", {"jobs": [
                    {"id": job["id"], "epoch": job["epoch"]} for job in leased["jobs"][:30]]})
        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        try:
            for _ in range(5):
                status, out, err = self.doctor(server)
                self.assertEqual((status, err), (0, ""), out)
                lines = out.strip().split("\n")
                for line in lines[:-1]:
                    self.assertRegex(line, LINE)
                    self.assertFalse(line.startswith("FAIL"), line)
                self.assertRegex(lines[-1], r"^%d checks: \d+ warnings, 0 failures$"
                                 % (len(lines) - 1))
        finally:
            stop.set()
            for worker in workers:
                worker.join(30)
        self.assertRegex(out, r"(?m)^ok   accounting +accepted = in a state \+ dropped "
                              r"\(accepted \d+, in_state \d+, dropped \d+\)$")
        self.assertRegex(out, r"(?m)^ok   permits ")
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_the_answer_can_be_had_as_json(self):
        server = self.server()
        server.request("POST", "/v1/jobs", {"kind": "a"})
        status, out, err = self.doctor(server, "--json")
        self.assertEqual((status, err), (0, ""), out)
        report = json.loads(out)
        self.assertIn(report["status"], ("ok", "warn"))
        checks = {check["name"]: check for check in report["checks"]}
        self.assertEqual(checks["accounting"]["numbers"],
                         {"accepted": 1, "in_state": 1, "dropped": 0})
        self.assertEqual(checks["counters"]["numbers"]["compared"], 1)
        self.assertEqual(report["shards"], 1)
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_jobs_left_by_a_kill_add_up_after_the_restart(self):
        server = self.server()
        for _ in range(10):
            server.request("POST", "/v1/jobs/batch", {"jobs": [
                {"kind": "k", "delay_seconds": 3600}] * 10 + [{"kind": "k"}] * 40})
            leased = server.request("POST", "/v1/jobs/k/lease", {"limit": 20}).json()["jobs"]
            server.request("POST", "/v1/jobs/complete", {"jobs": [
                {"id": job["id"], "epoch": job["epoch"]} for job in leased[:7]]})
        server.kill()
        server.start()
        report = server.admin("GET", "/v1/admin/doctor").json()
        checks = {check["name"]: check for check in report["checks"]}
        self.assertEqual(checks["accounting"]["numbers"]["accepted"], 500)
        self.assertEqual({check["status"] for name, check in checks.items()
                          if name != "segments"}, {"ok"}, report)
        self.assertEqual(checks["due"]["numbers"]["timers"], 100)
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_it_says_what_is_wrong_with_the_call(self):
        server = self.server()
        status, out, err = self.doctor(server, "--admin-token", "wrong")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("401", err)
        self.assertEqual(server.stop(), 0, server.log_tail())
        status, out, err = self.doctor(server)
        self.assertEqual((status, out), (69, ""))
        status, out, err = run_weir("doctor", "--help")
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(re.search(r"(?m)^example:\n  weir doctor", out), out)
        self.assertEqual(run_weir("doctor", "extra")[0], 2)
