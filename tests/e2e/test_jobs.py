"""Durable jobs over HTTP: /v1/jobs, /v1/flows, /v1/queues, and the workers of the README."""
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from harness import Case, ORG, Settings, SharedCase, wait_until

JOB_ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"


class JobCase(Case):
    def job(self, server, body, **options):
        response = server.request("POST", "/v1/jobs", body, **options)
        self.assertEqual(response.status, 202, response)
        return response.json()

    def lease(self, server, kind, **body):
        response = server.request("POST", "/v1/jobs/%s/lease" % kind, body)
        self.assertEqual(response.status, 200, response)
        return response.json()["jobs"]

    def lease_one(self, server, kind, **body):
        jobs = self.lease(server, kind, **body)
        self.assertEqual(len(jobs), 1, jobs)
        return jobs[0]

    def act(self, server, job, verb, **body):
        body.setdefault("epoch", job["epoch"])
        return server.request("POST", "/v1/jobs/%s/%s" % (job["id"], verb), body)

    def look(self, server, job):
        response = server.request("GET", "/v1/jobs/" + job["id"])
        self.assertEqual(response.status, 200, response)
        return response.json()

    def key(self, server, project="proj_demo", scopes=("ingest", "read")):
        response = server.admin("POST", "/v1/admin/keys", {
            "org_id": ORG, "project_id": project, "scopes": list(scopes)})
        self.assertEqual(response.status, 201, response)
        return response.json()["key"]


class Life(JobCase):
    def test_a_job_is_made_leased_completed_and_still_known_after_a_restart(self):
        server = self.server()
        response = server.request("POST", "/v1/jobs", b'{"kind":"a","payload":{ "n" : 1.0}}')
        self.assertEqual(response.status, 202, response)
        made = response.json()
        self.assertRegex(made["id"], JOB_ID)
        self.assertEqual((made["kind"], made["state"], made["duplicate"]), ("a", "queued", False))
        self.assertEqual(response.header("location"), "/v1/jobs/" + made["id"])
        raw = server.request("POST", "/v1/jobs/a/lease", {"lease_seconds": 60})
        self.assertIn(b'"payload":{ "n" : 1.0}', raw.body)
        leased = raw.json()["jobs"][0]
        self.assertEqual((leased["id"], leased["attempt"], leased["key"]), (made["id"], 1, None))
        self.assertRegex(leased["leased_until"], TIME)
        self.assertIsInstance(leased["epoch"], str)
        self.assertEqual(self.look(server, made)["state"], "leased")
        done = self.act(server, leased, "complete", result={"ok": [1]})
        self.assertEqual((done.status, done.json()["state"]), (200, "completed"))
        self.assertEqual(server.stop(), 0, server.log_tail())
        server.start()
        job = self.look(server, made)
        self.assertEqual((job["state"], job["attempt"], job["result"]),
                         ("completed", 1, {"ok": [1]}))
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_a_lease_does_not_outlive_a_kill_and_its_epoch_is_stale_then(self):
        server = self.server()
        made = self.job(server, {"kind": "a"})
        before = self.lease_one(server, "a", lease_seconds=3600)
        server.kill()
        server.start()
        after = self.lease_one(server, "a")
        self.assertEqual((after["id"], after["attempt"]), (made["id"], 1))
        self.assert_problem(self.act(server, before, "complete"), 409, "stale_epoch")
        self.assertEqual(self.act(server, after, "complete").status, 200)
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_a_completion_that_was_recorded_before_a_kill_is_a_duplicate_after_it(self):
        server = self.server()
        made = self.job(server, {"kind": "a"})
        leased = self.lease_one(server, "a")
        self.assertEqual(self.act(server, leased, "complete", result=1).status, 200)
        server.kill()
        server.start()
        again = self.act(server, leased, "complete", result=1)
        self.assertEqual((again.status, again.json()["duplicate"]), (200, True), again)
        batch = {"jobs": [{"id": leased["id"], "epoch": leased["epoch"]}]}
        self.assertEqual(server.request("POST", "/v1/jobs/complete", batch).json()["jobs"],
                         [{"id": made["id"], "status": "duplicate"}])
        self.assert_problem(self.act(server, leased, "fail", error="late"), 409, "stale_epoch")
        self.assertEqual(self.look(server, made)["result"], 1)
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_a_key_of_uniqueness_means_the_same_after_a_restart(self):
        server = self.server()
        once = {"Idempotency-Key": "order-17"}
        first = self.job(server, {"kind": "a", "payload": 1}, headers=once)
        single = self.job(server, {"kind": "a", "unique": "nightly"})
        server.kill()
        server.start()
        again = self.job(server, {"kind": "a", "payload": 1}, headers=once)
        self.assertEqual((again["id"], again["duplicate"]), (first["id"], True))
        other = server.request("POST", "/v1/jobs", {"kind": "a", "payload": 2}, headers=once)
        self.assert_problem(other, 409, "idempotency_conflict")
        again = self.job(server, {"kind": "a", "unique": "nightly"})
        self.assertEqual((again["id"], again["duplicate"]), (single["id"], True))
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_settings_of_a_queue_outlive_a_restart_and_change_one_by_one(self):
        server = self.server()
        admin = self.key(server, scopes=("ingest", "read", "admin"))
        self.job(server, {"kind": "a"})
        queue = server.request("PUT", "/v1/queues/a", {
            "concurrency": 3, "retry": {"preset": "ai-job"}}, key=admin)
        self.assertEqual(queue.status, 200, queue)
        server.request("POST", "/v1/queues/a/pause", key=admin)
        server.kill()
        server.start()
        queue = server.request("GET", "/v1/queues/a").json()
        self.assertEqual((queue["concurrency"], queue["paused"], queue["counts"]["queued"]),
                         (3, True, 1))
        self.assertEqual(queue["retry"]["base_ms"], 5000)
        self.assertEqual(self.lease(server, "a"), [])
        self.assertEqual(server.request("POST", "/v1/queues/a/resume", key=admin).status, 200)
        self.assertEqual(len(self.lease(server, "a")), 1)
        self.assertEqual(server.stop(), 0, server.log_tail())


    def test_a_lease_that_waits_does_not_keep_the_server_from_stopping(self):
        server = self.server("--shards", "2")
        answers = []
        waiters = [threading.Thread(target=lambda: answers.append(
            self.lease(server, "a", wait_seconds=30))) for _ in range(4)]
        for waiter in waiters:
            waiter.start()
        wait_until(lambda: server.request("GET", "/v1/queues/a").json()
                   .get("waiting_workers") == 4, 10, "four workers wait")
        begin = time.monotonic()
        self.assertEqual(server.stop(), 0, server.log_tail())
        self.assertLess(time.monotonic() - begin, 10)
        for waiter in waiters:
            waiter.join(10)
        self.assertEqual(answers, [[]] * 4)


class Rules(SharedCase, JobCase):
    arguments = ("--shards", "2")

    def test_bad_bodies_are_refused_with_pointers_and_nothing_is_stored(self):
        for body, status, code, pointer in (
                (b"", 400, "empty_body", None),
                (b'{"kind":', 400, "truncated_json", None),
                (b'{"kind":"bad"}x', 400, "malformed_json", None),
                (b'{"kind":"BAD"}', 422, "invalid_job", "/kind"),
                (b'{"kind":"weir.x"}', 422, "invalid_job", "/kind"),
                (b'{"kind":"bad","priority":8}', 422, "invalid_job", "/priority"),
                (b'{"kind":"bad","max_attemps":3}', 422, "invalid_job", "/max_attemps"),
                (b'{"kind":"bad","unique":{"mode":"x","key":"k"}}', 422, "invalid_job",
                 "/unique/mode"),
                (b'{"kind":"triage.ticket","payload":{}}', 422, "invalid_job",
                 "/payload/ticket_id"),
                (b'{"kind":"bad","payload":"%s"}' % (b"x" * 300000), 413, "payload_too_large",
                 None)):
            problem = self.assert_problem(self.weir.request("POST", "/v1/jobs", body), status,
                                          code)
            if pointer:
                self.assertIn(pointer, [issue["pointer"] for issue in problem["details"]])
        self.assert_problem(self.weir.request("GET", "/v1/queues/bad"), 404, "not_found")

    def test_other_media_types_are_refused(self):
        response = self.weir.request("POST", "/v1/jobs", b"kind=a", headers={
            "Content-Type": "application/x-www-form-urlencoded"})
        self.assert_problem(response, 415, "unsupported_media_type")

    def test_an_idempotency_key_does_not_go_with_unique(self):
        response = self.weir.request("POST", "/v1/jobs", {"kind": "a", "unique": "u"},
                                     headers={"Idempotency-Key": "k"})
        self.assert_problem(response, 422, "unprocessable")

    def test_scopes_are_needed(self):
        reader, writer = self.key(self.weir, scopes=("read",)), self.key(self.weir,
                                                                        scopes=("ingest",))
        made = self.job(self.weir, {"kind": "scoped"})
        for method, path, body, key in (
                ("POST", "/v1/jobs", {"kind": "scoped"}, reader),
                ("POST", "/v1/flows", {"jobs": []}, reader),
                ("POST", "/v1/jobs/scoped/lease", {}, reader),
                ("POST", "/v1/jobs/complete", {"jobs": []}, reader),
                ("POST", "/v1/jobs/%s/cancel" % made["id"], None, reader),
                ("GET", "/v1/jobs/" + made["id"], None, writer),
                ("GET", "/v1/queues/scoped", None, writer),
                ("PUT", "/v1/queues/scoped", {}, writer),
                ("POST", "/v1/queues/scoped/pause", None, reader)):
            self.assert_problem(self.weir.request(method, path, body, key=key), 403,
                                "forbidden_scope")
        self.assert_problem(self.weir.request("POST", "/v1/jobs", {"kind": "a"}, key=None), 401)

    def test_a_job_of_another_project_is_not_there(self):
        other = self.key(self.weir, project="proj_other",
                         scopes=("ingest", "read", "admin"))
        made = self.job(self.weir, {"kind": "mine"})
        leased = self.lease_one(self.weir, "mine")
        for method, path, body in (
                ("GET", "/v1/jobs/" + made["id"], None),
                ("POST", "/v1/jobs/%s/cancel" % made["id"], None),
                ("POST", "/v1/jobs/%s/complete" % made["id"], {"epoch": leased["epoch"]}),
                ("POST", "/v1/jobs/%s/fail" % made["id"], {"epoch": leased["epoch"],
                                                            "error": "e"}),
                ("POST", "/v1/jobs/%s/extend" % made["id"], {"epoch": leased["epoch"]}),
                ("GET", "/v1/queues/mine", None)):
            self.assert_problem(self.weir.request(method, path, body, key=other), 404,
                                "not_found")
        response = self.weir.request("POST", "/v1/jobs/complete", {"jobs": [
            {"id": made["id"], "epoch": leased["epoch"]}]}, key=other)
        self.assertEqual(response.json()["jobs"], [{"id": made["id"], "status": "not_found"}])
        self.assertEqual(self.weir.request("POST", "/v1/jobs/mine/lease", {}, key=other).json(),
                         {"jobs": []})
        self.assertEqual(self.act(self.weir, leased, "complete").status, 200)

    def test_a_batch_is_stored_as_a_whole_or_not_at_all(self):
        bad = {"jobs": [{"kind": "whole"}, {"kind": "whole", "priority": 9}]}
        response = self.weir.request("POST", "/v1/jobs/batch", bad)
        problem = self.assert_problem(response, 422, "invalid_job")
        self.assertEqual(problem["details"][0]["pointer"], "/jobs/1/priority")
        self.assertEqual(self.lease(self.weir, "whole"), [])
        many = {"jobs": [{"kind": "whole"}] * 101}
        self.assert_problem(self.weir.request("POST", "/v1/jobs/batch", many), 422, "invalid_job")
        good = {"jobs": [{"kind": "whole", "payload": n} for n in range(100)]}
        made = self.weir.request("POST", "/v1/jobs/batch", good).json()["jobs"]
        self.assertEqual(len({job["id"] for job in made}), 100)
        leased = self.lease(self.weir, "whole", limit=100)
        self.assertEqual([job["payload"] for job in leased], list(range(100)))
        outcomes = self.weir.request("POST", "/v1/jobs/complete", {"jobs": [
            {"id": job["id"], "epoch": job["epoch"]} for job in leased]}).json()["jobs"]
        self.assertEqual({outcome["status"] for outcome in outcomes}, {"completed"})

    def test_the_same_batch_again_is_the_first_one(self):
        body = {"jobs": [{"kind": "twice", "payload": n} for n in range(3)]}
        once = {"Idempotency-Key": "batch-1"}
        first = self.weir.request("POST", "/v1/jobs/batch", body, headers=once).json()["jobs"]
        again = self.weir.request("POST", "/v1/jobs/batch", body, headers=once).json()["jobs"]
        self.assertEqual([job["id"] for job in again], [job["id"] for job in first])
        self.assertEqual([job["duplicate"] for job in again], [True] * 3)
        body["jobs"][2]["payload"] = 7
        self.assert_problem(self.weir.request("POST", "/v1/jobs/batch", body, headers=once), 409,
                            "idempotency_conflict")

    def test_equal_unique_keys_in_one_batch_are_one_job(self):
        body = {"jobs": [{"kind": "twin", "unique": "k"}] * 2}
        first, second = self.weir.request("POST", "/v1/jobs/batch", body).json()["jobs"]
        self.assertEqual((first["id"], False, True),
                         (second["id"], first["duplicate"], second["duplicate"]))

    def test_a_flow_runs_in_order_and_tells_of_failed_dependencies(self):
        flow = {"jobs": [
            {"name": "last", "kind": "flow", "after": ["left", "right"],
             "on_failure": "continue"},
            {"name": "left", "kind": "flow", "after": ["first"], "on_failure": "fail"},
            {"name": "right", "kind": "flow", "after": ["first"], "on_failure": "fail"},
            {"name": "first", "kind": "flow"}]}
        response = self.weir.request("POST", "/v1/flows", flow)
        self.assertEqual(response.status, 202, response)
        jobs = {job["name"]: job for job in response.json()["jobs"]}
        self.assertEqual([job["state"] for job in response.json()["jobs"]],
                         ["waiting", "waiting", "waiting", "queued"])
        first = self.lease_one(self.weir, "flow", limit=9)
        self.assertEqual(first["id"], jobs["first"]["id"])
        self.assertEqual(self.act(self.weir, first, "complete").status, 200)
        leased = self.lease(self.weir, "flow", limit=9, wait_seconds=5)
        self.assertEqual({job["id"] for job in leased},
                         {jobs["left"]["id"], jobs["right"]["id"]})
        self.assertEqual(self.act(self.weir, leased[0], "complete").status, 200)
        failed = self.act(self.weir, leased[1], "fail", error="no", retryable=False)
        self.assertEqual(failed.json()["state"], "dead")
        last = self.lease_one(self.weir, "flow", wait_seconds=5)
        self.assertEqual((last["id"], last["failed_dependencies"]), (jobs["last"]["id"], 1))

    def test_a_cycle_is_named(self):
        flow = {"jobs": [{"name": a, "kind": "cycle", "after": [b], "on_failure": "fail"}
                         for a, b in (("x", "y"), ("y", "z"), ("z", "x"))]}
        problem = self.assert_problem(self.weir.request("POST", "/v1/flows", flow), 422,
                                      "flow_cycle")
        self.assertIn("x -> y -> z -> x", problem["detail"])
        flow["jobs"][2]["after"] = ["w"]
        problem = self.assert_problem(self.weir.request("POST", "/v1/flows", flow), 422,
                                      "invalid_job")
        self.assertEqual(problem["details"][0]["pointer"], "/jobs/2/after")
        self.assertEqual(self.lease(self.weir, "cycle"), [])

    def test_a_lease_waits_for_a_job_and_ends_without_one(self):
        begin = time.monotonic()
        self.assertEqual(self.lease(self.weir, "slow", wait_seconds=0.3), [])
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        found = []
        waiter = threading.Thread(
            target=lambda: found.extend(self.lease(self.weir, "slow", wait_seconds=30)))
        waiter.start()
        wait_until(lambda: self.weir.request("GET", "/v1/queues/slow").json()["waiting_workers"],
                   10, "a worker waits")
        made = self.job(self.weir, {"kind": "slow"})
        waiter.join(10)
        self.assertEqual([job["id"] for job in found], [made["id"]])

    def test_a_worker_that_is_gone_gets_nothing(self):
        connection = self.weir.connect()
        body = b'{"wait_seconds":30}'
        connection.send(b"POST /v1/jobs/gone/lease HTTP/1.1\r\nHost: a\r\nX-API-Key: "
                        b"dev-api-key-12345\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        self.job(self.weir, {"kind": "gone", "delay_seconds": 3600})

        def waiting():
            return self.weir.request("GET", "/v1/queues/gone").json()["waiting_workers"]
        wait_until(waiting, 10, "the worker waits")
        connection.close()
        wait_until(lambda: waiting() == 0, 10, "the worker is missed")
        made = self.job(self.weir, {"kind": "gone"})
        leased = self.lease_one(self.weir, "gone")
        self.assertEqual((leased["id"], leased["attempt"]), (made["id"], 1))

    def test_limits_of_a_lease(self):
        for body, pointer in (({"limit": 0}, "/limit"), ({"limit": 101}, "/limit"),
                              ({"wait_seconds": 31}, "/wait_seconds"),
                              ({"lease_seconds": 1}, "/lease_seconds"), ({"wait": 1}, "/wait")):
            response = self.weir.request("POST", "/v1/jobs/a/lease", body)
            problem = self.assert_problem(response, 422, "invalid_job")
            self.assertEqual(problem["details"][0]["pointer"], pointer)
        self.assert_problem(self.weir.request("POST", "/v1/jobs/A/lease", {}), 422)

    def test_a_lease_that_was_lost_changes_nothing(self):
        made = self.job(self.weir, {"kind": "stale"})
        leased = self.lease_one(self.weir, "stale")
        for verb, body in (("complete", {}), ("fail", {"error": "e"}), ("extend", {})):
            response = self.act(self.weir, leased, verb, epoch="1", **body)
            self.assert_problem(response, 409, "stale_epoch")
        self.assertEqual(self.look(self.weir, made)["state"], "leased")
        response = self.act(self.weir, leased, "extend", lease_seconds=60, progress={"done": 3})
        self.assertEqual(response.json()["state"], "leased")
        self.assertEqual(self.look(self.weir, made)["progress"], {"done": 3})
        self.assertEqual(self.act(self.weir, leased, "complete").json()["duplicate"], False)
        self.assertEqual(self.act(self.weir, leased, "complete").json()["duplicate"], True)

    def test_outcomes_ride_on_the_next_lease(self):
        self.weir.request("POST", "/v1/jobs/batch", {"jobs": [{"kind": "ride"}] * 3})
        first = self.lease(self.weir, "ride", limit=2)
        response = self.weir.request("POST", "/v1/jobs/ride/lease", {"limit": 5, "complete": [
            {"id": first[0]["id"], "epoch": first[0]["epoch"], "result": 1},
            {"id": first[1]["id"], "epoch": int(first[1]["epoch"]), "error": "no",
             "retryable": False},
            {"id": first[0]["id"], "epoch": "1"}, {"id": "none", "epoch": 1}]}).json()
        self.assertEqual([outcome["status"] for outcome in response["completed"]],
                         ["completed", "failed", "stale_epoch", "not_found"])
        self.assertEqual(len(response["jobs"]), 1)
        self.assertEqual(self.look(self.weir, first[1])["state"], "dead")

    def test_a_failure_is_retried_and_then_a_dead_letter(self):
        made = self.job(self.weir, {"kind": "fails", "max_attempts": 2})
        leased = self.lease_one(self.weir, "fails")
        failed = self.act(self.weir, leased, "fail", error="one\n" + "\u00fc\n" * 9000,
                          retry_after_seconds=0).json()
        self.assertEqual((failed["state"], failed["attempt"]), ("scheduled", 1))
        error = self.look(self.weir, made)["last_error"]
        self.assertTrue(error.startswith("one\n\u00fc"))
        self.assertLessEqual(len(error.encode()), 4096)
        leased = self.lease_one(self.weir, "fails", wait_seconds=10)
        self.assertEqual(leased["attempt"], 2)
        self.act(self.weir, leased, "fail", error="two")
        job = self.look(self.weir, made)
        self.assertEqual((job["state"], job["attempt"], job["last_error"], job["dead_reason"]),
                         ("dead", 2, "two", "attempts_exhausted"))

    def test_a_job_is_cancelled_once(self):
        made = self.job(self.weir, {"kind": "off", "run_at": "2999-01-01T00:00:00Z"})
        self.assertEqual(self.look(self.weir, made)["run_at"], "2999-01-01T00:00:00.000Z")
        path = "/v1/jobs/%s/cancel" % made["id"]
        self.assertEqual(self.weir.request("POST", path).json()["state"], "cancelled")
        self.assert_problem(self.weir.request("POST", path), 409, "job_ended")
        missing = "/v1/jobs/%s/cancel" % (made["id"][:-12] + "000000000001")
        self.assert_problem(self.weir.request("POST", missing), 404, "not_found")

    def test_jobs_of_one_key_run_one_by_one(self):
        for n in range(3):
            self.job(self.weir, {"kind": "keyed", "key": "c\u00fc\"", "payload": n})
        for n in range(3):
            leased = self.lease_one(self.weir, "keyed", limit=9)
            self.assertEqual((leased["payload"], leased["key"]), (n, "c\u00fc\""))
            self.assertEqual(self.act(self.weir, leased, "complete").status, 200)

    def test_a_draining_queue_takes_nothing_and_a_full_one_says_later(self):
        admin = self.key(self.weir, scopes=("ingest", "read", "admin"))
        self.weir.request("POST", "/v1/queues/bounded/drain", key=admin)
        response = self.weir.request("POST", "/v1/jobs", {"kind": "bounded"})
        self.assert_problem(response, 503, "queue_closed")
        self.assertTrue(response.header("retry-after"))
        self.weir.request("POST", "/v1/queues/bounded/resume", key=admin)
        self.weir.request("PUT", "/v1/queues/bounded", {"max_depth": 1}, key=admin)
        self.job(self.weir, {"kind": "bounded"})
        response = self.weir.request("POST", "/v1/jobs", {"kind": "bounded"})
        self.assert_problem(response, 429, "queue_full")
        self.assertTrue(response.header("retry-after"))

    def test_a_kind_of_the_desk_has_its_attempts_and_timeout_until_something_is_set(self):
        admin = self.key(self.weir, scopes=("ingest", "read", "admin"))
        made = self.job(self.weir, {"kind": "triage.ticket", "payload": {"ticket_id": "t1"}})
        self.assertEqual(self.look(self.weir, made)["max_attempts"], 3)
        queue = self.weir.request("GET", "/v1/queues/triage.ticket").json()
        self.assertEqual((queue["timeout_seconds"], queue["retry"]), (900, {
            "base_ms": 0, "cap_ms": 0, "factor": 1, "jitter": "none", "max_attempts": 3}))
        leased = self.lease_one(self.weir, "triage.ticket")
        failed = self.act(self.weir, leased, "fail", error="e").json()
        self.assertIn(failed["state"], ("queued", "scheduled"))
        again = self.lease_one(self.weir, "triage.ticket", wait_seconds=5)
        self.assertEqual((again["id"], again["attempt"]), (made["id"], 2))
        queue = self.weir.request("PUT", "/v1/queues/triage.ticket", {"timeout_seconds": 60},
                                  key=admin).json()
        self.assertEqual((queue["timeout_seconds"], queue["retry"]["max_attempts"]), (60, 3))

    def test_changes_of_different_settings_at_the_same_time_are_all_there(self):
        admin = self.key(self.weir, scopes=("ingest", "read", "admin"))
        changes = [{"concurrency": 3}, {"key_concurrency": 2}, {"rate_per_second": 1000},
                   {"burst": 50}, {"timeout_seconds": 60}, {"max_depth": 77},
                   {"paused": True}, {"draining": True}, {"retry": {"preset": "ai-job"}}]
        answers = []
        clients = [threading.Thread(target=lambda change=change: answers.append(
            self.weir.request("PUT", "/v1/queues/merged", change, key=admin).status))
            for change in changes]
        for client in clients:
            client.start()
        for client in clients:
            client.join(30)
        self.assertEqual(answers, [200] * len(changes))
        queue = self.weir.request("GET", "/v1/queues/merged").json()
        for change in changes[:-1]:
            for name, value in change.items():
                self.assertEqual((name, queue[name]), (name, value))
        self.assertEqual(queue["retry"]["base_ms"], 5000)

    def test_the_queues_of_a_project_are_listed_page_by_page(self):
        key = self.key(self.weir, project="proj_listed", scopes=("ingest", "read"))
        kinds = sorted(["b", "a.b", "a", "a-b", "a_b", "aa", "z9"])
        for kind in reversed(kinds):
            response = self.weir.request("POST", "/v1/jobs", {"kind": kind}, key=key)
            self.assertEqual(response.status, 202, response)
        seen, cursor, pages = [], None, 0
        while pages == 0 or cursor is not None:
            path = "/v1/queues?limit=3" + ("&cursor=" + cursor if cursor else "")
            page = self.weir.request("GET", path, key=key).json()
            self.assertLessEqual(len(page["queues"]), 3)
            seen += [queue["kind"] for queue in page["queues"]]
            self.assertEqual({queue["counts"]["queued"] for queue in page["queues"]}, {1})
            cursor, pages = page["next_cursor"], pages + 1
        self.assertEqual((seen, pages), (kinds, 3))
        whole = self.weir.request("GET", "/v1/queues", key=key).json()
        self.assertEqual((len(whole["queues"]), whole["next_cursor"]), (7, None))
        for query, code in (("limit=0", "invalid_parameter"), ("limit=101", "invalid_parameter"),
                            ("limit=x", "invalid_parameter"), ("cursor=A", "invalid_cursor"),
                            ("cursor=", "invalid_cursor")):
            response = self.weir.request("GET", "/v1/queues?" + query, key=key)
            self.assert_problem(response, 400, code)
        nobody = self.key(self.weir, project="proj_empty", scopes=("read",))
        self.assertEqual(self.weir.request("GET", "/v1/queues", key=nobody).json(),
                         {"queues": [], "next_cursor": None})

    def test_an_idempotency_key_is_one_of_the_project_whatever_the_kind(self):
        once = {"Idempotency-Key": "request-9"}
        made = self.job(self.weir, {"kind": "once.a", "payload": 1}, headers=once)
        for path, body in (("/v1/jobs", {"kind": "once.b", "payload": 1}),
                           ("/v1/jobs", {"kind": "once.a", "payload": 2}),
                           ("/v1/jobs/batch", {"jobs": [{"kind": "once.a", "payload": 1}]})):
            response = self.weir.request("POST", path, body, headers=once)
            self.assert_problem(response, 409, "idempotency_conflict")
        again = self.job(self.weir, {"kind": "once.a", "payload": 1}, headers=once)
        self.assertEqual((again["id"], again["duplicate"]), (made["id"], True))
        other = self.key(self.weir, project="proj_once", scopes=("ingest",))
        made = self.job(self.weir, {"kind": "once.b"}, headers=once, key=other)
        self.assertFalse(made["duplicate"])

    def test_jobs_count_against_the_rate_of_their_key(self):
        response = self.weir.admin("POST", "/v1/admin/keys", {
            "org_id": ORG, "project_id": "proj_rate", "scopes": ["ingest"],
            "rate_per_second": 1, "burst": 5})
        key = response.json()["key"]
        before = self.weir.metrics().get('weir_jobs_total{outcome="quota"}', 0)
        batch = {"jobs": [{"kind": "rated"}] * 4}
        self.assertEqual(self.weir.request("POST", "/v1/jobs/batch", batch, key=key).status, 202)
        response = self.weir.request("POST", "/v1/jobs/batch", batch, key=key)
        self.assert_problem(response, 429, "rate_limited")
        self.assertGreaterEqual(int(response.header("retry-after")), 1)
        flow = {"jobs": [{"name": str(n), "kind": "rated"} for n in range(4)]}
        self.assert_problem(self.weir.request("POST", "/v1/flows", flow, key=key), 429,
                            "rate_limited")
        self.assertEqual(self.weir.metrics()['weir_jobs_total{outcome="quota"}'] - before, 8)
        self.assertEqual(self.weir.request("POST", "/v1/jobs/rated/lease", {},
                                           key=key).status, 200)

    def test_metrics_tell_how_long_jobs_wait_and_how_many_workers_do(self):
        count = "weir_job_start_delay_seconds_count"
        total = "weir_job_start_delay_seconds_sum"
        before = self.weir.metrics()
        made = self.job(self.weir, {"kind": "watched", "delay_seconds": 0.05})
        wait_until(lambda: self.weir.request("GET", "/v1/queues/watched").json()
                   ["oldest_ready_seconds"] > 1, 15, "it has waited for a second")
        wait_until(lambda: self.weir.metrics()["weir_job_oldest_ready_seconds"] > 1, 15,
                   "the oldest job is seen to wait")
        self.assertEqual(self.lease_one(self.weir, "watched")["id"], made["id"])
        after = self.weir.metrics()
        self.assertEqual(after[count] - before[count], 1)
        self.assertGreater(after[total] - before[total], 1)
        waiter = threading.Thread(target=self.lease, args=(self.weir, "watched"),
                                  kwargs={"wait_seconds": 30})
        waiter.start()
        wait_until(lambda: self.weir.metrics()["weir_job_waiting_workers"] == 1, 15,
                   "the waiting worker is counted")
        self.job(self.weir, {"kind": "watched"})
        waiter.join(30)
        wait_until(lambda: self.weir.metrics()["weir_job_waiting_workers"] == 0, 15,
                   "it does not wait any more")

    def test_capabilities_tell_the_limits_of_jobs(self):
        limits = self.weir.request("GET", "/v1/capabilities", key=None).json()["jobs"]
        self.assertEqual((limits["batch_jobs"], limits["flow_jobs"], limits["lease_limit"]),
                         (100, 100, 100))
        self.assertEqual((limits["priority_max"], limits["priority_default"]), (7, 3))
        self.assertEqual((limits["lease_seconds_min"], limits["lease_seconds_max"],
                          limits["lease_wait_seconds_max"]), (5, 3600, 30))
        fits = b'{"kind":"limit","payload":"%s"}' % (b"x" * (limits["payload_bytes"] - 2))
        self.assertEqual(self.weir.request("POST", "/v1/jobs", fits).status, 202)
        response = self.weir.request("POST", "/v1/jobs", fits.replace(b'"x', b'"xx', 1))
        self.assert_problem(response, 413, "payload_too_large")

    def test_bad_settings_are_refused(self):
        admin = self.key(self.weir, scopes=("ingest", "read", "admin"))
        for body, pointer in (({"concurency": 1}, "/concurency"),
                              ({"retry": {"preset": "x"}}, "/retry/preset"),
                              ({"paused": 1}, "/paused")):
            response = self.weir.request("PUT", "/v1/queues/bad", body, key=admin)
            problem = self.assert_problem(response, 422, "invalid_job")
            self.assertEqual(problem["details"][0]["pointer"], pointer)
        response = self.weir.admin("PUT", "/v1/queues/bad", {"paused": True})
        self.assert_problem(response, 403, "forbidden")


def readme_worker(language):
    """The block of this language in the README's section about workers."""
    with open(os.path.join(Settings.root, "README.md"), encoding="utf-8") as file:
        section = file.read().split("\n## A worker in 20 lines\n")[1].split("\n## ")[0]
    return re.search("```%s\n(.*?)```" % language, section, re.DOTALL).group(1)


class ReadmeWorkers(JobCase):
    def start(self, server, command):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env=dict(os.environ, WEIR_API_KEY="dev-api-key-12345",
                                            WEIR_URL="http://127.0.0.1:%d" % server.port))

        def end():
            process.kill()
            process.wait()
            process.stdout.close()
        self.addCleanup(end)
        return process

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run_worker(self, command):
        server = self.server()
        made = [self.job(server, {"kind": "mail.send", "payload": {"to": "a%d" % n}})
                for n in range(25)]
        wrong = self.job(server, {"kind": "mail.send", "payload": {}, "max_attempts": 1})
        worker = self.start(server, command)
        wait_until(lambda: all(self.look(server, job)["state"] == "completed" for job in made),
                   30, "every mail is sent")
        self.assertEqual(self.look(server, made[0])["result"], {"sent": True})
        wait_until(lambda: self.look(server, wrong)["state"] == "dead", 30, "the wrong one is dead")
        self.assertIn("to", self.look(server, wrong)["last_error"])

        # Killed while it waits, it gets nothing more; another one goes on at once.
        wait_until(lambda: server.request("GET", "/v1/queues/mail.send")
                   .json()["waiting_workers"] == 1, 10, "the worker waits")
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        wait_until(lambda: server.request("GET", "/v1/queues/mail.send")
                   .json()["waiting_workers"] == 0, 10, "the worker is missed")
        late = self.job(server, {"kind": "mail.send", "payload": {"to": "late"}})
        worker = self.start(server, command)
        wait_until(lambda: self.look(server, late)["state"] == "completed", 30, "late is sent")

        # It also outlives the server: killed, started again.
        server.kill()
        server.start()
        after = self.job(server, {"kind": "mail.send", "payload": {"to": "after"}})
        wait_until(lambda: self.look(server, after)["state"] == "completed", 30, "after is sent")
        self.assertIsNone(worker.poll())
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_the_python_worker_does_all_jobs(self):
        text = readme_worker("python")
        self.assertLessEqual(len([line for line in text.split("\n") if line.strip()]), 25)
        self.run_worker([sys.executable, self.write("worker.py", text)])

    def test_the_javascript_worker_does_all_jobs(self):
        text = readme_worker("js")
        self.assertLessEqual(len([line for line in text.split("\n") if line.strip()]), 25)
        node = shutil.which("node")
        if node is None:
            self.skipTest("NODE IS MISSING: the README's JavaScript worker was not tried")
        self.run_worker([node, self.write("worker.mjs", text)])
