"""Keys, quotas, health, metrics, configuration, signals: what an operator sees."""
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess

import metrics_format
from harness import (EX_CONFIG, EX_DATA_DIR, EX_UNAVAILABLE, EX_USAGE, Case, Settings, SharedCase,
                     event, free_port, new_id, run_weir, wait_until)


def promtool():
    """The checker of the Prometheus project, when tools/check could get it."""
    fetched = os.path.join(Settings.root, "build/promtool/usr/bin/promtool")
    return fetched if os.access(fetched, os.X_OK) else shutil.which("promtool")


class Health(SharedCase):
    def test_health_endpoints(self):
        self.assertEqual(self.weir.request("GET", "/livez", key=None).status, 200)
        self.assertEqual(self.weir.request("GET", "/readyz", key=None).status, 200)
        healthz = self.weir.request("GET", "/healthz", key=None)
        self.assertEqual(healthz.status, 200)
        self.assertEqual(healthz.json()["status"], "healthy")
        for field in ("database", "timestamp"):
            self.assertIn(field, healthz.json())

    def test_capabilities_state_the_limits(self):
        response = self.weir.request("GET", "/v1/capabilities")
        self.assertEqual(response.status, 200)
        text = response.body.decode()
        self.assertIn("1048576", text)
        for encoding in ("gzip", "deflate", "zstd"):
            self.assertIn(encoding, text)

    def run_job(self):
        made = self.weir.request("POST", "/v1/jobs", {"kind": "counted"})
        self.assertEqual(made.status, 202, made)
        leased = self.weir.request("POST", "/v1/jobs/counted/lease", {})
        self.assertEqual(len(leased.json()["jobs"]), 1, leased)

    def test_metrics_are_valid(self):
        self.post_ok(self.weir, event())
        self.post(self.weir, b"{")
        self.run_job()
        response = self.weir.request("GET", "/metrics", key=None)
        self.assertEqual(response.status, 200)
        self.assertTrue(response.header("content-type").startswith("text/plain"))
        text = response.body.decode()
        self.assertEqual(metrics_format.check(text), [])
        for name in ("weir_http_requests_total", "weir_http_request_duration_seconds_bucket",
                     "weir_events_total", "weir_journal_flush_duration_seconds_count",
                     "weir_journal_durable_lsn", "weir_build_info", "weir_io_backend",
                     "weir_jobs", "weir_jobs_total", "weir_job_start_delay_seconds_bucket",
                     "weir_job_oldest_ready_seconds", "weir_job_waiting_workers",
                     "weir_job_timers", "weir_job_live_bytes", "weir_dlq_size"):
            self.assertRegex(text, r"(?m)^%s[ {]" % name)

    def test_metrics_satisfy_promtool(self):
        tool = promtool()
        if not tool:
            self.skipTest("no promtool on this machine")
        self.post_ok(self.weir, event())
        self.run_job()
        text = self.weir.request("GET", "/metrics", key=None).body
        done = subprocess.run([tool, "check", "metrics"], input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        self.assertEqual((done.returncode, done.stdout.decode()), (0, ""))

    def test_metrics_count_what_happened(self):
        def accepted():
            return self.weir.metrics().get('weir_events_total{outcome="accepted"}', 0)

        def outcome(name):
            return self.weir.metrics().get('weir_events_total{outcome="%s"}' % name, 0)

        before, duplicates, invalid = accepted(), outcome("duplicate"), outcome("invalid")
        same = event(event_id=new_id())
        self.post_ok(self.weir, same)
        self.post_ok(self.weir, same)
        self.post(self.weir, event(message=""))
        self.assertEqual(accepted() - before, 1)
        self.assertEqual(outcome("duplicate") - duplicates, 1)
        self.assertEqual(outcome("invalid") - invalid, 1)


class Keys(SharedCase):
    def test_demo_key_and_admin_token_exist(self):
        path = os.path.join(self.weir.data, "admin.token")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertGreaterEqual(len(self.weir.admin_token()), 32)
        self.assertIn("dev-api-key-12345", self.weir.log(), "--demo says which key it made")

    def test_create_use_list_revoke(self):
        made = self.weir.admin("POST", "/v1/admin/keys",
                               {"org_id": "org_x", "project_id": "proj_x",
                                "scopes": ["ingest", "read"]})
        self.assertIn(made.status, (200, 201), made)
        key, identity = made.json()["key"], made.json()["id"]
        receipt = self.post_ok(self.weir, event(), key=key)
        mine = self.weir.request("GET", "/v1/events/" + receipt["event_id"], key=key)
        self.assertEqual(mine.status, 200)
        self.assertEqual(mine.json()["project_id"], "proj_x")
        self.assert_problem(
            self.weir.request("GET", "/v1/events/" + receipt["event_id"]), 404)
        listed = self.weir.admin("GET", "/v1/admin/keys")
        self.assertEqual(listed.status, 200)
        self.assertIn(identity, listed.body.decode())
        self.assertNotIn(key, listed.body.decode())
        revoked = self.weir.admin("DELETE", "/v1/admin/keys/" + identity)
        self.assertIn(revoked.status, (200, 204), revoked)
        self.assert_problem(self.post(self.weir, event(), key=key), 401, "revoked_api_key")

    def test_a_revoked_key_stays_revoked_and_a_live_one_lives_after_a_restart(self):
        body = {"org_id": "org_y", "project_id": "proj_y", "scopes": ["ingest"]}
        gone = self.weir.admin("POST", "/v1/admin/keys", body).json()
        kept = self.weir.admin("POST", "/v1/admin/keys", body).json()
        self.weir.admin("DELETE", "/v1/admin/keys/" + gone["id"])
        self.assertEqual(self.weir.stop(), 0, self.weir.log_tail())
        self.weir.start()
        self.assert_problem(self.post(self.weir, event(), key=gone["key"]), 401)
        self.post_ok(self.weir, event(), key=kept["key"])

    def test_scopes_hold(self):
        body = {"org_id": "org_z", "project_id": "proj_z", "scopes": ["ingest"]}
        key = self.weir.admin("POST", "/v1/admin/keys", body).json()["key"]
        receipt = self.post_ok(self.weir, event(), key=key)
        self.assert_problem(
            self.weir.request("GET", "/v1/events/" + receipt["event_id"], key=key), 403)
        self.assertIn(self.weir.request("GET", "/v1/admin/keys", key=key).status, (401, 403))
        self.assertIn(self.weir.request("GET", "/v1/admin/keys").status, (401, 403))
        self.assert_problem(self.weir.request("GET", "/v1/admin/keys", key=None), 401)

    def test_no_secret_is_on_disk_or_in_the_log(self):
        body = {"org_id": "org_s", "project_id": "proj_s", "scopes": ["ingest"]}
        key = self.weir.admin("POST", "/v1/admin/keys", body).json()["key"]
        marker = "payload-" + new_id()
        self.post_ok(self.weir, event(message=marker), key=key)
        self.assertNotIn(key, self.weir.log())
        self.assertNotIn(marker, self.weir.log())
        for folder, _, names in os.walk(self.weir.data):
            for name in names:
                try:
                    with open(os.path.join(folder, name), "rb") as file:
                        self.assertNotIn(key.encode(), file.read())
                except FileNotFoundError:
                    pass  # a spare segment that has just got its name

    def test_command_line(self):
        url = "http://127.0.0.1:%d" % self.weir.port
        env = {"WEIR_ADMIN_TOKEN": self.weir.admin_token()}
        status, out, err = run_weir("keys", "create", "--url", url, "--org", "org_c",
                                    "--project", "proj_c", "--scopes", "ingest,read", "--json",
                                    env=env)
        self.assertEqual(status, 0, err)
        made = json.loads(out)
        self.post_ok(self.weir, event(), key=made["key"])
        status, out, err = run_weir("keys", "list", "--url", url, "--json", env=env)
        self.assertEqual(status, 0, err)
        self.assertIn(made["id"], out)
        self.assertNotIn(made["key"], out)
        status, out, err = run_weir("keys", "revoke", made["id"], "--url", url, env=env)
        self.assertEqual(status, 0, err)
        self.assert_problem(self.post(self.weir, event(), key=made["key"]), 401)

    def test_command_line_against_nobody(self):
        status, _, err = run_weir("keys", "list", "--url", "http://127.0.0.1:%d" % free_port(),
                                  env={"WEIR_ADMIN_TOKEN": "x" * 32})
        self.assertEqual(status, EX_UNAVAILABLE, err)


class Quotas(Case):
    def test_over_the_rate_is_429_with_retry_after_and_comes_back(self):
        server = self.server(env={"WEIR_LIMITS_EVENTS_PER_SECOND": "20",
                                  "WEIR_LIMITS_EVENTS_BURST": "20"})
        statuses, refused = [], None
        with server.connect() as connection:
            for _ in range(200):
                response = connection.request("POST", "/v1/events",
                                              json.dumps(event()).encode(),
                                              {"X-API-Key": "dev-api-key-12345"})
                statuses.append(response.status)
                if response.status == 429:
                    refused = response
                    break
        self.assertIsNotNone(refused, statuses)
        self.assert_problem(refused, 429, "rate_limited")
        self.assertGreaterEqual(int(refused.header("retry-after")), 1)
        self.assertGreaterEqual(statuses.count(202), 15)
        wait_until(lambda: self.post(server, event()).status == 202, 10, "tokens come back")


class Commands(Case):
    def test_unknown_things_are_usage_errors(self):
        for arguments in (["serve", "--no-such-flag"], ["nonsense"], [], ["serve", "--shards"],
                          ["serve", "--shards", "many"], ["replay"]):
            with self.subTest(arguments):
                status, _, err = run_weir(*arguments)
                self.assertEqual(status, EX_USAGE, err)
                self.assertTrue(err.strip())
        self.assertIn("no-such-flag", run_weir("serve", "--no-such-flag")[2])

    def test_help_and_version(self):
        for arguments in (["--help"], ["help"], ["help", "serve"], ["serve", "--help"],
                          ["help", "replay"], ["help", "keys"], ["help", "journal"],
                          ["help", "sim"]):
            with self.subTest(arguments):
                status, out, err = run_weir(*arguments)
                self.assertEqual(status, 0, err)
                self.assertIn("weir", out)
        status, out, _ = run_weir("--version")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"weir \d+\.\d+\.\d+")

    def test_print_limits_adds_up(self):
        status, out, err = run_weir("serve", "--data", self.data(), "--print-limits")
        self.assertEqual(status, 0, err)
        self.assertIn("total", out.lower())

    def config(self, text):
        path = os.path.join(self.directory, "weir.ini")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def test_a_broken_line_is_named_with_file_line_and_key(self):
        for text, line, key in (
                ("[server]\nlisten = 127.0.0.1:0\nno_such_key = 1\n", 3, "no_such_key"),
                ("[limits]\n\nheader_timeout = soon\n", 3, "header_timeout"),
                ("[nonsense]\nkey = 1\n", 2, "nonsense")):
            with self.subTest(text):
                path = self.config(text)
                status, _, err = run_weir("serve", "--config", path, "--data", self.data())
                self.assertEqual(status, EX_CONFIG, err)
                self.assertIn("weir.ini", err)
                self.assertRegex(err, r"\b%d\b" % line)
                self.assertIn(key, err)

    def test_a_bad_environment_variable_is_named(self):
        status, _, err = run_weir("serve", "--data", self.data(),
                                  env={"WEIR_LIMITS_HEADER_TIMEOUT": "soon"})
        self.assertEqual(status, EX_CONFIG, err)
        self.assertIn("WEIR_LIMITS_HEADER_TIMEOUT", err)

    def test_a_missing_config_file_is_named(self):
        status, _, err = run_weir("serve", "--config", "/nonexistent/weir.ini")
        self.assertEqual(status, EX_CONFIG, err)
        self.assertIn("/nonexistent/weir.ini", err)

    def test_the_order_is_option_over_environment_over_file(self):
        path = self.config("[limits]\nheader_timeout = 7s\nbody_timeout = 8s\n")
        status, out, err = run_weir("serve", "--config", path, "--print-config",
                                    env={"WEIR_LIMITS_BODY_TIMEOUT": "9s"})
        self.assertEqual(status, 0, err)
        self.assertRegex(out, r"header_timeout\s*=\s*7(s|000)")
        self.assertRegex(out, r"body_timeout\s*=\s*9(s|000)")

    def test_a_port_in_use_is_said_clearly(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            server = self.unstarted(port=port).spawn()
            status = server.wait_exit()
        self.assertNotEqual(status, 0)
        self.assertGreater(status, 0, "it died of a signal")
        self.assertIn(str(port), server.log())
        self.assertRegex(server.log().lower(), r"in use")

    def test_two_servers_do_not_share_a_port(self):
        """Both would listen with SO_REUSEPORT, and the kernel would let them."""
        first = self.server()
        other = os.path.join(self.directory, "other")
        second = self.unstarted(data=other, port=first.port).spawn()
        self.assertEqual(second.wait_exit(), EX_UNAVAILABLE, second.log_tail())
        self.assertRegex(second.log().lower(), r"in use")
        self.assertEqual(first.stop(), 0)

    def test_a_start_right_after_kill_9_waits_for_lock_and_port(self):
        first = self.server()
        stored = self.post_ok(first, event())
        first.process.kill()  # and not waited for
        second = self.server(data=first.data, port=first.port)
        self.assertIsNotNone(self.stored(second, stored["event_id"]))
        self.assertEqual(second.stop(), 0)

    def test_a_second_process_on_the_same_data_is_refused(self):
        first = self.server()
        second = self.unstarted(data=first.data).spawn()
        self.assertEqual(second.wait_exit(), EX_DATA_DIR, second.log_tail())
        self.assertRegex(second.log().lower(), r"lock|in use|another")
        self.post_ok(first, event())
        self.assertEqual(first.stop(), 0)

    def test_an_unusable_data_directory_is_named(self):
        path = self.config("not a directory\n")
        server = self.unstarted(data=path).spawn()
        self.assertEqual(server.wait_exit(), EX_DATA_DIR, server.log_tail())
        self.assertIn("weir.ini", server.log())

    def test_memory_is_no_disk(self):
        shm = "/dev/shm/weir-e2e-%d" % os.getpid()
        if not os.path.ismount("/dev/shm"):
            self.skipTest("/dev/shm is not a tmpfs here")
        self.addCleanup(shutil.rmtree, shm, ignore_errors=True)
        os.makedirs(shm)
        refused = self.unstarted(data=shm + "/data", unsafe=False).spawn()
        self.assertEqual(refused.wait_exit(), EX_DATA_DIR, refused.log_tail())
        self.assertIn("--unsafe-storage", refused.log())
        self.assertIn("tmpfs", refused.log())
        allowed = self.server(data=shm + "/data", unsafe=True)
        self.post_ok(allowed, event())
        self.assertEqual(allowed.stop(), 0, allowed.log_tail())


class Signals(Case):
    def test_sigterm_finishes_what_is_in_flight_and_exits_0(self):
        server = self.server()
        with server.connect() as half:
            body = json.dumps(event()).encode()
            whole = (b"POST /v1/events HTTP/1.1\r\nHost: a\r\nX-API-Key: dev-api-key-12345\r\n"
                     b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                     + body)
            half.send(whole[:-5])
            self.post_ok(server, event())  # by now the server has seen the half request
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not connectable(server.port), 10, "the listener closes")
            half.send(whole[-5:])
            response = half.read_response()
            self.assertEqual(response.status, 202, response)
            self.assertEqual(response.header("connection", "").lower(), "close")
        self.assertEqual(server.wait_exit(), 0, server.log_tail())
        server.start()
        self.assertIsNotNone(self.stored(server, response.json()["event_id"]))

    def test_idle_connections_do_not_hold_the_drain(self):
        server = self.server(env={"WEIR_SERVER_DRAIN_TIMEOUT": "60s"})
        with server.connect() as idle:
            self.assertEqual(idle.request("GET", "/livez").status, 200)
            self.assertEqual(server.stop(timeout=20), 0, server.log_tail())

    def test_a_second_signal_exits_at_once(self):
        server = self.server(env={"WEIR_SERVER_DRAIN_TIMEOUT": "60s"})
        receipt = self.post_ok(server, event())
        with server.connect() as half:
            half.send(b"POST /v1/events HTTP/1.1\r\nHost: a\r\nX-API-Key: dev-api-key-12345\r\n"
                      b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
            self.assertEqual(server.request("GET", "/livez").status, 200)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not connectable(server.port), 10, "the listener closes")
            server.process.send_signal(signal.SIGTERM)
            server.wait_exit(10)
        server.start()
        self.assertIsNotNone(self.stored(server, receipt["event_id"]))

    def test_sighup_refuses_a_bad_file_and_stays(self):
        path = os.path.join(self.directory, "weir.ini")
        with open(path, "w", encoding="ascii") as file:
            file.write("[limits]\nheader_timeout = 9s\n")
        server = self.server("--config", path)
        with open(path, "w", encoding="ascii") as file:
            file.write("[limits]\nheader_timeout = broken\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: re.search("header_timeout", server.log()), 10,
                   "the log names the refused key")
        self.post_ok(server, event())
        self.assertEqual(server.stop(), 0, server.log_tail())


class Logs(Case):
    def test_each_line_is_one_json_object(self):
        server = self.server()
        self.post_ok(server, event())
        self.assertEqual(server.stop(), 0)
        lines = [line for line in server.log().split("\n") if line.startswith("{")]
        self.assertTrue(lines, server.log())
        for line in lines:
            fields = json.loads(line)
            for name in ("ts", "level", "msg"):
                self.assertIn(name, fields)


def connectable(port):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
