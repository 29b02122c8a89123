"""Summaries of incidents: from the errors that open one to what a model's server sees, which is a
plain Python server here, and to what the log remembers of it."""
import datetime
import glob
import http.server
import json
import os
import socket
import threading
import time
import uuid

from harness import EX_CONFIG, ORG, PROJECT, Case, run_weir, wait_until

CANARY = "sk-canary-7f3a91c2"
GOOD = {"title": "Checkout fails", "impact": "All payments", "likely_causes": ["a timeout"],
        "evidence": ["35 errors"], "next_steps": ["look"], "confidence": 0.75}


def completion(content, finish="stop", model="model-b"):
    text = content if isinstance(content, str) else json.dumps(content)
    return 200, {}, json.dumps({
        "id": "chat-1", "model": model,
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100,
                  "prompt_tokens_details": {"cached_tokens": 400}}}).encode()


class ModelServer:
    """Answers its n-th request as script(n) says: (status, headers, body), "hang", "close" or
    "crawl"."""

    def __init__(self, script):
        model = self
        self.script = script
        self.requests = []
        self.gone = []  # requests whose connection the client closed before an answer
        self.lock = threading.Lock()
        self.released = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with model.lock:
                    n = len(model.requests)
                    model.requests.append({"path": self.path, "headers": dict(self.headers),
                                           "body": json.loads(body), "at": time.monotonic()})
                answer = model.script(n)
                if answer == "close":
                    self.close_connection = True
                elif answer == "hang":
                    model.hang(self, n)
                elif answer == "crawl":
                    model.crawl(self, n)
                else:
                    self.send(*answer)

            def send(self, status, headers, content):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/v1" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def note_gone(self, n):
        with self.lock:
            self.gone.append((n, time.monotonic()))

    def hang(self, handler, n):
        """Says nothing until the client goes, or the test is over."""
        handler.close_connection = True
        handler.connection.settimeout(0.1)
        while not self.released.is_set():
            try:
                if handler.connection.recv(1) == b"":
                    break
            except socket.timeout:
                continue
            except OSError:
                break
        self.note_gone(n)

    def crawl(self, handler, n):
        """A byte of a good answer every now and then, for ever."""
        handler.close_connection = True
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
            while not self.released.is_set():
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            self.note_gone(n)

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def seen(self):
        with self.lock:
            return list(self.requests)


class Summaries(Case):
    def model(self, script):
        model = ModelServer(script)
        self.addCleanup(model.close)
        return model

    def with_model(self, model, extra=None, key=None):
        env = {"WEIR_AI_BASE_URL": model.url, "WEIR_AI_MODEL": "model-a",
               "WEIR_AI_PRICE_TABLE": "test-1",
               "WEIR_AI_PRICE_INPUT_MICRO_USD_PER_MTOKEN": "1000000",
               "WEIR_AI_PRICE_CACHED_MICRO_USD_PER_MTOKEN": "500000",
               "WEIR_AI_PRICE_OUTPUT_MICRO_USD_PER_MTOKEN": "2000000"}
        if key is not None:
            path = os.path.join(self.directory, "ai-key")
            with open(path, "w", encoding="ascii") as file:
                file.write(key + "\n")
            env["WEIR_AI_API_KEY_FILE"] = path
        env.update(extra or {})
        return env

    def retry_quickly(self, server):
        made = server.admin("POST", "/v1/admin/keys", {
            "org_id": ORG, "project_id": PROJECT, "scopes": ["ingest", "read", "admin"]})
        response = server.request("PUT", "/v1/queues/incident.summarize", {
            "retry": {"base_ms": 50, "cap_ms": 100, "max_attempts": 3}}, key=made.json()["key"])
        self.assertEqual(response.status, 200, response)

    def spike(self, server, code="PAYMENT_TIMEOUT", count=35):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        events = [{"event_id": str(uuid.uuid4()), "event_type": "error", "occurred_at": now,
                   "environment": "prod", "severity": "error", "message": "a secret message",
                   "attributes": {"error_code": code, "route": "/api/checkout",
                                  "status_code": 504}} for _ in range(count)]
        response = server.request("POST", "/v1/events/batch", {"events": events})
        self.assertEqual(response.status, 202, response)

    def dump(self, server, kind):
        status, out, err = run_weir("journal", "dump", "--data", server.data, "--type", kind)
        self.assertEqual(status, 0, err)
        return [json.loads(line) for line in out.splitlines()]

    def runs(self, server):
        """The latest image of each run in the log."""
        latest = {}
        for record in self.dump(server, "ai_run"):
            if record["revision"] >= latest.get(record["id"], record)["revision"]:
                latest[record["id"]] = record
        return list(latest.values())

    def wait_run(self, server, state, timeout=30):
        def found():
            return [run for run in self.runs(server) if run["state"] == state]
        return wait_until(found, timeout, "no run is %s: %s" % (state, server.log_tail()))[0]

    def job(self, server, job):
        response = server.request("GET", "/v1/jobs/" + job)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def test_errors_open_an_incident_and_the_model_is_asked_about_it_once(self):
        model = self.model(lambda n: completion(GOOD))
        server = self.server(env=self.with_model(model, key=CANARY))
        self.spike(server)
        run = self.wait_run(server, "succeeded")
        self.assertEqual(run["output"], GOOD)
        self.assertEqual((run["model"], run["model_answered"]), ("model-a", "model-b"))
        self.assertEqual(run["prompt"], "incident-summary-1")
        self.assertEqual((run["input_tokens"], run["output_tokens"]), (1000, 100))
        self.assertEqual(run["cost_micro_usd"], 600 + 200 + 200)
        self.assertEqual(len(run["attempts"]), 1)
        incidents = {record["id"] for record in self.dump(server, "incident")}
        self.assertEqual(incidents, {run["incident_id"]})
        self.assertEqual(self.job(server, run["id"])["result"]["confidence"], 0.75)
        requests = model.seen()
        self.assertEqual(len(requests), 1)
        self.assertEqual(requests[0]["path"], "/v1/chat/completions")
        self.assertEqual(requests[0]["headers"]["Authorization"], "Bearer " + CANARY)
        body = requests[0]["body"]
        self.assertEqual((body["model"], body["max_tokens"], body["temperature"]),
                         ("model-a", 1024, 0.7))
        self.assertEqual([message["role"] for message in body["messages"]], ["system", "user"])
        prompt = body["messages"][1]["content"]
        self.assertIn("- ID: " + run["incident_id"], prompt)
        self.assertIn("- PAYMENT_TIMEOUT: ", prompt)
        self.assertIn("- /api/checkout: ", prompt)
        self.assertNotIn("secret message", prompt)
        self.spike(server)  # more of the same: the incident is open already
        server.request("GET", "/readyz")
        self.assertEqual(len(self.runs(server)), 1)
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_without_a_model_the_server_counts_and_says_so(self):
        server = self.server()
        self.spike(server)
        run = self.wait_run(server, "succeeded")
        self.assertEqual(run["model"], "weir-local-summary-1")
        self.assertEqual(run["provider"], "local")
        self.assertIsNone(run["output"]["confidence"])
        self.assertIn("weir-local-summary-1", run["output"]["evidence"][-1])
        self.assertIn("PAYMENT_TIMEOUT", json.dumps(run["output"]))
        self.assertEqual(run["cost_micro_usd"], 0)
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_an_answer_of_another_shape_is_corrected(self):
        def script(n):
            return completion("```json\n{}\n```" if n == 0 else GOOD)

        model = self.model(script)
        server = self.server(env=self.with_model(model))
        self.spike(server)
        run = self.wait_run(server, "succeeded")
        self.assertEqual((run["repairs"], len(run["attempts"])), (1, 1))
        self.assertEqual(run["attempts"][0]["calls"], 2)
        repair = model.seen()[1]["body"]["messages"]
        self.assertEqual([message["role"] for message in repair],
                         ["system", "user", "assistant", "user"])
        self.assertIn("is not JSON", repair[3]["content"])

    def test_three_failures_end_in_a_dead_letter_that_can_be_replayed(self):
        broken = [True]

        def script(n):
            return (500, {}, b"oh no") if broken[0] else completion(GOOD)

        model = self.model(script)
        server = self.server(env=self.with_model(model))
        self.retry_quickly(server)
        self.spike(server)
        run = self.wait_run(server, "failed")
        self.assertEqual([attempt["error"] for attempt in run["attempts"]],
                         ["server_error"] * 3)
        self.assertEqual(run["error"], "the model's server answered 500")
        self.assertEqual(len(model.seen()), 3)
        job = self.job(server, run["id"])
        self.assertEqual((job["state"], job["dead_reason"]), ("dead", "attempts_exhausted"))
        letters = server.admin("GET", "/v1/admin/dlq").json()["dead_letters"]
        self.assertEqual([letter["id"] for letter in letters], [run["id"]])
        broken[0] = False
        response = server.admin("POST", "/v1/admin/dlq/replay", {"ids": [run["id"]]})
        self.assertEqual(response.status, 202, response)
        again = self.wait_run(server, "succeeded")
        self.assertEqual(again["incident_id"], run["incident_id"])
        self.assertEqual(server.metrics()['weir_ai_errors_total{error="server_error"}'], 3)

    def test_retry_after_is_obeyed(self):
        def script(n):
            return (429, {"Retry-After": "2"}, b"") if n == 0 else completion(GOOD)

        model = self.model(script)
        server = self.server(env=self.with_model(model))
        self.retry_quickly(server)
        self.spike(server)
        run = self.wait_run(server, "succeeded")
        self.assertEqual(run["attempts"][0]["error"], "rate_limited")
        first, second = model.seen()
        self.assertGreaterEqual(second["at"] - first["at"], 1.9)

    def test_an_answer_that_was_cut_off_is_not_asked_for_again(self):
        model = self.model(lambda n: completion('{"title": "Che', finish="length"))
        server = self.server(env=self.with_model(model))
        self.retry_quickly(server)
        self.spike(server)
        run = self.wait_run(server, "failed")
        self.assertEqual(run["attempts"][0]["error"], "cut_off")
        self.assertEqual(self.job(server, run["id"])["dead_reason"], "not_retryable")
        self.assertEqual(len(model.seen()), 1)

    def test_a_deadline_closes_the_connection(self):
        def script(n):
            return ("hang", "crawl", "close")[n] if n < 3 else completion(GOOD)

        model = self.model(script)
        server = self.server(env=self.with_model(model, {"WEIR_AI_CALL_TIMEOUT": "500ms"}))
        self.retry_quickly(server)
        self.spike(server)
        run = self.wait_run(server, "failed")
        self.assertEqual([attempt["error"] for attempt in run["attempts"]],
                         ["timeout", "timeout", "no_answer"])
        wait_until(lambda: len(model.gone) == 2, 10, "the client has left both calls")
        for n, at in model.gone:
            self.assertLess(at - model.seen()[n]["at"], 5)

    def test_a_kill_while_the_model_answers_leaves_one_run(self):
        """kill -9 in the middle, twice: the job is run anew, one run is recorded. (A third time
        it would be poison.)"""
        answer = [False]

        def script(n):
            return completion(GOOD) if answer[0] else "hang"

        model = self.model(script)
        server = self.server(env=self.with_model(model))
        self.spike(server)
        for n in range(2):
            wait_until(lambda n=n: len(model.seen()) > n, 30, "the model is asked again")
            server.kill()
            answer[0] = n == 1
            server.start()
        self.wait_run(server, "succeeded")
        self.assertEqual(server.stop(), 0, server.log_tail())
        runs = self.runs(server)
        self.assertEqual(len(runs), 1)
        self.assertEqual([len(runs[0]["attempts"]), runs[0]["revision"]], [1, 1])
        server.start()
        self.assertEqual(len(self.runs(server)), 1)

    def test_the_key_is_nowhere_but_in_the_request(self):
        """Whatever the server does with it, which here is to say it back in every way."""
        def script(n):
            told = dict(GOOD, title="your key is " + CANARY)
            refusal = json.dumps({"error": {"message": CANARY}}).encode()
            answers = [(401, {"X-Key": CANARY}, refusal),
                       (500, {}, CANARY.encode()),
                       completion(told, model=CANARY),
                       completion("not JSON: " + CANARY),
                       completion(GOOD, model="".join("\\u%04x" % ord(c) for c in CANARY)),
                       (200, {}, b"HTTP " + CANARY.encode())]
            return answers[n % len(answers)]

        model = self.model(script)
        server = self.server("--log-level", "debug", env=self.with_model(model, key=CANARY))
        self.retry_quickly(server)
        for n in range(5):
            self.spike(server, code="CODE_%d" % n)
        wait_until(lambda: len([r for r in self.runs(server) if r["state"] != "queued"]) == 5, 60,
                   "all runs have ended")
        texts = [server.request("GET", "/v1/jobs/" + run["id"]).body for run in self.runs(server)]
        texts += [server.admin("GET", path).body for path in
                  ("/v1/admin/dlq", "/v1/admin/runtime", "/metrics")]
        texts.append(b"".join(json.dumps(r).encode() for r in self.dump(server, "ai_run")))
        status, out, _ = run_weir("serve", "--print-config", env=self.with_model(model, key=CANARY))
        self.assertEqual(status, 0)
        texts.append(out.encode())
        self.assertEqual(server.stop(), 0, server.log_tail())
        texts.append(server.log().encode())
        for path in glob.glob(server.data + "/**/*", recursive=True):
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    texts.append(file.read())
        for text in texts:
            self.assertNotIn(CANARY.encode(), text)
        self.assertTrue(all(CANARY in r["headers"]["Authorization"] for r in model.seen()))

    def test_a_model_that_cannot_be_asked_is_refused_at_the_start(self):
        for env, said in (({"WEIR_AI_BASE_URL": "ftp://x", "WEIR_AI_MODEL": "m"}, "base_url"),
                          ({"WEIR_AI_BASE_URL": "http://127.0.0.1:1"}, "model"),
                          ({"WEIR_AI_BASE_URL": "http://127.0.0.1:1", "WEIR_AI_MODEL": "m",
                            "WEIR_AI_API_KEY_FILE": "/nonexistent"}, "api_key_file"),
                          ({"WEIR_AI_TEMPERATURE": "hot"}, "temperature")):
            status, _, err = run_weir("serve", "--data", self.directory + "/data", "--listen",
                                      "127.0.0.1:0", "--unsafe-storage", env=env)
            self.assertEqual(status, EX_CONFIG, err)
            self.assertIn(said, err)

    def test_another_summary_can_be_asked_for_and_only_of_an_incident_of_ones_own(self):
        server = self.server()
        self.spike(server)
        run = self.wait_run(server, "succeeded")
        body = {"kind": "incident.summarize", "payload": {"incident_id": run["incident_id"]}}
        response = server.request("POST", "/v1/jobs", body)
        self.assertEqual(response.status, 202, response)
        wait_until(lambda: len(self.runs(server)) == 2, 30, "there are two runs")
        made = server.admin("POST", "/v1/admin/keys", {"org_id": "org_other", "project_id": "p",
                                                       "scopes": ["ingest", "read"]})
        response = server.request("POST", "/v1/jobs", body, key=made.json()["key"])
        self.assertEqual(response.status, 202, response)
        other = response.json()["id"]
        wait_until(lambda: self.runs(server)[-1]["id"] == other, 30, "it has been tried")
        self.assertEqual([(r["state"], r["error"]) for r in self.runs(server) if r["id"] == other],
                         [("failed", "there is no such incident")])
