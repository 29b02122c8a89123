"""The whole way of a signal: event, incident, summary, search, and what a crash does to it.

This is the acceptance list of the pipeline that is replaced, against one process, and the
things it was known to get wrong.
"""
import datetime
import json
import threading
import time

from harness import Case, PROJECT, event, new_id, wait_until
from test_http_request import Peer

CHECKOUT = {"error_code": "PAYMENT_TIMEOUT", "route": "/api/checkout", "status_code": 504}
SUMMARY = {"title": "Payments time out at checkout", "impact": "No order can be paid.",
           "likely_causes": ["the payment provider is slow"], "evidence": ["35 errors in a minute"],
           "next_steps": ["ask the provider"], "confidence": 0.8}


def now(seconds=0):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (at.microsecond // 1000)


def checkout_error(**changes):
    return dict(event(event_type="error", message="E2E payment timed out", environment="prod",
                      severity="error", occurred_at=now(), attributes=CHECKOUT,
                      event_id=new_id()), **changes)


def completion(content, **usage):
    usage = dict({"prompt_tokens": 300, "completion_tokens": 90, "total_tokens": 390}, **usage)
    return json.dumps({"id": "c-1", "object": "chat.completion", "model": "model-e2e-1",
                       "choices": [{"index": 0, "finish_reason": "stop",
                                    "message": {"role": "assistant", "content": content}}],
                       "usage": usage}).encode()


class SignalCase(Case):
    def peer(self, script):
        peer = Peer(script)
        self.addCleanup(peer.close)
        return peer

    def get(self, server, path, **options):
        response = server.request("GET", path, **options)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def incidents(self, server, query=""):
        return self.get(server, "/v1/incidents" + query)["incidents"]

    def incident(self, server, query="?status=open", count=1, timeout=30):
        def there():
            found = self.incidents(server, query)
            return found if len(found) >= count else None
        found = wait_until(there, timeout, "an incident")
        self.assertEqual(len(found), count, found)
        return found[0]

    def summarised(self, server, incident, timeout=60):
        return wait_until(
            lambda: self.get(server, "/v1/incidents/" + incident["id"])["ai_summary"] and
            self.get(server, "/v1/incidents/" + incident["id"]), timeout, "a summary")

    def spike(self, server, count=35, **changes):
        ids = []
        for _ in range(count):
            body = checkout_error(**changes)
            self.post_ok(server, body)
            ids.append(body["event_id"])
        return ids

    def with_model(self, server, peer):
        with open(server.data + ".key", "w", encoding="ascii") as file:
            file.write("sk-canary-e2e\n")
        server.env = {"WEIR_AI_BASE_URL": peer.url + "/v1", "WEIR_AI_MODEL": "model-e2e-1",
                      "WEIR_AI_API_KEY_FILE": server.data + ".key"}


class Acceptance(SignalCase):
    """The list that the replaced system was accepted by."""

    def test_health(self):
        server = self.server()
        for path in ("/healthz", "/readyz", "/livez"):
            self.assertEqual(server.request("GET", path, key=None).status, 200)

    def test_a_single_event_and_a_batch_are_found(self):
        server = self.server()
        single = checkout_error(message="E2E single zebra")
        self.post_ok(server, single)
        batch = [event(event_type="signup", message="E2E signup", environment="prod"),
                 event(event_type="signup", message="E2E signup", environment="prod"),
                 event(event_type="http_request", message="E2E request", environment="prod")]
        answer = self.post(server, {"events": batch}, "/v1/events/batch")
        self.assertEqual((answer.status, answer.json()["count"]), (202, 3))

        def found():
            return self.get(server, "/v1/search/events?q=E2E&limit=100")["events"]
        hits = wait_until(lambda: len(found()) == 4 and found(), 30, "four events")
        self.assertEqual(len({hit["event_id"] for hit in hits}), 4)
        zebra = self.get(server, "/v1/search/events?q=zebra")["events"]
        self.assertEqual([hit["event_id"] for hit in zebra], [single["event_id"]])

    def test_35_errors_open_one_incident_with_a_summary_and_search_finds_them(self):
        server = self.server()
        ids = self.spike(server)
        incident = self.incident(server)
        self.assertEqual(incident["project_id"], PROJECT)
        self.assertEqual((incident["environment"], incident["status"]), ("prod", "open"))
        self.assertIn("PAYMENT_TIMEOUT", incident["rule_title"])
        detail = self.summarised(server, incident)
        self.assertEqual(detail["incident"]["id"], incident["id"])
        summary = detail["ai_summary"]
        for name in ("title", "impact", "likely_causes", "evidence", "next_steps", "confidence",
                     "model", "prompt_version"):
            self.assertIn(name, summary)
        self.assertIn("local", summary["model"])
        wait_until(lambda: len(self.get(server, "/v1/incidents/" + incident["id"])["events"]) == 35,
                   30, "all the incident's events")
        seen = self.get(server, "/v1/incidents/" + incident["id"])["events"]
        self.assertEqual({e["event_id"] for e in seen}, set(ids))
        self.assertEqual(len(self.incidents(server)), 1)

    def test_a_kill_while_the_model_answers_loses_and_doubles_nothing(self):
        release = threading.Event()

        def answer(path, seen):
            if seen == 0:
                release.wait(60)
                return None
            return 200, {"Content-Type": "application/json"}, completion(json.dumps(SUMMARY))
        peer = self.peer(answer)
        server = self.unstarted()
        self.with_model(server, peer)
        server.start()
        self.spike(server)
        incident = self.incident(server)
        wait_until(lambda: peer.seen("/v1/chat/completions"), 30, "the model to be asked")
        server.kill()
        release.set()
        server.start()
        detail = self.summarised(server, incident)
        self.assertEqual(detail["ai_summary"]["title"], SUMMARY["title"])
        self.assertEqual(detail["incident"]["title"], SUMMARY["title"])
        self.assertEqual([i["id"] for i in self.incidents(server)], [incident["id"]])
        self.assertEqual(len(peer.seen("/v1/chat/completions")), 2)
        runs = self.get(server, "/v1/ai/runs")["runs"]
        self.assertEqual(len([r for r in runs if r["status"] == "succeeded"]), 1, runs)
        self.assertNotIn("sk-canary-e2e", server.log())

    def test_a_model_that_errs_is_asked_three_times_and_the_job_is_in_the_dlq(self):
        peer = self.peer(lambda path, seen: (500, {}, b'{"error":"no"}'))
        server = self.unstarted()
        self.with_model(server, peer)
        server.start()
        self.spike(server)
        incident = self.incident(server)
        wait_until(lambda: len(peer.seen("/v1/chat/completions")) == 3, 90, "three attempts")
        asked = [r["at"] for r in peer.seen("/v1/chat/completions")]
        self.assertGreater(asked[2] - asked[1], asked[1] - asked[0] - 5)

        def dead():
            letters = server.admin("GET", "/v1/admin/dlq").json()["dead_letters"]
            return [letter for letter in letters if "incident.summarize" in json.dumps(letter)]
        letters = wait_until(dead, 60, "the dead letter")
        self.assertEqual(len(letters), 1)
        self.assertEqual(letters[0]["attempts"], 3)
        self.assertIsNone(self.get(server, "/v1/incidents/" + incident["id"])["ai_summary"])
        jobs = wait_until(
            lambda: [j for j in self.get(server, "/v1/ai/jobs")["jobs"] if j["status"] == "failed"],
            30, "the job to be shown as failed")
        self.assertEqual((jobs[0]["attempt_count"], jobs[0]["max_attempts"]), (3, 3))


class DoneRight(SignalCase):
    """What the replaced system was known to get wrong, one by one, from outside."""

    def test_an_event_sent_again_counts_once(self):
        server = self.server()
        ids = [new_id() for _ in range(29)]
        for _ in range(3):
            for event_id in ids:
                self.post_ok(server, checkout_error(event_id=event_id,
                                                    occurred_at="%sT%s" % tuple(self.instant())))
        self.spike(server, 29, attributes={"error_code": "OTHER", "route": "/"})
        self.assertEqual(self.incidents(server), [])
        self.spike(server, 1, occurred_at="%sT%s" % tuple(self.instant()))
        self.incident(server)

    def instant(self):
        if not hasattr(self, "_instant"):
            self._instant = now(-60).split("T")
        return self._instant

    def test_events_of_the_past_are_judged_by_their_own_time(self):
        server = self.server()
        start = time.time() - 3 * 86400
        for i in range(35):
            at = datetime.datetime.fromtimestamp(start + i, datetime.timezone.utc)
            self.post_ok(server, checkout_error(occurred_at=at.strftime("%Y-%m-%dT%H:%M:%SZ")))
        incident = self.incident(server, "")
        self.assertTrue(incident["opened_at"].startswith(
            datetime.datetime.fromtimestamp(start, datetime.timezone.utc).strftime("%Y-%m-%d")))

    def test_errors_at_once_from_many_clients_open_one_incident(self):
        server = self.server()
        threads = [threading.Thread(target=self.spike, args=(server, 40)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.incident(server)
        self.assertEqual(len(self.incidents(server)), 1)

    def test_an_incident_under_investigation_is_not_opened_a_second_time(self):
        server = self.server()
        self.spike(server)
        incident = self.incident(server)
        answer = server.request("PATCH", "/v1/incidents/" + incident["id"],
                                {"status": "investigating"})
        self.assertEqual(answer.status, 200, answer)
        self.spike(server)
        wait_until(lambda: self.incidents(server)[0]["status"] == "investigating", 30,
                   "the status to be seen")
        self.assertEqual(len(self.incidents(server)), 1)
        illegal = server.request("PATCH", "/v1/incidents/" + incident["id"], {"status": "closed"})
        self.assertIn(illegal.status, (400, 422), illegal)

    def test_fields_with_separators_do_not_collide(self):
        server = self.server()
        self.spike(server, 20, attributes={"error_code": "A|B", "route": "C"})
        self.spike(server, 20, attributes={"error_code": "A", "route": "B|C"})
        self.spike(server, 1, attributes={"error_code": "Z", "route": "Z"})
        wait_until(lambda: len(self.get(server, "/v1/search/events?limit=100")["events"]) == 41, 30,
                   "all events")
        self.assertEqual(self.incidents(server), [])

    def test_an_incident_of_another_project_does_not_exist(self):
        server = self.server()
        self.spike(server)
        incident = self.incident(server)
        made = server.admin("POST", "/v1/admin/keys", {
            "org_id": "org_demo", "project_id": "proj_other", "scopes": ["ingest", "read"]})
        other = made.json()["key"]
        for path in ("/v1/incidents/" + incident["id"], "/v1/incidents/no-uuid"):
            self.assert_problem(server.request("GET", path, key=other), 404)
        for path in ("/v1/incidents", "/v1/search/events", "/v1/ai/runs", "/v1/ai/jobs",
                     "/v1/ai/activity"):
            answer = server.request("GET", path, key=other)
            self.assertEqual(answer.status, 200, answer)
            self.assertNotIn(b"PAYMENT_TIMEOUT", answer.body)
        self.assert_problem(server.request("PATCH", "/v1/incidents/" + incident["id"],
                                           {"status": "resolved"}, key=other), 404)

    def test_two_organisations_may_have_a_project_of_the_same_name(self):
        server = self.server()
        made = server.admin("POST", "/v1/admin/keys", {
            "org_id": "org_other", "project_id": PROJECT, "scopes": ["ingest", "read"]})
        other = made.json()["key"]
        ours = checkout_error(message="ours")
        theirs = dict(ours, message="theirs")
        idem = {"idempotency-key": "the same"}
        self.assertFalse(self.post_ok(server, ours, headers=idem)["duplicate"])
        answer = self.post(server, theirs, key=other, headers=idem)
        self.assertEqual((answer.status, answer.json()["duplicate"]), (202, False), answer)
        path = "/v1/events/" + ours["event_id"]
        self.assertEqual(self.get(server, path)["message"], "ours")
        self.assertEqual(self.get(server, path, key=other)["message"], "theirs")
        self.spike(server)
        self.incident(server)
        self.assertEqual(self.get(server, "/v1/incidents", key=other)["incidents"], [])

    def test_bad_numbers_in_a_query_are_refused(self):
        server = self.server()
        for query in ("limit=abc", "limit=-1", "limit=0", "limit=101", "status=closed",
                      "from=yesterday"):
            self.assert_problem(server.request("GET", "/v1/incidents?" + query), 400)
