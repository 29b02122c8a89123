"""Incidents: from events to what the read API shows, what people change, and a killed server."""
import datetime

from harness import Case, SharedCase, event, new_id, wait_until


def errors(count, code="PAYMENT_TIMEOUT", route="/api/checkout", **changes):
    """count errors of one kind, one after the other, up to now."""
    first = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=count)
    for i in range(count):
        moment = first + datetime.timedelta(seconds=i)
        yield event(event_type="error", severity="error", environment="prod",
                    occurred_at=moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    attributes={"error_code": code, "route": route}, **changes)


class Seeing:
    """What the cases of this file do with a server."""

    def key_of(self, server, project, scopes=("ingest", "read", "admin")):
        response = server.admin("POST", "/v1/admin/keys", {
            "org_id": "o", "project_id": project, "scopes": list(scopes)})
        self.assertEqual(response.status, 201, response)
        return response.json()["key"]

    def send(self, server, key, events):
        events = list(events)
        for i in range(0, len(events), 100):
            self.post_ok(server, {"events": events[i:i + 100]}, "/v1/events/batch", key=key)

    def incidents(self, server, key):
        response = server.request("GET", "/v1/incidents?limit=100", key=key)
        self.assertEqual(response.status, 200, response)
        return response.json()["incidents"]

    def wait_for_one(self, server, key):
        wait_until(lambda: self.incidents(server, key), 20, "there is an incident")
        found = self.incidents(server, key)
        self.assertEqual(len(found), 1, found)
        return found[0]


class Incidents(Seeing, SharedCase):
    def setUp(self):
        super().setUp()
        self.project = self.id()[-60:]
        self.key = self.key_of(self.weir, self.project)

    def patch(self, incident, status, key=None):
        return self.weir.request("PATCH", "/v1/incidents/" + incident, {"status": status},
                                 key=key or self.key)

    def test_35_errors_open_one_incident_with_a_summary(self):
        self.send(self.weir, self.key, errors(35))
        incident = self.wait_for_one(self.weir, self.key)
        self.assertEqual(incident["title"], "Error spike: PAYMENT_TIMEOUT on /api/checkout")
        self.assertEqual(incident["fingerprint"], "PAYMENT_TIMEOUT|/api/checkout|prod")
        self.assertEqual((incident["status"], incident["severity"], incident["rule"]),
                         ("open", "error", "new_error"))
        wait_until(lambda: self.weir.request("GET", "/v1/incidents/" + incident["id"],
                                             key=self.key).json()["ai_summary"], 30,
                   "the incident has its summary")

    def test_29_errors_are_none_and_sending_them_again_makes_no_30(self):
        events = list(errors(29))
        for each in events:
            each["event_id"] = new_id()
        for _ in range(3):
            self.send(self.weir, self.key, events)
        self.send(self.weir, self.key, errors(35, code="OTHER"))
        self.assertEqual(self.wait_for_one(self.weir, self.key)["fingerprint"],
                         "OTHER|/api/checkout|prod")

    def test_ids_in_routes_make_no_series_of_their_own(self):
        for i in range(30):
            self.send(self.weir, self.key, errors(1, route="/users/%d?page=%d" % (i, i)))
        self.assertEqual(self.wait_for_one(self.weir, self.key)["fingerprint"],
                         "PAYMENT_TIMEOUT|/users/{id}|prod")

    def test_a_recording_of_months_ago_opens_what_it_would_have_then(self):
        self.send(self.weir, self.key, (
            event(environment="staging", occurred_at="2025-01-15T12:00:%02dZ" % i)
            for i in range(40)))
        self.assertEqual(self.wait_for_one(self.weir, self.key)["opened_at"],
                         "2025-01-15T12:00:29.000Z")

    def test_people_move_it_and_what_makes_no_sense_is_409(self):
        self.send(self.weir, self.key, errors(35))
        incident = self.wait_for_one(self.weir, self.key)["id"]
        for status in ("open", "investigating", "investigating", "resolved"):
            response = self.patch(incident, status)
            self.assertEqual(response.status, 200, response)
            self.assertEqual(response.json()["incident"]["status"], status)
        self.assertIsNotNone(response.json()["incident"]["resolved_at"])
        self.assert_problem(self.patch(incident, "investigating"), 409, "incident_status")
        response = self.patch(incident, "open")
        self.assertEqual(response.json()["incident"]["reopen_count"], 1)
        wait_until(lambda: self.incidents(self.weir, self.key)[0]["status"] == "open", 20,
                   "the read model has it")

    def test_what_is_wrong_with_a_move_is_said(self):
        path = "/v1/incidents/01939d2c-7a00-7001-8000-000000000001"
        self.assert_problem(self.patch(path.rsplit("/", 1)[1], "open"), 404, "not_found")
        self.assert_problem(self.patch("no-id", "open"), 404, "not_found")
        for body, status, code in (({}, 422, "unprocessable"), ({"status": "gone"}, 422, None),
                                   ({"status": "open", "x": 1}, 422, None),
                                   (b"{", 400, "truncated_json"), (b"", 400, "empty_body")):
            response = self.weir.request("PATCH", path, body, key=self.key)
            self.assert_problem(response, status, code)

    def test_an_incident_of_another_project_is_not_there(self):
        self.send(self.weir, self.key, errors(35))
        incident = self.wait_for_one(self.weir, self.key)["id"]
        other = self.key_of(self.weir, "other" + self.project[-40:])
        self.assert_problem(self.patch(incident, "resolved", other), 404, "not_found")

    def test_who_may_only_read_changes_nothing(self):
        reader = self.key_of(self.weir, self.project, ("read",))
        self.assert_problem(self.patch("01939d2c-7a00-7001-8000-000000000001", "open", reader), 403,
                            "forbidden_scope")
        response = self.weir.request("PUT", "/v1/incident-rules", {}, key=reader)
        self.assert_problem(response, 403, "forbidden_scope")

    def test_rules_are_the_projects_own(self):
        rules = self.weir.request("GET", "/v1/incident-rules", key=self.key).json()
        self.assertTrue(rules["is_default"])
        self.assertEqual(rules["error_spike"]["count"], 30)
        response = self.weir.request("PUT", "/v1/incident-rules", {
            "error_spike": {"count": 5, "critical_percent": None}, "resolve_minutes": 60},
            key=self.key)
        self.assertEqual(response.status, 200, response)
        changed = response.json()
        self.assertEqual(changed["error_spike"], dict(rules["error_spike"], count=5))
        self.assertEqual((changed["resolve_minutes"], changed["is_default"]), (60, False))
        self.send(self.weir, self.key, errors(5))
        self.assertEqual(self.wait_for_one(self.weir, self.key)["window_count"], 5)

    def test_rules_that_make_no_sense_are_refused(self):
        for body in ({"resolve_minutes": 4}, {"error_spike": {"count": 0}}, {"error_spike": 7},
                     {"unknown": 1}, {"signup_drop": {"unknown": 1}},
                     {"error_spike": {"error_percent": 2000}}, {"error_spike": {"enabled": 1}}):
            response = self.weir.request("PUT", "/v1/incident-rules", body, key=self.key)
            self.assert_problem(response, 422, "unprocessable")
        self.assertTrue(self.weir.request("GET", "/v1/incident-rules",
                                          key=self.key).json()["is_default"])

    def test_rules_that_are_off_open_nothing(self):
        self.weir.request("PUT", "/v1/incident-rules", {"error_spike": {"enabled": False}},
                          key=self.key)
        self.send(self.weir, self.key, errors(60))
        self.weir.request("PUT", "/v1/incident-rules", {"error_spike": {"enabled": True}},
                          key=self.key)
        self.send(self.weir, self.key, errors(35, code="OTHER"))
        self.assertEqual(self.wait_for_one(self.weir, self.key)["fingerprint"],
                         "OTHER|/api/checkout|prod")


class Restarts(Seeing, Case):
    def test_a_killed_server_neither_forgets_nor_doubles(self):
        weir = self.server("--shards", "2")
        key = self.key_of(weir, "shop")
        weir.request("PUT", "/v1/incident-rules", {"resolve_minutes": 30}, key=key)
        self.send(weir, key, errors(20))
        weir.kill()
        weir.start()
        self.send(weir, key, errors(15))
        incident = self.wait_for_one(weir, key)
        self.assertEqual(incident["window_count"], 30)
        weir.request("PATCH", "/v1/incidents/" + incident["id"], {"status": "investigating"},
                     key=key)
        weir.kill()
        weir.start()
        self.send(weir, key, errors(40))
        again = self.wait_for_one(weir, key)
        self.assertEqual((again["id"], again["status"]), (incident["id"], "investigating"))
        self.assertEqual(weir.request("GET", "/v1/incident-rules", key=key).json()[
            "resolve_minutes"], 30)
        self.assertEqual(weir.metric("weir_incidents_open"), 1)
