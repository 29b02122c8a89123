"""Cron schedules of jobs over HTTP: /v1/schedules, with the machine's own time zones."""
from harness import Case, ORG, wait_until


class Schedules(Case):
    def key(self, server, scopes=("ingest", "read", "admin")):
        response = server.admin("POST", "/v1/admin/keys", {
            "org_id": ORG, "project_id": "proj_demo", "scopes": list(scopes)})
        self.assertEqual(response.status, 201, response)
        return response.json()["key"]

    def put(self, server, key, name, **body):
        response = server.request("PUT", "/v1/schedules/" + name, body, key=key)
        self.assertIn(response.status, (200, 201), response)
        return response.json()

    def look(self, server, key, name):
        response = server.request("GET", "/v1/schedules/" + name, key=key)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def test_a_schedule_runs_on_time_and_goes_on_after_a_kill(self):
        server = self.server()
        key = self.key(server)
        made = self.put(server, key, "ticks", cron="* * * * * *", kind="tick", payload={"n": 1},
                        missed="fire_all")
        self.assertEqual((made["timezone"], made["missed"], made["paused"]),
                         ("UTC", "fire_all", False))
        wait_until(lambda: self.look(server, key, "ticks")["runs"]["fired"] >= 2, 20,
                   "two runs")
        server.kill()
        server.start()
        seen = self.look(server, key, "ticks")["runs"]["fired"]
        wait_until(lambda: self.look(server, key, "ticks")["runs"]["fired"] >= seen + 2, 20,
                   "two more runs")
        self.put(server, key, "ticks", cron="* * * * * *", kind="tick", paused=True)
        fired = self.look(server, key, "ticks")["runs"]["fired"]
        jobs = server.request("POST", "/v1/jobs/tick/lease", {"limit": 100}, key=key).json()["jobs"]
        self.assertEqual(len(jobs), fired)
        self.assertEqual({str(job["payload"]) for job in jobs}, {"{'n': 1}"})
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_time_zones_are_those_of_the_machine(self):
        server = self.server()
        key = self.key(server)
        berlin = self.put(server, key, "b", cron="0 0 1 7 *", timezone="Europe/Berlin", kind="a")
        self.assertTrue(berlin["next_at"].endswith("-06-30T22:00:00.000Z"), berlin)
        chatham = self.put(server, key, "c", cron="0 0 1 7 *", timezone="Pacific/Chatham", kind="a")
        self.assertTrue(chatham["next_at"].endswith("-06-30T11:15:00.000Z"), chatham)
        for body, pointer in (({"cron": "0 25 * * *", "kind": "a"}, "/cron"),
                              ({"cron": "0 0 30 2 *", "kind": "a"}, "/cron"),
                              ({"cron": "@daily", "kind": "a", "timezone": "Europe/Nowhere"},
                               "/timezone"),
                              ({"cron": "@daily", "kind": "weir.a"}, "/kind")):
            response = server.request("PUT", "/v1/schedules/bad", body, key=key)
            problem = self.assert_problem(response, 422, "invalid_schedule")
            self.assertEqual(problem["details"][0]["pointer"], pointer)
        listed = server.request("GET", "/v1/schedules", key=key).json()
        self.assertEqual([entry["name"] for entry in listed["schedules"]], ["b", "c"])
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_only_admins_change_schedules(self):
        server = self.server()
        body = {"cron": "@daily", "kind": "a"}
        response = server.request("PUT", "/v1/schedules/a", body)
        self.assert_problem(response, 403, "forbidden_scope")
        key = self.key(server)
        self.put(server, key, "a", **body)
        response = server.request("DELETE", "/v1/schedules/a")
        self.assert_problem(response, 403, "forbidden_scope")
        self.assertEqual(server.request("GET", "/v1/schedules/a").status, 200)
        self.assertEqual(server.request("DELETE", "/v1/schedules/a", key=key).status, 200)
        self.assert_problem(server.request("GET", "/v1/schedules/a"), 404, "not_found")
        self.assertEqual(server.stop(), 0, server.log_tail())
