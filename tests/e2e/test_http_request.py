"""Jobs of the kind http.request against a peer that is a plain Python server."""
import base64
import http.server
import json
import os
import ssl
import threading
import time

from harness import EX_CONFIG, Case, wait_until
from test_tls import make_certificate, make_chain


class Peer:
    """Answers as script(path, seen) says: (status, headers, body), or None to hang up."""

    def __init__(self, script, chain=None):
        peer = self
        self.requests = []
        self.lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with peer.lock:
                    seen = sum(r["path"] == self.path for r in peer.requests)
                    peer.requests.append({"method": self.command, "path": self.path,
                                          "headers": dict(self.headers), "body": body,
                                          "at": time.monotonic()})
                answer = script(self.path, seen)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "%s://127.0.0.1:%d" % ("https" if chain else "http",
                                           self.server.server_address[1])
        if chain:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*chain)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def seen(self, path):
        with self.lock:
            return [r for r in self.requests if r["path"] == path]


PRIVATE = {"WEIR_JOBS_HTTP_ALLOW_PRIVATE": "true"}


class HttpRequest(Case):
    def peer(self, script, **options):
        peer = Peer(script, **options)
        self.addCleanup(peer.close)
        return peer

    def job(self, server, url, extra=None, **payload):
        body = {"kind": "http.request", "payload": dict(payload, url=url)}
        body.update(extra or {})
        response = server.request("POST", "/v1/jobs", body)
        self.assertEqual(response.status, 202, response)
        return response.json()["id"]

    def look(self, server, job):
        response = server.request("GET", "/v1/jobs/" + job)
        self.assertEqual(response.status, 200, response)
        return response.json()

    def wait_state(self, server, job, state, timeout=20):
        wait_until(lambda: self.look(server, job)["state"] == state, timeout,
                   "job %s is not %s" % (job, state))
        return self.look(server, job)

    def test_a_request_is_sent_as_asked_and_its_answer_kept(self):
        answer = (201, {"Content-Type": "text/plain"}, "gr\u00fcn".encode())
        peer = self.peer(lambda path, seen: answer)
        server = self.server(env=PRIVATE)
        job = self.job(server, peer.url + "/a?b=c", method="PUT", headers={"X-Thing": "one"},
                       body={"n": [1]})
        done = self.wait_state(server, job, "completed")
        self.assertEqual(done["result"], {"status": 201, "headers": {"content-type": "text/plain"},
                                          "body": "gr\u00fcn"})
        sent = peer.seen("/a?b=c")[0]
        self.assertEqual((sent["method"], json.loads(sent["body"])), ("PUT", {"n": [1]}))
        self.assertEqual(sent["headers"]["Idempotency-Key"], job)
        self.assertEqual(sent["headers"]["X-Thing"], "one")
        self.assertEqual(sent["headers"]["Content-Type"], "application/json")
        self.assertRegex(sent["headers"]["User-Agent"], r"^weir/\d")
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_https_is_spoken_with_whom_the_authorities_name_and_with_nobody_else(self):
        directory = self.data("certificates")
        os.makedirs(directory, exist_ok=True)
        root, chain, key = make_chain(directory)
        known = self.peer(lambda path, seen: (200, {}, b"secret"), chain=(chain, key))
        stranger = self.peer(lambda path, seen: (200, {}, b"wrong"),
                             chain=make_certificate(directory, "stranger"))
        server = self.server(env=dict(PRIVATE, WEIR_TLS_CA=root))
        url = known.url.replace("127.0.0.1", "localhost")
        done = self.wait_state(server, self.job(server, url + "/a", body=1), "completed")
        self.assertEqual((done["result"]["status"], done["result"]["body"]), (200, "secret"))
        self.assertEqual(known.seen("/a")[0]["body"], b"1")
        refused = self.job(server, stranger.url + "/b", {"max_attempts": 1})
        self.assertRegex(self.wait_state(server, refused, "dead")["last_error"],
                         "(?i)certificate|trust|tls")
        self.assertEqual(stranger.seen("/b"), [])
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_a_file_of_authorities_that_is_none_is_said_at_the_start(self):
        for path in ("/nowhere/ca.pem", __file__):
            server = self.unstarted(env={"WEIR_TLS_CA": path})
            server.spawn()
            self.assertEqual(server.wait_exit(), EX_CONFIG, server.log_tail())
            self.assertIn("[tls] ca: " + path, server.log_tail())

    def test_an_answer_that_is_no_text_is_kept_as_base64_and_cut(self):
        content = bytes(range(256)) * 20
        peer = self.peer(lambda path, seen: (200, {}, content))
        server = self.server(env=PRIVATE)
        result = self.wait_state(server, self.job(server, peer.url + "/bytes", method="GET"),
                                 "completed")["result"]
        self.assertEqual(base64.b64decode(result["body_base64"]), content[:4096])
        self.assertIs(result["body_truncated"], True)

    def test_what_may_heal_is_tried_again_and_what_cannot_is_a_dead_letter(self):
        def script(path, seen):
            if path == "/gone":
                return 410, {}, b""
            if seen == 0:
                return (None if path == "/close" else (503, {"Retry-After": "2"}, b""))
            return 200, {}, b"ok"

        peer = self.peer(script)
        server = self.server(env=PRIVATE)
        busy = self.job(server, peer.url + "/busy")
        close = self.job(server, peer.url + "/close")
        gone = self.job(server, peer.url + "/gone")
        self.assertEqual(self.wait_state(server, busy, "completed")["attempt"], 2)
        self.wait_state(server, close, "completed")
        first, second = peer.seen("/busy")
        self.assertGreaterEqual(second["at"] - first["at"], 1.9)
        self.assertEqual(first["headers"]["Idempotency-Key"], second["headers"]["Idempotency-Key"])
        dead = self.wait_state(server, gone, "dead")
        self.assertEqual((dead["dead_reason"], dead["last_error"]),
                         ("not_retryable", "the server answered 410"))

    def test_private_addresses_are_refused_unless_they_are_allowed(self):
        peer = self.peer(lambda path, seen: (200, {}, b""))
        server = self.server()
        dead = self.wait_state(server, self.job(server, peer.url + "/"), "dead")
        self.assertEqual(dead["dead_reason"], "not_retryable")
        self.assertEqual(server.stop(), 0, server.log_tail())
        server = self.server(env={"WEIR_JOBS_HTTP_ALLOW": "127.0.0.0/8"}, data=self.data("other"))
        self.wait_state(server, self.job(server, peer.url + "/"), "completed")
        self.assertEqual(len(peer.seen("/")), 1)

    def test_a_name_is_looked_up(self):
        peer = self.peer(lambda path, seen: (200, {}, b""))
        server = self.server(env=PRIVATE)
        port = peer.url.rsplit(":", 1)[1]
        self.wait_state(server, self.job(server, "http://localhost:%s/name" % port), "completed")

    def test_a_job_that_was_running_at_a_kill_runs_again_and_at_the_third_is_poison(self):
        release = threading.Event()
        self.addCleanup(release.set)
        peer = self.peer(lambda path, seen: release.wait(60) and None)
        server = self.server(env=PRIVATE)
        job = self.job(server, peer.url + "/hang", timeout_ms=60000)
        for count in range(1, 4):
            wait_until(lambda: len(peer.seen("/hang")) == count, 15, "no request %d" % count)
            server.kill()
            server.start()
        dead = self.wait_state(server, job, "dead")
        self.assertEqual((dead["dead_reason"], dead["attempt"]), ("poison", 0))

    def test_breakers_are_shown_and_the_rest_goes_on(self):
        peer = self.peer(lambda path, seen: (200, {}, b""))
        down = self.peer(lambda path, seen: None)
        server = self.server(env=PRIVATE)
        jobs = [self.job(server, down.url + "/down") for _ in range(40)]
        wait_until(lambda: len(down.seen("/down")) >= 5, 15, "no request")
        time.sleep(0.5)
        calls = len(down.seen("/down"))
        self.assertLess(calls, 40)
        self.wait_state(server, self.job(server, peer.url + "/up"), "completed")
        metrics = server.metrics()
        self.assertEqual(metrics['weir_breaker_state{name="proj_demo/%s"}' % down.url], 1)
        self.assertEqual(metrics['weir_breaker_state{name="proj_demo/%s"}' % peer.url], 0)
        states = [self.look(server, job) for job in jobs]
        self.assertTrue(all(s["state"] in ("scheduled", "queued") for s in states), states)
        self.assertEqual(server.stop(), 0, server.log_tail())

    def test_a_stop_waits_for_what_is_running(self):
        def script(path, seen):
            time.sleep(1)
            return 200, {}, b"late"

        peer = self.peer(script)
        server = self.server(env=PRIVATE)
        job = self.job(server, peer.url + "/slow")
        wait_until(lambda: peer.seen("/slow"), 15, "no request")
        self.assertEqual(server.stop(), 0, server.log_tail())
        server.start()
        done = self.look(server, job)
        self.assertEqual((done["state"], done["result"]["body"]), ("completed", "late"))
        self.assertEqual(len(peer.seen("/slow")), 1)
