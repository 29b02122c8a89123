"""The read API: search, lists, numbers; whose rows they are, and what a bad question is told.

Every answer is held against the OpenAPI document as well (openapi.py). The read model is a
moment behind the logs: what was sent is waited for before it is counted.
"""
import datetime
import json
import os
import random
import re
import subprocess
import threading
import urllib.parse

from harness import DEMO_KEY, Case, Settings, SharedCase, event, new_id, wait_until

LISTS = ("/v1/incidents", "/v1/search/events", "/v1/ai/runs", "/v1/ai/activity", "/v1/ai/jobs")
NUMBERS = ("/v1/metrics/overview", "/v1/metrics/trends", "/v1/ai/stats")
NO_ID = "01939d2c-7a00-7001-8000-000000000001"


def path(base, **parameters):
    return base + "?" + urllib.parse.urlencode(parameters) if parameters else base


def now(offset_s=0):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=offset_s)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (moment.microsecond // 1000)


class Reading:
    """What the cases of this file do with a server."""

    def get(self, server, base, key=DEMO_KEY, **parameters):
        response = server.request("GET", path(base, **parameters), key=key)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def send(self, server, events, key=DEMO_KEY):
        for i in range(0, len(events), 100):
            self.post_ok(server, {"events": events[i:i + 100]}, "/v1/events/batch", key=key)

    def wait_for(self, server, count, key=DEMO_KEY, **parameters):
        def there():
            answer = self.get(server, "/v1/search/events", key=key, limit=1, **parameters)
            return answer["total"] >= count
        wait_until(there, 20, "%d events can be found" % count)

    def walk(self, server, base, name, between=None, key=DEMO_KEY, **parameters):
        """All rows of a list, page by page."""
        rows, cursor = [], None
        while True:
            page = self.get(server, base, key=key, **parameters,
                            **({"cursor": cursor} if cursor else {}))
            rows += page[name]
            cursor = page["next_cursor"]
            if cursor is None:
                return rows
            self.assertNotEqual(page[name], [])
            if between:
                between()

    def key_of(self, server, org, project, scopes=("ingest", "read")):
        response = server.admin("POST", "/v1/admin/keys", {
            "org_id": org, "project_id": project, "scopes": list(scopes)})
        self.assertEqual(response.status, 201, response)
        return response.json()["key"]


class Search(Reading, SharedCase):
    """A project of its own for each case, so that none sees another's events."""

    def setUp(self):
        super().setUp()
        self.key = self.key_of(self.weir, "o", self.id()[-60:])

    def fill(self, *events):
        self.send(self.weir, [event(**changes) for changes in events], self.key)
        self.wait_for(self.weir, len(events), self.key)

    def find(self, **parameters):
        return self.get(self.weir, "/v1/search/events", self.key, **parameters)

    def messages(self, **parameters):
        return [found["message"] for found in self.find(**parameters)["events"]]

    def test_finds_an_event_by_its_words_and_gives_all_but_its_payload(self):
        one = event(event_id=new_id(), message="Payment timed out", payload={"n": 1})
        self.fill(one, {"message": "another"})
        found = self.find(q="payment")
        self.assertEqual(found["total"], 1)
        self.assertIs(found["total_is_exact"], True)
        stored = self.weir.request("GET", "/v1/events/" + one["event_id"], key=self.key).json()
        for name in ("schema_version", "org_id", "project_id", "payload"):
            del stored[name]
        self.assertEqual(found["events"], [stored])
        self.assertEqual(self.messages(q='"timed out" pay*'), ["Payment timed out"])
        self.assertEqual(self.messages(q='"out timed"'), [])

    def test_an_event_is_found_once_however_often_it_was_sent(self):
        one = event(event_id=new_id(), message="unique")
        for _ in range(3):
            self.post_ok(self.weir, one, key=self.key)
        self.post_ok(self.weir, event(message="marker"), key=self.key)
        self.wait_for(self.weir, 1, self.key, q="marker")
        self.assertEqual(self.find(q="unique")["total"], 1)

    def test_gives_the_newest_first_and_filters(self):
        self.fill({"occurred_at": "2025-01-15T12:00:00Z", "message": "a", "environment": "prod"},
                  {"occurred_at": "2025-01-15T12:00:02Z", "message": "b", "environment": "dev",
                   "severity": "critical"},
                  {"occurred_at": "2025-01-15T12:00:01Z", "message": "c", "event_type": "deploy",
                   "severity": "info"})
        self.assertEqual(self.messages(), ["b", "c", "a"])
        self.assertEqual(self.messages(environment="dev"), ["b"])
        self.assertEqual(self.messages(environment="dev,prod", severity="critical"), ["b"])
        self.assertEqual(self.messages(event_type="deploy"), ["c"])
        self.assertEqual(self.messages(to="2025-01-15T12:00:02Z"), ["c", "a"])
        self.assertEqual(self.messages(**{"from": "2025-01-15T13:00:01+01:00"}), ["b", "c"])

    def test_counts_facets_and_marks_words(self):
        self.fill({"message": "<b>timeout</b>", "severity": "warn"}, {"message": "timeouts"},
                  {"message": "other"})
        found = self.find(q="timeout", facets="true", highlight="true")
        self.assertEqual(found["facets"]["severity"]["warn"], 1)
        self.assertEqual(found["facets"]["environment"], {"prod": 2, "staging": 0, "dev": 0})
        self.assertEqual(found["facets"]["counted"], 2)
        self.assertEqual(sorted(e["highlight"] for e in found["events"]),
                         ["&lt;b&gt;<em>timeout</em>&lt;/b&gt;", "<em>timeouts</em>"])

    def test_puts_the_most_relevant_first_when_asked(self):
        self.fill({"message": "a word about a timeout and many others in between"},
                  {"message": "timeout timeout"}, {"message": "none"})
        found = self.find(q="timeout", sort="relevance", limit=1)
        self.assertEqual((found["order"], found["total"]), ("relevance", 2))
        self.assertEqual(found["events"][0]["message"], "timeout timeout")
        second = self.find(q="timeout", sort="relevance", limit=1, cursor=found["next_cursor"])
        self.assertGreater(found["events"][0]["score"], second["events"][0]["score"])
        self.assertIsNone(second["next_cursor"])

    def test_nothing_that_can_be_typed_is_an_error(self):
        self.fill({"message": "timeout"})
        typed = ["'", '"', '""', "*", "(", "NEAR(", "a OR", "AND", "NOT", "^a", "a:b", "scope:p1",
                 "{a}", "-", "--", "'; DROP TABLE events;--", "\u2603", "\U0001f600", "\x01",
                 "%", "\\", "a" * 512, '"' * 512, "* " * 256, "\u00e9" * 256]
        rng = random.Random(Settings.seed)
        typed += ["".join(rng.choice("ab \"*'()^:-+{}|\\%\u00e9") for _ in range(rng.randrange(60)))
                  for _ in range(200)]
        for text in typed:
            with self.subTest(text=text):
                for sort in ("newest", "relevance"):
                    answer = self.weir.request(
                        "GET", path("/v1/search/events", q=text, sort=sort, highlight="true"),
                        key=self.key)
                    if len([w for w in text.split() if w]) <= 32:
                        self.assertEqual(answer.status, 200, answer)

    def test_shows_each_event_exactly_once_while_others_come(self):
        ids = [new_id() for _ in range(230)]
        rng = random.Random(Settings.seed)
        self.fill(*[{"event_id": i, "message": "walk " + i,
                     "occurred_at": "2025-01-15T12:00:%02dZ" % rng.randrange(60)} for i in ids])

        def add():
            self.send(self.weir, [event(message="walk on", occurred_at="2025-01-15T12:00:%02d.%03dZ"
                                        % (rng.randrange(60), rng.randrange(1000)))
                                  for _ in range(7)], self.key)
        for question in ({}, {"q": "walk"}):
            rows = self.walk(self.weir, "/v1/search/events", "events", add, self.key, limit=9,
                             **question)
            seen = [row["event_id"] for row in rows]
            self.assertEqual(len(seen), len(set(seen)), "no event twice")
            self.assertLessEqual(set(ids), set(seen), "none left out")
            times = [row["occurred_at"] for row in rows]
            self.assertEqual(times, sorted(times, reverse=True))

    def test_a_cursor_is_good_for_its_own_question_only(self):
        self.fill(*[{"message": "m%d" % i} for i in range(3)])
        cursor = self.find(limit=1)["next_cursor"]
        self.assertEqual(len(self.find(limit=2, cursor=cursor)["events"]), 2)
        other = self.key_of(self.weir, "o", "other")
        wrong = [(self.key, {"q": "m1"}), (self.key, {"severity": "error"}), (other, {}),
                 (self.key, {"sort": "relevance"})]
        for key, parameters in wrong:
            answer = self.weir.request("GET", path("/v1/search/events", cursor=cursor,
                                                   **parameters), key=key)
            self.assert_problem(answer, 400, "invalid_cursor")
        for made_up in ("x", "A" * 54, cursor[:-1], cursor[:-1] + ("A" if cursor[-1] != "A" else
                                                                   "B"), cursor + "A"):
            answer = self.weir.request("GET", path("/v1/search/events", cursor=made_up),
                                       key=self.key)
            self.assert_problem(answer, 400, "invalid_cursor")
        answer = self.weir.request("GET", path("/v1/ai/runs", cursor=cursor), key=self.key)
        self.assert_problem(answer, 400, "invalid_cursor")


class Readme(Reading, SharedCase):
    def test_every_line_of_its_section_is_answered(self):
        with open(os.path.join(Settings.root, "README.md"), encoding="utf-8") as file:
            section = file.read().split("\n## Lists, searches and numbers\n")[1].split("\n## ")[0]
        commands = re.search(r"^```sh\n(.*?)^```$", section, re.M | re.S).group(1)
        commands = commands.replace(":3000", ":%d" % self.weir.port)
        done = subprocess.run(["bash", "-eu", "-c", commands], stdout=subprocess.PIPE, timeout=60,
                              stderr=subprocess.STDOUT, check=False, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(done.stdout.split('{"openapi"')[0].count('"next_cursor":null'), 5,
                         done.stdout[:2000])


class Incidents(Reading, SharedCase):
    """From events to incidents with summaries, read back; each case has its own project."""

    def setUp(self):
        super().setUp()
        self.key = self.key_of(self.weir, "o", self.id()[-60:], ["ingest", "read", "admin"])

    def open_one(self, code, environment="prod", count=35):
        """An error spike, as the incident that comes of it."""
        self.send(self.weir, [event(
            message="%s number %d" % (code, i), occurred_at=now(-count + i),
            environment=environment, attributes={"error_code": code, "route": "/api/checkout"})
            for i in range(count)], self.key)

        def opened():
            found = self.get(self.weir, "/v1/incidents", self.key, environment=environment)
            return [i for i in found["incidents"] if code in i["fingerprint"]]
        return wait_until(opened, 30, "an incident for " + code)[0]

    def test_errors_become_an_incident_with_events_timeline_and_summary(self):
        incident = self.open_one("TIMEOUT")
        where = "/v1/incidents/" + incident["id"]
        wait_until(lambda: self.get(self.weir, where, self.key)["ai_summary"], 30, "a summary")
        self.wait_for(self.weir, 35, self.key)
        detail = self.get(self.weir, where, self.key)
        self.assertEqual(detail["incident"]["title"], detail["title"])
        self.assertEqual(len(detail["events"]), 35)
        self.assertEqual(detail["timeline"][0]["event"], "opened")
        self.assertTrue(detail["ai_summary"]["title"])
        self.assertEqual(detail["ai_summary"]["model"], "weir-local-summary-1")
        pages = self.walk(self.weir, where + "/events", "events", key=self.key, limit=8)
        self.assertEqual(pages, detail["events"])
        run = self.get(self.weir, "/v1/ai/runs", self.key, incident_id=incident["id"])["runs"][0]
        whole = self.get(self.weir, "/v1/ai/runs/" + run["id"], self.key)["run"]
        self.assertEqual(whole["output"]["title"], detail["ai_summary"]["title"])
        self.assertEqual(detail["ai_summary"]["run_id"], run["id"])
        activity = self.get(self.weir, "/v1/ai/activity", self.key)["activity"]
        self.assertEqual([a["incident_id"] for a in activity], [incident["id"]])
        job = self.get(self.weir, "/v1/ai/jobs", self.key, status="succeeded")["jobs"][0]
        self.assertEqual((job["id"], job["max_attempts"]), (run["id"], 3))
        stats = self.get(self.weir, "/v1/ai/stats", self.key)
        overview = self.get(self.weir, "/v1/metrics/overview", self.key)
        self.assertEqual(stats["success_rate"], 100)
        self.assertEqual(overview["ai"]["success_rate"], stats["success_rate"])
        self.assertEqual(overview["incidents"]["open"], 1)

    def test_a_detail_goes_on_where_its_events_end(self):
        incident = self.open_one("MANY", count=230)
        self.wait_for(self.weir, 230, self.key)
        where = "/v1/incidents/" + incident["id"]
        detail = self.get(self.weir, where, self.key)
        self.assertEqual(len(detail["events"]), 100)
        rest = self.get(self.weir, where + "/events", self.key, limit=100,
                        cursor=detail["events_next_cursor"])
        last = self.get(self.weir, where + "/events", self.key, limit=100,
                        cursor=rest["next_cursor"])
        ids = [e["event_id"] for e in detail["events"] + rest["events"] + last["events"]]
        self.assertEqual(len(set(ids)), len(ids))
        self.assertEqual(len(ids), 230)
        self.assertIsNone(last["next_cursor"])

    def test_filters_keep_to_what_is_asked(self):
        first = self.open_one("FIRST", "prod")
        second = self.open_one("SECOND", "staging")

        def listed(**parameters):
            rows = self.walk(self.weir, "/v1/incidents", "incidents", key=self.key, **parameters)
            return {row["id"] for row in rows}
        both = {first["id"], second["id"]}
        self.assertEqual(listed(), both)
        self.assertEqual(listed(limit=1), both)
        self.assertEqual(listed(environment="staging"), {second["id"]})
        self.assertEqual(listed(environment="staging,prod", status="open"), both)
        self.assertEqual(listed(status="resolved"), set())
        self.assertEqual(listed(severity=first["severity"]) & {first["id"]}, {first["id"]})
        self.assertEqual(listed(fingerprint=second["fingerprint"]), {second["id"]})
        self.assertEqual(listed(**{"from": now(3600)}), set())
        self.assertEqual(listed(to=now(3600)), both)
        changed = self.weir.request("PATCH", "/v1/incidents/" + first["id"],
                                    {"status": "resolved"}, key=self.key)
        self.assertEqual(changed.status, 200, changed)
        wait_until(lambda: listed(status="resolved") == {first["id"]}, 20, "the change is a row")
        detail = self.get(self.weir, "/v1/incidents/" + first["id"], self.key)
        self.assertEqual(detail["timeline"][-1]["event"], "status_changed")
        self.assertTrue(detail["timeline"][-1]["actor"])
        overview = self.get(self.weir, "/v1/metrics/overview", self.key)["incidents"]
        self.assertEqual((overview["total"], overview["open"], overview["resolved_last_24h"]),
                         (2, 1, 1))

    def test_an_incident_of_another_project_is_not_there(self):
        incident = self.open_one("SECRET")
        wait_until(lambda: self.get(self.weir, "/v1/ai/runs", self.key)["runs"], 30, "a run")
        run = self.get(self.weir, "/v1/ai/runs", self.key)["runs"][0]
        other = self.key_of(self.weir, "o", "another", ["ingest", "read", "admin"])
        same_name = self.key_of(self.weir, "other org", self.id()[-60:])
        for key in (other, same_name):
            for base in ("/v1/incidents/" + incident["id"],
                         "/v1/incidents/%s/events" % incident["id"], "/v1/ai/runs/" + run["id"]):
                self.assert_problem(self.weir.request("GET", base, key=key), 404, "not_found")
            for base in LISTS + NUMBERS:
                for parameters in ({}, {"incident_id": incident["id"]}):
                    if parameters and "/ai/" not in base:
                        continue
                    if parameters and base.endswith("stats"):
                        continue
                    answer = self.weir.request("GET", path(base, **parameters), key=key)
                    self.assertEqual(answer.status, 200, answer)
                    self.assertNotIn("SECRET", answer.body.decode())
                    self.assertNotIn(incident["id"], answer.body.decode())
        answer = self.weir.request("PATCH", "/v1/incidents/" + incident["id"],
                                   {"status": "resolved"}, key=other)
        self.assert_problem(answer, 404, "not_found")


class Questions(Reading, SharedCase):
    def refused(self, base, name, **parameters):
        answer = self.weir.request("GET", path(base, **parameters))
        problem = self.assert_problem(answer, 400, "invalid_parameter")
        self.assertEqual([detail["path"] for detail in problem["details"]], [[name]])

    def test_a_bad_parameter_is_named(self):
        for base in LISTS:
            for limit in ("0", "101", "abc", "-1", "", "1.5", "1e1"):
                self.refused(base, "limit", limit=limit)
            self.refused(base, "offset", offset="20")
            self.refused(base, "limti", limti="20")
        self.refused("/v1/incidents", "status", status="closed")
        self.refused("/v1/incidents", "severity", severity="info")
        self.refused("/v1/incidents", "environment", environment="production")
        self.refused("/v1/incidents", "from", **{"from": "yesterday"})
        self.refused("/v1/incidents", "to", **{"from": "2025-01-15T12:00:00Z",
                                               "to": "2025-01-15T12:00:00Z"})
        self.refused("/v1/search/events", "to", **{"from": "2025-01-15T12:00:00Z",
                                                   "to": "2024-01-15T12:00:00Z"})
        self.refused("/v1/search/events", "q", q="a" * 513)
        self.refused("/v1/search/events", "q", q="w " * 33)
        self.refused("/v1/search/events", "sort", sort="oldest")
        self.refused("/v1/search/events", "facets", facets="yes")
        self.refused("/v1/metrics/trends", "metric", metric="deploys")
        self.refused("/v1/metrics/trends", "period", period="2h")
        self.refused("/v1/ai/runs", "incident_id", incident_id="x" * 36)
        self.refused("/v1/ai/runs", "status", status="dead")
        self.refused("/v1/ai/activity", "status", status="succeeded")
        self.assert_problem(self.weir.request("GET", "/v1/search/events?q=%ff"), 400,
                            "invalid_parameter")
        self.assert_problem(self.weir.request("GET", "/v1/search/events?q=%zz"), 400)

    def test_all_that_is_wrong_is_said_at_once(self):
        answer = self.weir.request("GET", "/v1/search/events?limit=0&sort=x&nope=1&limit=1")
        problem = self.assert_problem(answer, 400, "invalid_parameter")
        self.assertEqual([detail["pointer"] for detail in problem["details"]],
                         ["/limit", "/sort", "/nope", "/limit"])

    def test_reading_needs_the_scope_read(self):
        key = self.key_of(self.weir, "org_demo", "proj_demo", ["ingest", "admin"])
        for base in LISTS + NUMBERS + ("/v1/incidents/" + NO_ID, "/v1/ai/runs/" + NO_ID):
            self.assert_problem(self.weir.request("GET", base, key=None), 401, "missing_api_key")
            self.assert_problem(self.weir.request("GET", base, key=key), 403, "forbidden_scope")
            self.assert_problem(self.weir.admin("GET", base), 403, "forbidden_scope")

    def test_what_is_not_there_is_404_whatever_its_id_looks_like(self):
        for base in ("/v1/incidents/%s", "/v1/incidents/%s/events", "/v1/ai/runs/%s"):
            for name in (NO_ID, NO_ID.upper(), "22P02", "x" * 2000, "%27", "%F0%9F%98%80", "-1"):
                self.assert_problem(self.weir.request("GET", base % name), 404, "not_found")

    def test_an_empty_project_has_empty_lists_and_zeros(self):
        key = self.key_of(self.weir, "o", "empty")
        for base in LISTS:
            answer = self.get(self.weir, base, key)
            self.assertIsNone(answer["next_cursor"])
            self.assertEqual([v for v in answer.values() if isinstance(v, list)], [[]])
        overview = self.get(self.weir, "/v1/metrics/overview", key)
        self.assertEqual(overview, {
            "incidents": {"total": 0, "open": 0, "investigating": 0, "resolved_last_24h": 0},
            "errors": {"total_last_24h": 0, "rate_per_minute": 0},
            "signups": {"total_last_24h": 0, "rate_per_hour": 0},
            "ai": {"total_summaries": 0, "success_rate": None, "pending_jobs": 0}})
        stats = self.get(self.weir, "/v1/ai/stats", key)
        self.assertIsNone(stats["success_rate"])

    def test_head_and_other_methods(self):
        for base in LISTS + NUMBERS:
            self.assertEqual(self.weir.request("HEAD", base).status, 200)
            self.assert_problem(self.weir.request("POST", base, {}), 405)


class Numbers(Reading, SharedCase):
    def setUp(self):
        super().setUp()
        self.key = self.key_of(self.weir, "o", self.id()[-60:])

    def test_trends_have_a_value_for_every_step(self):
        self.send(self.weir, [event(occurred_at=now(-90)) for _ in range(3)] +
                  [event(occurred_at=now(-3 * 3600), environment="dev"),
                   event(event_type="signup", occurred_at=now())], self.key)
        self.wait_for(self.weir, 5, self.key)
        for period, count, total in (("1h", 60, 3), ("24h", 24, 4), ("7d", 168, 4)):
            trend = self.get(self.weir, "/v1/metrics/trends", self.key, period=period)
            self.assertEqual((trend["metric"], trend["period"]), ("errors", period))
            self.assertEqual(len(trend["data"]), count)
            times = [datetime.datetime.fromisoformat(p["timestamp"].replace("Z", "+00:00"))
                     for p in trend["data"]]
            steps = {later - earlier for earlier, later in zip(times, times[1:])}
            self.assertEqual(len(steps), 1)
            self.assertEqual(trend["summary"]["total"], total)
            self.assertEqual(sum(p["value"] for p in trend["data"]), total)
            self.assertEqual(trend["summary"]["average"], round(total / count + 1e-9, 2))
            self.assertEqual(trend["summary"]["min"], 0)
        self.assertEqual(self.get(self.weir, "/v1/metrics/trends", self.key,
                                  environment="dev")["summary"]["total"], 1)
        self.assertEqual(self.get(self.weir, "/v1/metrics/trends", self.key,
                                  metric="signups")["summary"]["total"], 1)

    def test_a_rate_does_not_depend_on_how_many_fingerprints_there_are(self):
        """The system that went before took the mean over rows, one per fingerprint."""
        self.send(self.weir, [event(occurred_at=now(-600 + i * 5),
                                    attributes={"error_code": "E%d" % i, "route": "/r"})
                              for i in range(100)], self.key)
        self.wait_for(self.weir, 100, self.key)
        errors = self.get(self.weir, "/v1/metrics/overview", self.key)["errors"]
        self.assertEqual(errors["total_last_24h"], 100)
        self.assertGreaterEqual(errors["rate_per_minute"], 8)
        self.assertLessEqual(errors["rate_per_minute"], 10.5)


class Tenants(Reading, SharedCase):
    """A canary: one project's words must be in no answer to another's key."""

    def test_no_answer_holds_anything_of_another_project(self):
        canary = "canary%d" % Settings.seed
        theirs = self.key_of(self.weir, "theirs", "secret")
        ours = [self.key_of(self.weir, org, project) for org, project in
                (("ours", "secret"), ("theirs", "ours"), ("ours", "ours"))]
        self.send(self.weir, [event(message=canary, event_id=new_id(), occurred_at=now(),
                                    attributes={"error_code": canary, "route": "/" + canary})
                              for _ in range(60)], theirs)
        for key in ours:
            self.send(self.weir, [event(message="ours", occurred_at=now())], key)
            self.wait_for(self.weir, 1, key)
        self.wait_for(self.weir, 60, theirs)
        found = self.get(self.weir, "/v1/search/events", theirs, q=canary)
        self.assertEqual(found["total"], 60)
        ids = [row["event_id"] for row in found["events"]]
        questions = [path(base, **parameters) for base in LISTS + NUMBERS for parameters in (
            {}, {"project_id": "secret"}, {"project_id": "ours"})]
        questions += [path("/v1/search/events", q=canary, facets="true", highlight="true"),
                      path("/v1/search/events", q=canary, project_id="secret"),
                      path("/v1/search/events", q="scope:p1 OR " + canary),
                      path("/v1/incidents", fingerprint="%s|/%s|prod" % (canary, canary)),
                      "/v1/events/" + ids[0], "/v1/incidents/" + ids[0]]
        for key in ours:
            for question in questions:
                answer = self.weir.request("GET", question, key=key)
                self.assertIn(answer.status, (200, 404), answer)
                self.assertNotIn(canary, answer.body.decode(), question)
            self.assertEqual(self.get(self.weir, "/v1/search/events", key, q=canary)["total"], 0)
            overview = self.get(self.weir, "/v1/metrics/overview", key)
            self.assertEqual(overview["errors"]["total_last_24h"], 1)

    def test_the_key_decides_whatever_project_is_named(self):
        key = self.key_of(self.weir, "o", "mine")
        self.send(self.weir, [event(message="mine")], key)
        self.wait_for(self.weir, 1, key)
        self.assertEqual(self.get(self.weir, "/v1/search/events", key,
                                  project_id="mine")["total"], 1)
        self.assertEqual(self.get(self.weir, "/v1/search/events", key,
                                  project_id="yours")["total"], 0)


class Availability(Reading, Case):
    def test_everything_else_goes_on_without_a_read_model(self):
        server = self.server(env={"WEIR_STORE_READ_MODEL": "off"})
        self.post_ok(server, event())
        for base in LISTS + NUMBERS:
            answer = server.request("GET", base)
            self.assert_problem(answer, 503, "read_model_unavailable")
            self.assertGreater(int(answer.header("retry-after")), 0)
        self.assertEqual(server.stop(), 0)

    def test_cursors_and_rows_outlive_a_restart(self):
        server = self.server()
        self.send(server, [event(message="m%d" % i) for i in range(30)])
        self.wait_for(server, 30)
        first = self.get(server, "/v1/search/events", limit=7)
        self.assertEqual(server.stop(), 0)
        server.start()
        self.wait_for(server, 30)
        rest = self.walk(server, "/v1/search/events", "events", limit=100)
        again = self.get(server, "/v1/search/events", limit=100, cursor=first["next_cursor"])
        self.assertEqual(first["events"] + again["events"], rest)

    def test_questions_do_not_stop_an_orderly_end(self):
        server = self.server("--shards", "2")
        self.send(server, [event(message="word " * 20) for _ in range(300)])
        self.wait_for(server, 300)
        stop = threading.Event()
        wrong = []

        def ask():
            while not stop.is_set():
                try:
                    answer = server.request("GET", path("/v1/search/events", q="word", limit=100,
                                                        facets="true", highlight="true"))
                    if answer.status not in (200, 503):
                        wrong.append(answer)
                except (OSError, Exception):  # pylint: disable=W0718
                    return  # it has ended
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda: server.metric("weir_http_requests_total") > 50, 30, "questions")
        self.assertEqual(server.stop(), 0)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_a_client_that_leaves_takes_its_question_along(self):
        server = self.server()
        self.send(server, [event(message="word") for _ in range(100)])
        self.wait_for(server, 100)
        for _ in range(300):
            with server.connect() as connection:
                connection.send("GET /v1/search/events?q=word&limit=100 HTTP/1.1\r\nHost: x\r\n"
                                "X-API-Key: %s\r\n\r\n" % DEMO_KEY)
        question = path("/v1/search/events", q="word", limit=1)
        wait_until(lambda: server.request("GET", question).status == 200, 20, "a free slot")
        self.assertEqual(server.stop(), 0)

    def test_a_long_page_is_cut_and_goes_on(self):
        server = self.server()
        attributes = {"error_code": "E", "blob": "x" * 12000}
        self.send(server, [event(message="long " * 1000, attributes=attributes)
                           for _ in range(60)])
        self.wait_for(server, 60)
        rows = self.walk(server, "/v1/search/events", "events", limit=100, q="long",
                         highlight="true")
        self.assertEqual(len({row["event_id"] for row in rows}), 60)
        self.assertEqual(json.loads(json.dumps(rows[0]["attributes"])), attributes)
