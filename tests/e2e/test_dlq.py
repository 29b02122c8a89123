"""Dead letters: the admin API and `weir dlq`, against a real server."""
import json
import os
import pty
import subprocess

from harness import Case, EX_UNAVAILABLE, EX_USAGE, ORG, PROJECT, Settings, environment, \
    free_port, run_weir, wait_until

TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


class DlqCase(Case):
    def key(self, server, project, scopes=("ingest", "read")):
        response = server.admin("POST", "/v1/admin/keys", {
            "org_id": ORG, "project_id": project, "scopes": list(scopes)})
        self.assertEqual(response.status, 201, response)
        return response.json()["key"]

    def kill_jobs(self, server, count, kind="mail", error="boom %d", key=None, **fields):
        """Makes jobs that die at their first attempt; gives their ids in the order of death."""
        options = {"key": key} if key else {}
        made = server.request("POST", "/v1/jobs/batch", {"jobs": [
            dict({"kind": kind, "payload": {"n": n}, "max_attempts": 1}, **fields)
            for n in range(count)]}, **options)
        self.assertEqual(made.status, 202, made)
        dead = []
        while len(dead) < count:
            leased = server.request("POST", "/v1/jobs/%s/lease" % kind,
                                    {"limit": 100, "wait_seconds": 5}, **options).json()["jobs"]
            self.assertTrue(leased)
            for job in leased:
                text = error % len(dead) if "%d" in error else error
                answer = server.request("POST", "/v1/jobs/%s/fail" % job["id"],
                                        {"epoch": job["epoch"], "error": text}, **options)
                self.assertEqual((answer.status, answer.json()["state"]), (200, "dead"), answer)
                dead.append(job["id"])
        return dead

    def letters(self, server, query="", **options):
        answer = server.admin("GET", "/v1/admin/dlq?limit=100" + query) if not options else \
            server.request("GET", "/v1/admin/dlq?limit=100" + query, **options)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()["dead_letters"]

    def replay(self, server, body):
        answer = server.admin("POST", "/v1/admin/dlq/replay", body)
        self.assertEqual(answer.status, 202, answer)
        path = answer.header("location")
        self.assertEqual(path, "/v1/admin/dlq/replays/" + answer.json()["id"])

        def ended():
            progress = server.admin("GET", path).json()
            return progress if progress["state"] == "completed" else None
        return wait_until(ended, 20, "the replay ends")

    def weir(self, server, *arguments):
        return run_weir("dlq", *arguments, "--url", "http://127.0.0.1:%d" % server.port,
                        env={"WEIR_ADMIN_TOKEN": server.admin_token()})


class Api(DlqCase):
    def test_a_letter_says_all_there_is_to_know_and_still_does_after_a_kill(self):
        server = self.server()
        made = server.request("POST", "/v1/jobs", {"kind": "mail", "key": "k1", "max_attempts": 2,
                                                   "payload": {"to": "x"}},
                              headers={"X-Correlation-Id": "corr-1"}).json()
        server.request("PUT", "/v1/queues/mail", {"retry": {
            "base_ms": 1, "cap_ms": 1, "max_attempts": 2}})
        for error in ("first", "last \n\x1b[31m"):
            job = server.request("POST", "/v1/jobs/mail/lease",
                                 {"wait_seconds": 5}).json()["jobs"][0]
            server.request("POST", "/v1/jobs/%s/fail" % job["id"],
                           {"epoch": job["epoch"], "error": error})
        for _ in range(2):
            letter, = self.letters(server)
            for name in ("created_at", "first_failed_at", "dead_at"):
                self.assertRegex(letter.pop(name), TIME)
            self.assertEqual(letter, {
                "id": made["id"], "origin": "job:mail", "org": ORG, "project": PROJECT,
                "reason": "attempts_exhausted", "key": "k1", "attempts": 2,
                "last_epoch": job["epoch"], "first_error": "first", "last_error": "last \n\x1b[31m",
                "correlation_id": "corr-1", "bytes": len('{"to": "x"}')})
            whole = server.admin("GET", "/v1/admin/dlq/" + made["id"]).json()
            self.assertEqual(whole["payload"], {"to": "x"})
            server.kill()
            server.start()

    def test_pages_are_in_order_and_bounded_by_their_limit(self):
        server = self.server("--shards", "2")
        dead = self.kill_jobs(server, 25)
        seen, cursor, pages = [], "", 0
        while cursor is not None:
            page = server.admin("GET", "/v1/admin/dlq?limit=10" +
                                ("&cursor=" + cursor if cursor else "")).json()
            seen += page["dead_letters"]
            cursor, pages = page["next_cursor"], pages + 1
        self.assertEqual((sorted(dead), pages), (sorted(x["id"] for x in seen), 3))
        order = [(x["dead_at"], x["created_at"]) for x in seen]
        self.assertEqual(order, sorted(order))
        for query in ("limit=0", "limit=101", "limit=x", "origin=mail", "reason=nope",
                      "since=yesterday", "id=nope", "until=%zz"):
            self.assert_problem(server.admin("GET", "/v1/admin/dlq?" + query), 400,
                                "invalid_parameter")
        self.assert_problem(server.admin("GET", "/v1/admin/dlq?cursor=1.2.3"), 400,
                            "invalid_cursor")

    def test_a_cursor_is_good_for_its_own_question_only_also_after_a_restart(self):
        server = self.server()
        self.kill_jobs(server, 3)
        first = server.admin("GET", "/v1/admin/dlq?limit=1").json()
        cursor = "&cursor=" + first["next_cursor"]
        rest = server.admin("GET", "/v1/admin/dlq?limit=10" + cursor).json()
        self.assertEqual((len(rest["dead_letters"]), rest["next_cursor"]), (2, None))
        for query in ("reason=poison", "origin=job:mail", "since=2020-01-01T00:00:00Z",
                      "project=" + PROJECT, "id=" + first["dead_letters"][0]["id"]):
            self.assert_problem(server.admin("GET", "/v1/admin/dlq?" + query + cursor), 400,
                                "invalid_cursor")
        self.assert_problem(server.admin("GET", "/v1/admin/dlq?cursor=" +
                                         first["next_cursor"].swapcase()), 400, "invalid_cursor")
        server.kill()
        server.start()
        self.assertEqual(server.admin("GET", "/v1/admin/dlq?limit=10" + cursor).json(), rest)

    def test_a_key_sees_and_touches_its_own_project_only(self):
        server = self.server("--shards", "2")
        other = self.key(server, "other", ("ingest", "read", "admin"))
        mine, = self.kill_jobs(server, 1)
        theirs, = self.kill_jobs(server, 1, key=other)
        self.assertEqual({x["id"] for x in self.letters(server)}, {mine, theirs})
        self.assertEqual([x["id"] for x in self.letters(server, key=other)], [theirs])
        for method, path in (("GET", "/v1/admin/dlq/" + mine), ("DELETE", "/v1/admin/dlq/" + mine)):
            self.assert_problem(server.request(method, path, key=other), 404, "not_found")
        self.assert_problem(server.request("GET", "/v1/admin/dlq?project=" + PROJECT, key=other),
                            403, "forbidden")
        dry = server.request("POST", "/v1/admin/dlq/replay", {"ids": [mine, theirs],
                                                              "dry_run": True}, key=other)
        self.assertEqual(dry.json(), {"matching": 1})
        begun = server.admin("POST", "/v1/admin/dlq/replay", {"ids": [mine]}).json()
        self.assert_problem(server.request("GET", "/v1/admin/dlq/replays/" + begun["id"],
                                           key=other), 404, "not_found")
        self.assert_problem(server.request("GET", "/v1/admin/dlq",
                                           key=self.key(server, "third")), 403, "forbidden_scope")
        self.assert_problem(server.request("GET", "/v1/admin/dlq", key=None), 401)

    def test_a_letter_becomes_one_job_however_often_it_is_replayed(self):
        server = self.server("--shards", "2")
        letter, = self.kill_jobs(server, 1, key=None)
        for done in (1, 0):
            progress = self.replay(server, {"filter": {"origin": "job:mail"}})
            self.assertEqual((progress["total"], progress["done"], progress["failed"]),
                             (done, done, 0))
        self.assertEqual(self.replay(server, {"ids": [letter]})["total"], 0)
        job, = server.request("POST", "/v1/jobs/mail/lease", {"limit": 10}).json()["jobs"]
        self.assertEqual((job["payload"], job["attempt"], job["max_attempts"]), ({"n": 0}, 1, 1))
        self.assertNotEqual(job["id"], letter)
        self.assertEqual(server.admin("GET", "/v1/admin/dlq/" + letter).json()["replayed_as"],
                         job["id"])
        self.assertEqual(self.letters(server), [])

    def test_a_replay_goes_on_after_a_kill_with_what_is_left(self):
        server = self.server("--shards", "2")
        dead = self.kill_jobs(server, 60)
        begun = server.admin("POST", "/v1/admin/dlq/replay", {"filter": {}, "rate": 40}).json()
        self.assertEqual((begun["total"], begun["state"]), (60, "running"))

        def progress():
            return server.admin("GET", "/v1/admin/dlq/replays/" + begun["id"]).json()
        wait_until(lambda: progress()["done"] >= 10, 20, "some letters are replayed")
        server.kill()
        server.start()
        wait_until(lambda: progress()["state"] == "completed", 30, "the replay ends")
        self.assertEqual((progress()["total"], progress()["done"]), (60, 60))
        self.assertEqual(self.letters(server), [])
        jobs = []
        while len(jobs) < 60:
            more = server.request("POST", "/v1/jobs/mail/lease", {"limit": 100}).json()["jobs"]
            self.assertTrue(more, len(jobs))
            jobs += more
        self.assertEqual(sorted(job["payload"]["n"] for job in jobs), list(range(60)))
        self.assertFalse({job["id"] for job in jobs} & set(dead))
        self.assertEqual(server.request("POST", "/v1/jobs/mail/lease", {}).json()["jobs"], [])

    def test_a_replay_that_is_stopped_leaves_the_rest_dead_and_stays_so_after_a_kill(self):
        server = self.server("--shards", "2")
        self.kill_jobs(server, 30)
        self.assertEqual(server.admin("GET", "/v1/admin/dlq/replays").json(), {"replays": []})
        begun = server.admin("POST", "/v1/admin/dlq/replay", {"filter": {}, "rate": 5}).json()
        path = "/v1/admin/dlq/replays/" + begun["id"]
        listed, = server.admin("GET", "/v1/admin/dlq/replays").json()["replays"]
        self.assertEqual((listed["id"], listed["state"]), (begun["id"], "running"))
        stranger = server.admin("POST", "/v1/admin/keys", {
            "org_id": "o", "project_id": "other", "scopes": ["admin"]}).json()["key"]
        self.assertEqual(server.request("GET", "/v1/admin/dlq/replays", key=stranger).json(),
                         {"replays": []})
        self.assert_problem(server.request("DELETE", path, key=stranger), 404)
        wait_until(lambda: server.admin("GET", path).json()["done"] >= 2, 20, "some are replayed")
        stopped = server.admin("DELETE", path).json()
        self.assertEqual(stopped["state"], "stopped")
        self.assertRegex(stopped["ended_at"], TIME)
        self.assertLess(stopped["done"], 30)
        self.assertEqual(server.admin("DELETE", path).json(), stopped)
        self.assertEqual(len(self.letters(server)), 30 - stopped["done"])
        server.kill()
        server.start()
        self.assertEqual(server.admin("GET", path).json(), stopped)
        self.assertEqual(server.admin("GET", "/v1/admin/dlq/replays").json(),
                         {"replays": [stopped]})
        done = self.replay(server, {"filter": {}, "rate": 10000})
        self.assertEqual(done["total"], 30 - stopped["done"])
        self.assert_problem(server.admin("DELETE", path[:-4] + "0000"), 404)

    def test_letters_of_one_key_run_again_in_their_order(self):
        server = self.server()
        self.kill_jobs(server, 12, key=None, **{"kind": "serial"})
        made = [server.request("POST", "/v1/jobs", {"kind": "keyed", "key": "a", "payload": n,
                                                    "max_attempts": 1}).json() for n in range(8)]
        for _ in made:
            job, = server.request("POST", "/v1/jobs/keyed/lease",
                                  {"limit": 5, "wait_seconds": 5}).json()["jobs"]
            server.request("POST", "/v1/jobs/%s/fail" % job["id"],
                           {"epoch": job["epoch"], "error": "x"})
        self.replay(server, {"filter": {"origin": "job:keyed"}, "rate": 10000})
        order = []
        for _ in made:
            job, = server.request("POST", "/v1/jobs/keyed/lease", {"limit": 5}).json()["jobs"]
            order.append(job["payload"])
            server.request("POST", "/v1/jobs/%s/complete" % job["id"], {"epoch": job["epoch"]})
        self.assertEqual(order, list(range(8)))

    def test_bad_bodies_are_refused_in_words(self):
        server = self.server()
        for body, status, code in (
                (b"", 400, "empty_body"), (b"{", 400, "truncated_json"),
                (b"[]", 422, "unprocessable"), (b"{}", 422, "unprocessable"),
                (b'{"ids":[]}', 422, "unprocessable"), (b'{"ids":["x"]}', 422, "unprocessable"),
                (b'{"filter":{},"ids":["x"]}', 422, "unprocessable"),
                (b'{"filter":{"kind":"a"}}', 422, "unprocessable"),
                (b'{"filter":{"reason":"x"}}', 422, "unprocessable"),
                (b'{"filter":{},"rate":0}', 422, "unprocessable"),
                (b'{"filter":{},"dry_run":1}', 422, "unprocessable")):
            problem = self.assert_problem(server.admin("POST", "/v1/admin/dlq/replay", body),
                                          status, code)
            if status == 422:
                self.assertTrue(problem["details"], body)
        self.assert_problem(server.admin("DELETE", "/v1/admin/dlq/nope"), 404)
        self.assert_problem(server.admin("GET", "/v1/admin/dlq/replays/nope"), 404)

    def test_a_large_payload_is_shown_whole(self):
        server = self.server()
        payload = "x" * 200000
        made = server.request("POST", "/v1/jobs", {"kind": "big", "payload": payload,
                                                   "max_attempts": 1}).json()
        job, = server.request("POST", "/v1/jobs/big/lease", {}).json()["jobs"]
        server.request("POST", "/v1/jobs/%s/fail" % job["id"], {"epoch": job["epoch"],
                                                                "error": "e" * 4096})
        self.assertEqual(server.admin("GET", "/v1/admin/dlq/" + made["id"]).json()["payload"],
                         payload)
        progress = self.replay(server, {"filter": {}})
        self.assertEqual((progress["total"], progress["done"]), (1, 1))
        job, = server.request("POST", "/v1/jobs/big/lease", {}).json()["jobs"]
        self.assertEqual(job["payload"], payload)

    def test_a_page_of_long_errors_ends_early_and_goes_on(self):
        server = self.server()
        dead = self.kill_jobs(server, 100, error="\x01" * 4000)
        seen, cursor = [], ""
        while cursor is not None:
            page = server.admin("GET", "/v1/admin/dlq?limit=100" +
                                ("&cursor=" + cursor if cursor else "")).json()
            self.assertTrue(page["dead_letters"])
            self.assertLess(len(page["dead_letters"]), 100)
            seen += [letter["id"] for letter in page["dead_letters"]]
            cursor = page["next_cursor"]
        self.assertEqual(sorted(seen), sorted(dead))


class Command(DlqCase):
    def test_replays_are_listed_and_stopped(self):
        server = self.server()
        self.kill_jobs(server, 20)
        _, out, _ = self.weir(server, "replay", "--rate", "2", "--no-wait", "--json")
        replay = json.loads(out)["id"]
        status, out, err = self.weir(server, "replays")
        self.assertEqual((status, err), (0, ""))
        heads, row = out.splitlines()
        self.assertEqual(heads.split()[:3], ["ID", "STATE", "LETTERS"])
        self.assertEqual(row.split()[:3], [replay, "running", "20"])
        status, out, err = self.weir(server, "stop", replay)
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"^replayed \d+ of 20 dead letters\n$")
        again = json.loads(self.weir(server, "replays", "--json")[1])["replays"]
        self.assertEqual([one["state"] for one in again], ["stopped"])
        self.assertEqual(self.weir(server, "stop")[0], EX_USAGE)
        self.assertEqual(self.weir(server, "stop", replay[:-4] + "0000")[0], 1)

    def test_list_shows_what_the_filters_let_through(self):
        server = self.server()
        mail = self.kill_jobs(server, 3)
        self.kill_jobs(server, 2, kind="report")
        status, out, err = self.weir(server, "list", "--origin", "job:mail", "--json")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(sorted(x["id"] for x in json.loads(out)["dead_letters"]), sorted(mail))
        status, out, _ = self.weir(server, "list")
        self.assertEqual((status, len(out.splitlines())), (0, 6))
        self.assertIn("boom 0", out)
        for arguments, count in ((["--since", "1h"], 5), (["--until", "1h"], 0),
                                 (["--reason", "poison"], 0), (["--project", PROJECT], 5),
                                 (["--org", "nobody"], 0), (["--id", mail[0], "--id", mail[1]], 2),
                                 ([mail[2]], 1), (["--since", "2020-01-01T00:00:00Z"], 5)):
            status, out, err = self.weir(server, "list", "--json", *arguments)
            self.assertEqual((status, len(json.loads(out)["dead_letters"])), (0, count), arguments)
        status, out, _ = self.weir(server, "show", mail[0])
        self.assertEqual(status, 0)
        self.assertIn('payload          {"n":0}', out.replace(" :", ":").replace('": ', '":'))
        self.assertEqual(json.loads(self.weir(server, "show", "--id", mail[1], "--json")[1])["id"],
                         mail[1])

    def test_replay_and_drop(self):
        server = self.server()
        self.kill_jobs(server, 5)
        reports = self.kill_jobs(server, 2, kind="report")
        status, out, _ = self.weir(server, "replay", "--origin", "job:mail", "--dry-run")
        self.assertEqual((status, out), (0, "5 dead letters would be replayed\n"))
        status, out, err = self.weir(server, "replay", "--origin", "job:mail", "--rate", "1000")
        self.assertEqual((status, out, err), (0, "replayed 5 of 5 dead letters\n", ""))
        status, out, _ = self.weir(server, "replay", "--origin", "job:mail", "--json")
        self.assertEqual((status, json.loads(out)["total"]), (0, 0))
        self.assertEqual(self.weir(server, "drop")[0], EX_USAGE)
        self.assertEqual(self.weir(server, "drop", "--all", "--dry-run")[1],
                         "2 dead letters would be dropped\n")
        self.assertEqual(self.weir(server, "drop", reports[0])[:2], (0, "dropped 1 dead letters\n"))
        self.assertEqual(self.weir(server, "drop", reports[0])[0], 1)
        self.assertEqual(self.weir(server, "drop", "--origin", "job:report", "--json")[:2],
                         (0, '{"dropped":1}\n'))
        self.assertEqual(self.letters(server), [])

    def test_a_letter_that_cannot_be_replayed_is_said_and_stays(self):
        server = self.server()
        self.kill_jobs(server, 1, unique="only")
        self.assertEqual(server.request("POST", "/v1/jobs", {"kind": "mail", "unique": "only"})
                         .status, 202)
        status, out, _ = self.weir(server, "replay")
        self.assertEqual((status, out),
                         (1, "replayed 0 of 1 dead letters, 1 could not be replayed\n"))
        self.assertEqual(len(self.letters(server)), 1)

    def test_exit_codes_and_help(self):
        server = self.server()
        for arguments in (["list", "--limit", "3"], ["show"], ["show", "a b"], ["nope"],
                          ["replay", "--rate", "0"], ["list", "--id", "x" * 80],
                          ["drop", "--id", "0" * 36, "--org", "o"]):
            self.assertEqual(self.weir(server, *arguments)[0], EX_USAGE, arguments)
        for arguments in (["list", "--reason", "nope"], ["show", "0" * 36],
                          ["list", "--admin-token", "wrong"]):
            status, out, err = self.weir(server, *arguments)
            self.assertEqual((status, out.count("{")), (1, 0), arguments)
            self.assertTrue(err.startswith("weir dlq "), err)
        status, _, err = run_weir("dlq", "list", "--url", "http://127.0.0.1:%d" % free_port(),
                                  "--admin-token", "t")
        self.assertEqual(status, EX_UNAVAILABLE, err)
        for action in ("list", "show", "replay", "drop"):
            status, out, _ = run_weir("help", "dlq", action)
            self.assertEqual(status, 0)
            self.assertIn("weir dlq " + action + " ", out)
            self.assertIn("example", out)

    def test_progress_is_shown_on_a_terminal(self):
        server = self.server()
        self.kill_jobs(server, 12)
        leader, follower = pty.openpty()
        done = subprocess.run([Settings.weir, "dlq", "replay", "--rate", "20",
                               "--url", "http://127.0.0.1:%d" % server.port], timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=follower,
                              env=environment({"WEIR_ADMIN_TOKEN": server.admin_token()}),
                              check=False)
        os.close(follower)
        shown = os.read(leader, 65536)
        os.close(leader)
        self.assertEqual((done.returncode, done.stdout), (0, b"replayed 12 of 12 dead letters\n"))
        self.assertIn(b" of 12", shown)


class Metrics(DlqCase):
    def test_dead_letters_are_counted_by_origin_and_reason(self):
        server = self.server()
        self.kill_jobs(server, 3)
        self.assertEqual(server.metrics()[
            'weir_dead_letters_total{origin="job",reason="attempts_exhausted"}'], 3)
        wait_until(lambda: server.metric("weir_dlq_size") == 3, 10, "weir_dlq_size follows")
