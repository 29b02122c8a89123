"""`weir load` against weir, and against targets that misbehave.

No case asserts how long something took. A run may be void here because the machine is
busy; what was counted must be right all the same.
"""
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from harness import (DEMO_KEY, EX_UNAVAILABLE, EX_USAGE, LIVE, Case, Settings, SharedCase,
                     environment, free_port, run_weir, wait_until)


def load(*arguments, timeout=120):
    """Runs it with --json: (the object, stderr). The status must fit what it says."""
    status, out, err = run_weir("load", *arguments, "--json", timeout=timeout)
    lines = [line for line in out.split("\n") if line]
    if len(lines) != 1:
        raise AssertionError("status %d\n%s%s" % (status, out, err))
    result = json.loads(lines[0])
    expected = 0 if result["valid"] and "interrupted" not in err else 1
    if status != expected or result["valid"] != (result["why"] == []):
        raise AssertionError("status %d\n%s%s" % (status, out, err))
    return result, err


class Target:
    """A server of raw bytes: script(number, request) gives the pieces to send, which end
    with None to close the connection, or None to hang up at once. Requests count from 0."""

    def __init__(self, script):
        self.script = script
        self.lock = threading.Lock()
        self.requests = []
        self.connection_count = 0
        self.streams = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connection_count += 1
                self.streams.append(stream)
            threading.Thread(target=self.serve_quietly, args=(stream,), daemon=True).start()

    def serve_quietly(self, stream):
        try:
            with stream:
                self.serve(stream)
        except OSError:
            pass

    def serve(self, stream):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                piece = stream.recv(65536)
                if not piece:
                    return
                data += piece
            head, _, data = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.I)
            length = int(length.group(1)) if length else 0
            while len(data) < length:
                data += stream.recv(65536)
            body, data = data[:length], data[length:]
            with self.lock:
                number = len(self.requests)
                self.requests.append((head.decode(), body))
            pieces = self.script(number, head.decode())
            for piece in pieces or [None]:
                if piece is None:
                    return
                stream.sendall(piece)

    def close(self):
        """Also while accept() waits, which closing alone would not end."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            for stream in self.streams:
                stream.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Events(SharedCase):
    def load(self, *arguments, **options):
        return load("--url", "http://127.0.0.1:%d" % self.weir.port, "--key", DEMO_KEY,
                    *arguments, **options)

    def accepted(self):
        return self.weir.metrics().get('weir_events_total{outcome="accepted"}', 0)

    def test_a_rate_gives_exactly_as_many_requests(self):
        before = self.accepted()
        result, _ = self.load("--rate", "200", "--duration", "1s", "--connections", "8")
        self.assertEqual(result["sent"], 200)
        self.assertEqual(result["ok"], 200)
        self.assertEqual(result["events"], 200)
        self.assertEqual(result["status"], {"202": 200})
        self.assertEqual(result["errors"], {})
        self.assertEqual(result["skipped"], 0)
        self.assertEqual(result["connections"], 8)
        self.assertEqual(result["generator"]["connects"], 8)
        self.assertEqual(self.accepted() - before, 200)
        for name in ("corrected", "uncorrected"):
            values = [result["latency_us"][name][p] for p in ("p50", "p90", "p99", "p999", "max")]
            self.assertEqual(values, sorted(values))
            self.assertGreater(values[0], 0)
        self.assertLessEqual(result["latency_us"]["uncorrected"]["max"],
                             result["latency_us"]["corrected"]["max"])

    def test_batches_carry_events(self):
        before = self.accepted()
        result, _ = self.load("--rate", "20", "--duration", "1s", "--batch", "25", "--event-ids")
        self.assertEqual((result["sent"], result["events"]), (20, 500))
        self.assertEqual(self.accepted() - before, 500)

    def test_scenarios_in_their_own_rhythm(self):
        for name, requests, events in (("spike_errors", 1, 50), ("deploy_then_spike", 2, 41),
                                       ("burst", 35, 35)):
            with self.subTest(scenario=name):
                before = self.accepted()
                result, _ = self.load("--scenario", name)
                self.assertEqual((result["sent"], result["events"]), (requests, events))
                self.assertEqual(result["scenario"], name)
                self.assertIsNone(result["rate"])
                self.assertEqual(self.accepted() - before, events)
        result, _ = self.load("--scenario", "spike_errors", "--events", "230")
        self.assertEqual((result["sent"], result["events"]), (3, 230))
        result, _ = self.load("--scenario", "normal", "--duration", "2s")
        self.assertEqual(result["sent"], 2)
        self.assertIn(result["events"], range(14, 27))
        result, _ = self.load("--scenario", "drop_signups", "--duration", "3s")
        self.assertIn(result["events"], range(3, 6))

    def test_every_scenario_at_a_rate(self):
        for name in ("normal", "spike_errors", "burst"):
            with self.subTest(scenario=name):
                result, _ = self.load("--scenario", name, "--rate", "100", "--duration", "1s")
                self.assertEqual((result["sent"], result["ok"]), (100, 100))

    def test_the_same_seed_gives_the_same_story(self):
        runs = [self.load("--scenario", "normal", "--duration", "3s", "--seed", str(seed))[0]
                for seed in (11, 11, 12)]
        self.assertEqual(runs[0]["events"], runs[1]["events"])

    def test_the_warm_up_is_not_counted(self):
        before = self.accepted()
        result, _ = self.load("--rate", "100", "--duration", "1s", "--warmup", "1s")
        self.assertEqual((result["sent"], result["ok"]), (100, 100))
        self.assertEqual(result["warmup_s"], 1)
        self.assertEqual(self.accepted() - before, 200)

    def test_ramps_steps_and_poisson(self):
        result, _ = self.load("--rate", "50..150", "--duration", "1s")
        self.assertEqual((result["sent"], result["rate"]), (100, 100))
        result, _ = self.load("--rate", "50..150", "--steps", "3", "--duration", "900ms")
        self.assertEqual(result["sent"], 90)
        result, _ = self.load("--rate", "100", "--arrivals", "poisson", "--duration", "2s")
        self.assertIn(result["sent"], range(120, 280))
        self.assertEqual(result["sent"], result["ok"])

    def test_closed_loop_sends_when_answered(self):
        before = self.accepted()
        result, _ = self.load("--rate", "max", "--duration", "1s", "--connections", "4")
        self.assertEqual(result["loop"], "closed")
        self.assertEqual(result["rate"], "max")
        self.assertGreater(result["sent"], 4)
        self.assertEqual(result["sent"], result["ok"])
        self.assertEqual(self.accepted() - before, result["ok"])

    def test_a_wrong_key_is_no_success(self):
        result, _ = load("--url", "http://127.0.0.1:%d" % self.weir.port, "--key", "wrong",
                         "--rate", "50", "--duration", "1s")
        self.assertEqual(result["status"], {"401": 50})
        self.assertEqual(result["ok"], 0)
        self.assertFalse(result["valid"])
        self.assertIn("no request was answered with success", result["why"])

    def test_without_a_key_on_loopback_it_says_that_it_uses_the_demo_key(self):
        result, err = load("--url", "http://localhost:%d" % self.weir.port, "--duration", "100ms")
        self.assertEqual((result["sent"], result["ok"]), (10, 10))
        self.assertIn("demo key", err)

    def test_text_for_people(self):
        status, out, err = run_weir("load", "--url", "http://127.0.0.1:%d" % self.weir.port,
                                    "--key", DEMO_KEY, "--rate", "100", "--duration", "1s")
        self.assertIn("corrected  uncorrected", out)
        self.assertIn("sent 100, answered 100: 202 x 100; errors: none", out)
        self.assertEqual(status, 1 if "VOID" in out else 0, out + err)

    def test_files_for_plotters_and_browsers(self):
        hgrm, raw, html = (os.path.join(self.directory, name)
                           for name in ("a.hgrm", "b.hgrm", "c.html"))
        self.load("--rate", "200", "--duration", "1s", "--hgrm", hgrm, "--hgrm-uncorrected", raw,
                  "--html", html)
        for path in (hgrm, raw):
            with open(path, encoding="ascii") as file:
                lines = file.read().split("\n")
            self.assertEqual(lines[0].split(),
                             ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"])
            rows = [line.split() for line in lines[2:] if line and not line.startswith("#")]
            self.assertEqual({len(row) for row in rows[:-1]}, {4})
            self.assertEqual((rows[-1][1], rows[-1][2]), ("1.000000000000", "200"))
            values = [float(row[0]) for row in rows]
            self.assertEqual(values, sorted(values))
            self.assertTrue(any(line.startswith("#[Mean") for line in lines))
        with open(html, encoding="utf-8") as file:
            page = file.read()
        self.assertEqual(page.count("<svg "), 3)
        self.assertNotIn("<script", page)
        self.assertNotIn("src=", page)

    def test_a_terminal_is_shown_how_it_goes(self):
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [Settings.weir, "load", "--url", "http://127.0.0.1:%d" % self.weir.port, "--key",
             DEMO_KEY, "--rate", "50", "--duration", "2s"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave, env=environment())
        LIVE.add(process)
        os.close(slave)
        shown = b""
        try:
            while True:
                shown += os.read(master, 65536)
        except OSError:  # the other end is closed
            pass
        process.wait(60)
        LIVE.discard(process)
        os.close(master)
        self.assertRegex(shown, rb"\r.*answered.*p99")

    def test_an_interrupt_ends_it_in_good_order(self):
        process = subprocess.Popen(
            [Settings.weir, "load", "--url", "http://127.0.0.1:%d" % self.weir.port, "--key",
             DEMO_KEY, "--rate", "50", "--duration", "1h", "--json"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        LIVE.add(process)
        before = self.accepted()
        wait_until(lambda: self.accepted() > before, 60, "an event is accepted")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        LIVE.discard(process)
        self.assertEqual(process.returncode, 1, err)
        self.assertIn(b"interrupted", err)
        result = json.loads(out)
        self.assertEqual(result["sent"], result["ok"])
        self.assertGreater(result["ok"], 0)

    def test_find_limit_reports_a_rate_that_it_has_tried(self):
        status, out, err = run_weir(
            "load", "--url", "http://127.0.0.1:%d" % self.weir.port, "--key", DEMO_KEY, "--rate",
            "20", "--duration", "200ms", "--warmup", "0", "--find-limit", "2s", "--json",
            timeout=300)
        tried = [float(rate) for rate in re.findall(r"weir load: ([\d.e+]+)/s ", err)]
        self.assertGreater(len(tried), 0, err)
        self.assertEqual(tried[0], 20)
        if status == 0:
            limit = json.loads(out)["limit"]
            self.assertTrue(any(abs(limit["rate"] - rate) <= rate * 1e-3 for rate in tried), err)
            self.assertEqual(limit["tries"], len(tried))
            self.assertIn(limit["limited_by"], ("target", "generator"))
        else:
            self.assertIn("no rate was held", err)


class Targets(Case):
    def target(self, script):
        target = Target(script)
        self.addCleanup(target.close)
        return target

    def test_any_method_header_and_body_with_places_filled_in(self):
        target = self.target(lambda number, request: [OK])
        result, _ = load("--url", target.url + "/items/{{seq}}?x={{random:1..3}}", "--method",
                         "PATCH", "--header", "X-Id: {{uuid}}", "--body",
                         '{"at":"{{now}}","who":"{{pick:ada|grace}}"}', "--rate", "50",
                         "--duration", "1s", "--key", "k", "--connections", "2")
        self.assertEqual((result["sent"], result["ok"]), (50, 50))
        self.assertEqual(result["status"], {"200": 50})
        seen = set()
        for head, body in target.requests:
            match = re.match(r"PATCH /items/(\d+)\?x=[123] HTTP/1\.1\r\n", head)
            self.assertTrue(match, head)
            seen.add(int(match.group(1)))
            self.assertRegex(head, r"\r\nX-Id: [0-9a-f]{8}-[0-9a-f]{4}-4")
            self.assertIn("\r\nX-API-Key: k\r\n", head)
            self.assertIn(json.loads(body)["who"], ("ada", "grace"))
        self.assertEqual(seen, set(range(50)))

    def test_a_body_from_a_file_as_it_is(self):
        path = os.path.join(self.directory, "body")
        with open(path, "wb") as file:
            file.write(b"{{not a place}}\0\xff")
        target = self.target(lambda number, request: [OK])
        load("--url", target.url + "/x", "--body-file", path, "--no-template", "--rate", "20",
             "--duration", "500ms", "--header", "Content-Type: x/y")
        self.assertEqual({body for _, body in target.requests}, {b"{{not a place}}\0\xff"})
        self.assertTrue(all(head.startswith("POST /x HTTP/1.1") and "Content-Type: x/y" in head
                            for head, _ in target.requests))

    def test_every_form_of_an_answer(self):
        forms = [
            [b"HTTP/1.1 204 No Content\r\n\r\n"],
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
             b"1\r\n \r\n0\r\n\r\n"],
            [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x" * 100000],
            [b"HT", b"TP/1.1 201 Created\r\nContent-", b"Length: 3\r\n", b"\r\nab", b"c"],
            [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
             b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"],
            [b"HTTP/1.1 200 OK\r\n\r\nall until the end", None],
            [b"HTTP/1.1 500 Oh\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", None],
            [b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", None],
        ]
        target = self.target(lambda number, request: forms[number % len(forms)])
        result, _ = load("--url", target.url + "/", "--method", "GET", "--rate", "80",
                         "--duration", "1s", "--connections", "1")
        self.assertEqual(result["status"], {"200": 40, "201": 10, "204": 10, "404": 10, "500": 10})
        self.assertEqual(result["errors"], {})
        # Three of the forms end the connection.
        self.assertGreaterEqual(result["generator"]["connects"], 30)

    def test_answers_to_head_have_no_body(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
        target = self.target(lambda number, request: [head])
        result, _ = load("--url", target.url + "/a", "--method", "HEAD", "--rate", "20",
                         "--duration", "500ms")
        self.assertEqual(result["ok"], 10)

    def test_every_way_to_fail_is_counted_by_its_name(self):
        forms = [
            [OK],
            None,
            [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", None],
            [b"SSH-2.0-OpenSSH\r\n\r\n"],
            [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokand more"],
        ]
        target = self.target(lambda number, request: forms[number % len(forms)])
        result, _ = load("--url", target.url + "/", "--method", "GET", "--rate", "50",
                         "--duration", "1s", "--connections", "1")
        self.assertEqual(result["status"], {"200": 10})
        self.assertEqual(result["errors"], {"closed": 20, "protocol": 20})

    def test_what_never_comes_is_a_timeout_and_counts_as_long(self):
        target = self.target(lambda number, request: [OK] if number < 10 else [b"HTTP/1.1 200"])
        result, _ = load("--url", target.url + "/", "--method", "GET", "--rate", "20",
                         "--duration", "1s", "--connections", "20", "--timeout", "1s")
        self.assertEqual(result["status"], {"200": 10})
        self.assertEqual(result["errors"], {"timeout": 10})
        self.assertGreaterEqual(result["latency_us"]["corrected"]["max"], 1000000)

    def test_a_target_that_dies_gives_connect_errors(self):
        target = None

        def script(number, _request):
            if number == 20:
                target.close()
                return None
            return [OK]

        target = self.target(script)
        result, err = load("--url", target.url + "/", "--method", "GET", "--rate", "50",
                           "--duration", "1s", "--connections", "1")
        self.assertEqual(result["status"], {"200": 20})
        self.assertEqual(result["errors"], {"closed": 1, "connect": 29})
        self.assertIn("refused", err)

    def test_a_connection_for_each_request(self):
        target = self.target(lambda number, request: [OK, None])
        result, _ = load("--url", target.url + "/", "--method", "GET", "--rate", "30",
                         "--duration", "1s", "--no-keepalive", "--connections", "3")
        self.assertEqual(result["status"], {"200": 30})
        self.assertGreaterEqual(result["generator"]["connects"], 30)
        self.assertTrue(all("Connection: close" in head for head, _ in target.requests))

    def test_others_get_its_core_while_it_waits_awake(self):
        """In this class a thread keeps its core until it gives way, and this one never sleeps."""
        cores = sorted(os.sched_getaffinity(0))
        real_time = ["chrt", "-f", "1", "taskset", "-c", str(cores[-1])]
        if len(cores) < 2:
            self.skipTest("one core only")
        if subprocess.run(real_time + ["true"], check=False, capture_output=True).returncode != 0:
            self.skipTest("no right to a real-time class")
        target = self.target(lambda number, request: [OK])
        process = subprocess.Popen(
            real_time + [Settings.weir, "load", "--url", target.url, "--rate", "100", "--duration",
                         "30s", "--spin-us", "10000", "--core", str(cores[-1]), "--json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment())
        LIVE.add(process)
        try:
            wait_until(lambda: target.requests, 60, "a request arrives")
            subprocess.run(real_time + ["true"], check=True, timeout=10)
            self.assertIsNone(process.poll())
        finally:
            process.kill()
            process.wait()
            LIVE.discard(process)

    def test_sends_that_were_skipped_make_the_run_void(self):
        def script(number, _request):
            if number == 0:
                time.sleep(2)  # longer than there is something to send
            return [OK]

        target = self.target(script)
        result, _ = load("--url", target.url + "/", "--method", "GET", "--rate", "200",
                         "--duration", "1s", "--connections", "1", "--queue", "5")
        self.assertEqual((result["sent"], result["skipped"]), (6, 194))
        self.assertFalse(result["valid"])
        self.assertTrue(any("skipped" in why for why in result["why"]))

    def test_nobody_listens(self):
        status, out, err = run_weir("load", "--url", "http://127.0.0.1:%d" % free_port(), "--key",
                                    "k", "--duration", "1s")
        self.assertEqual(status, EX_UNAVAILABLE, out + err)
        self.assertIn("refused", err)

    def test_no_such_host(self):
        status, _, err = run_weir("load", "--url", "http://nowhere.invalid:1/", "--key", "k")
        self.assertEqual(status, EX_UNAVAILABLE, err)

    def test_wrong_usage_is_said_before_anything_is_sent(self):
        target = self.target(lambda number, request: [OK])
        for arguments in (["--rate", "0"], ["--rate", "x"], ["--rate", "5..x"], ["--steps", "3"],
                          ["--rate", "max", "--find-limit", "10ms"], ["--batch", "101"],
                          ["--scenario", "x"], ["--connections", "0"], ["--duration", "0"],
                          ["--scenario", "normal", "--body", "x"], ["--method", "get"],
                          ["--body", "a", "--body-file", "b"], ["--body-file", "/nonexistent/b"],
                          ["--header", "nocolon"], ["--header", "X: {{what}}"],
                          ["--scenario", "burst", "--warmup", "1s"], ["extra"],
                          ["--rate", "max", "--arrivals", "poisson"]):
            with self.subTest(arguments=arguments):
                status, out, err = run_weir("load", "--url", target.url, "--key", "k", *arguments)
                self.assertEqual(status, EX_USAGE, out + err)
                self.assertIn("weir load", err)
        for url in ("ftp://x/", "127.0.0.1:80", "http://", "http://h/a b", "http://h/#x",
                    "http://u@h/"):
            with self.subTest(url=url):
                self.assertEqual(run_weir("load", "--url", url)[0], EX_USAGE)
        self.assertEqual(target.requests, [])

    def test_help_shows_examples(self):
        status, out, _ = run_weir("load", "--help")
        self.assertEqual(status, 0)
        for text in ("--find-limit", "weir load --rate 2000", "{{uuid}}", "80 %"):
            self.assertIn(text, out)


class Tls(Case):
    def setUp(self):
        super().setUp()
        self.server = subprocess.Popen(
            [sys.executable, "-W", "ignore",
             os.path.join(Settings.root, "tests/http/tls_server.py"), self.directory],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        LIVE.add(self.server)
        self.addCleanup(self.end)
        self.ports = {}
        for line in self.server.stdout:
            kind, port = line.split()
            if kind == "ready":
                break
            self.ports[kind] = port

    def end(self):
        self.server.stdin.close()
        self.server.wait(30)
        self.server.stdout.close()
        LIVE.discard(self.server)

    def load(self, kind, path, *arguments):
        return load("--url", "https://good.test:%s%s" % (self.ports[kind], path), "--connect",
                    "127.0.0.1", "--ca", os.path.join(self.directory, "ca.pem"), "--duration",
                    "1s", "--connections", "2", *arguments)

    def test_requests_go_over_tls_and_reuse_connections(self):
        for kind in ("good", "rsa"):
            with self.subTest(kind=kind):
                result, err = self.load(kind, "/hello", "--rate", "40")
                self.assertEqual((result["ok"], result["errors"]), (40, {}), err)
                self.assertEqual(result["generator"]["connects"], 2)

    def test_large_bodies_both_ways(self):
        path = os.path.join(self.directory, "large")
        with open(path, "wb") as file:
            file.write(b"y" * 300000)
        result, err = self.load("good", "/echo", "--rate", "10", "--body-file", path)
        self.assertEqual((result["ok"], result["errors"]), (10, {}), err)
        self.assertGreater(result["generator"]["bytes_in"], 3000000)
        result, err = self.load("good", "/large", "--rate", "10")
        self.assertEqual((result["ok"], result["errors"]), (10, {}), err)

    def test_a_certificate_that_is_not_good_is_named(self):
        for kind, name in (("expired", "expired"), ("other", "wrong_host"),
                           ("self", "not_trusted")):
            with self.subTest(kind=kind):
                result, err = self.load(kind, "/hello", "--rate", "5")
                self.assertEqual((result["ok"], result["errors"]), (0, {"tls": 5}), err)
                self.assertIn(name, err)

    def test_a_server_without_tls(self):
        result, _ = self.load("chatty", "/hello", "--rate", "5")
        self.assertEqual((result["ok"], result["errors"]), (0, {"tls": 5}))
