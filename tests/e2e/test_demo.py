"""The demo as somebody meets it who has just started it: it shows something by itself."""
from harness import Case, wait_until

WITH_TRAFFIC = {"WEIR_DEMO_TRAFFIC": "true"}
SECONDS_MAX = 60  # what a newcomer is promised


class Demo(Case):
    def test_shows_an_open_incident_with_its_summary_within_a_minute(self):
        server = self.server("--shards=2", env=WITH_TRAFFIC)

        def found():
            answer = server.request("GET", "/v1/incidents?status=open")
            self.assertEqual(answer.status, 200, answer)
            for incident in answer.json()["incidents"]:
                answer = server.request("GET", "/v1/incidents/" + incident["id"])
                self.assertEqual(answer.status, 200, answer)
                if answer.json()["ai_summary"] is not None:
                    return answer.json()
            return None

        incident = wait_until(found, SECONDS_MAX, "an open incident has a summary")
        self.assertEqual(incident["environment"], "prod")
        self.assertIn("/api/critical-path", incident["title"])
        self.assertEqual(incident["ai_summary"]["model"], "weir-local-summary-1")
        self.assertTrue(incident["events"])
        self.assertEqual(server.stop(), 0)

    def test_stops_in_the_middle_of_its_burst(self):
        server = self.server(env=WITH_TRAFFIC)
        wait_until(lambda: server.metrics().get('weir_events_total{outcome="accepted"}', 0) >= 5,
                   SECONDS_MAX, "events come")
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("was not accepted", server.log())
