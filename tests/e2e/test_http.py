"""The protocol on a raw socket: framing, limits, timeouts, and nothing smuggled."""
import json
import socket
import time

from harness import DEMO_KEY, Case, SharedCase, event
from http_client import Closed, render

KEY = {"X-API-Key": DEMO_KEY}
BODY = json.dumps(event()).encode()


def post(body=BODY, **headers):
    fields = dict(KEY)
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    return render("POST", "/v1/events", body, fields)


class Framing(SharedCase):
    def refused(self, raw, statuses=(400,)):
        """The server answers with one of statuses, closes, and reads no second request."""
        with self.weir.connect() as connection:
            connection.send(raw)
            response = connection.read_response()
            self.assertIn(response.status, statuses, response)
            self.assert_problem(response, response.status)
            self.assertTrue(connection.is_closed(), "the connection stayed open")
        return response

    def test_ambiguous_or_malformed_framing_is_refused_and_closed(self):
        size = str(len(BODY)).encode()
        head = b"POST /v1/events HTTP/1.1\r\nHost: a\r\nX-API-Key: " + DEMO_KEY.encode() + b"\r\n"
        json_type = b"Content-Type: application/json\r\n"
        hidden = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
        shapes = {
            "length and chunked": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  b"0\r\n\r\n" + hidden,
            "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
                                  b"0\r\n\r\n" + hidden,
            "two lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
            "two equal lengths": b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
            "list of lengths": b"Content-Length: 4, 4\r\n\r\nabcd",
            "signed length": b"Content-Length: +4\r\n\r\nabcd",
            "negative length": b"Content-Length: -1\r\n\r\n",
            "hexadecimal length": b"Content-Length: 0x4\r\n\r\nabcd",
            "empty length": b"Content-Length: \r\n\r\n",
            "length with a space": b"Content-Length: 1 2\r\n\r\n",
            "endless length": b"Content-Length: 99999999999999999999999\r\n\r\n",
            "space before colon": b"Content-Length : 4\r\n\r\nabcd",
            "space before colon of TE": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "folded header": b"X-A: b\r\n c\r\nContent-Length: " + size + b"\r\n\r\n" + BODY,
            "bare CR in a value": b"X-A: b\rc\r\nContent-Length: " + size + b"\r\n\r\n" + BODY,
            "NUL in a value": b"X-A: b\0c\r\nContent-Length: " + size + b"\r\n\r\n" + BODY,
            "no name": b": b\r\nContent-Length: " + size + b"\r\n\r\n" + BODY,
            "no colon": b"nonsense\r\nContent-Length: " + size + b"\r\n\r\n" + BODY,
            "bad name": b"X(A): b\r\nContent-Length: " + size + b"\r\n\r\n" + BODY,
            "second host": b"Host: b\r\nContent-Length: " + size + b"\r\n\r\n" + BODY,
            "bad chunk size": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            "signed chunk size": b"Transfer-Encoding: chunked\r\n\r\n+4\r\nabcd\r\n0\r\n\r\n",
            "0x chunk size": b"Transfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n",
            "endless chunk size": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            "chunk without its CR LF": b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcdXX0\r\n\r\n",
            "chunk size ended by LF": b"Transfer-Encoding: chunked\r\n\r\n4\nabcd\r\n0\r\n\r\n",
        }
        for name, rest in shapes.items():
            with self.subTest(name):
                self.refused(head + json_type + rest, (400, 413))

    def test_other_transfer_codings_are_refused(self):
        for coding in ("gzip, chunked", "chunked, identity", "xchunked", "chunked, chunked",
                       "identity"):
            with self.subTest(coding):
                self.refused(post(content_length=None, transfer_encoding=coding), (400, 501))

    def test_malformed_request_lines_are_refused_and_closed(self):
        for line, statuses in (
                (b"GET", (400,)), (b"GET /", (400,)), (b"GET / HTTP/1.1 x", (400,)),
                (b"GET  / HTTP/1.1", (400,)), (b" GET / HTTP/1.1", (400,)),
                (b"GET / http/1.1", (400,)), (b"GET / HTTP/2.0", (505,)),
                (b"GET / HTTP/3.0", (505,)), (b"GET / HTTP/1.10", (400, 505)),
                (b"G\x01T / HTTP/1.1", (400,)), (b"GET /\x00 HTTP/1.1", (400,)),
                (b"GET /a\x7f HTTP/1.1", (400,)), (b"\x16\x03\x01\x02\x00\x01", (400,))):
            with self.subTest(line):
                self.refused(line + b"\r\nHost: a\r\n\r\n", statuses)

    def test_http_1_1_needs_a_host(self):
        self.refused(b"GET /livez HTTP/1.1\r\n\r\n")

    def test_limits_on_target_and_headers(self):
        self.refused(b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", (414, 431))
        head = b"GET /livez HTTP/1.1\r\nHost: a\r\n"
        self.refused(head + b"X-A: " + b"a" * 70000 + b"\r\n\r\n", (431,))
        many = b"".join(b"X-%d: a\r\n" % n for n in range(2000))
        self.refused(head + many + b"\r\n", (431,))

    def test_a_declared_body_over_the_limit_is_refused_before_it_is_sent(self):
        with self.weir.connect() as connection:
            connection.send(post(b"", content_length="1048577"))
            self.assert_problem(connection.read_response(), 413)
            self.assertTrue(connection.is_closed())

    def test_a_chunked_body_over_the_limit_is_refused(self):
        with self.weir.connect() as connection:
            connection.send(post(b"", content_length=None, transfer_encoding="chunked"))
            try:
                for _ in range(40):
                    connection.send(b"10000\r\n" + b"a" * 65536 + b"\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass  # it need not read what it has already refused
            self.assert_problem(connection.read_response(), 413)

    def test_chunked_bodies_in_every_cut(self):
        for size in (1, 2, 7, 64, len(BODY)):
            with self.subTest(size), self.weir.connect() as connection:
                pieces = [BODY[n:n + size] for n in range(0, len(BODY), size)]
                body = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(p), p) for p in pieces)
                connection.send(post(b"", content_length=None, transfer_encoding="chunked"))
                connection.send(body + b"0\r\nX-Trailer: a\r\n\r\n")
                self.assertEqual(connection.read_response().status, 202)
                self.assertEqual(connection.request("GET", "/livez").status, 200)

    def test_a_request_in_single_bytes(self):
        with self.weir.connect() as connection:
            for byte in post():
                connection.send(bytes([byte]))
            self.assertEqual(connection.read_response().status, 202)

    def test_pipelined_requests_are_answered_in_order(self):
        with self.weir.connect() as connection:
            connection.send(b"".join(
                post(x_correlation_id="n%d" % n) if n % 3 else
                render("GET", "/livez", None, {"x-correlation-id": "n%d" % n})
                for n in range(60)))
            for n in range(60):
                response = connection.read_response()
                self.assertEqual(response.status, 202 if n % 3 else 200)
                self.assertEqual(response.header("x-correlation-id"), "n%d" % n)

    def test_expect_100_continue(self):
        with self.weir.connect() as connection:
            connection.send(post(b"", content_length=str(len(BODY)), expect="100-continue"))
            self.assertEqual(connection.read_response().status, 100)
            connection.send(BODY)
            self.assertEqual(connection.read_response().status, 202)
        with self.weir.connect() as connection:
            fields = {"Content-Length": str(len(BODY)), "Expect": "100-continue"}
            connection.send(render("POST", "/v1/events", b"", fields))
            self.assertEqual(connection.read_response().status, 401)
        with self.weir.connect() as connection:
            connection.send(post(expect="the-unexpected"))
            self.assert_problem(connection.read_response(), 417)

    def test_head_has_the_headers_of_get_and_no_body(self):
        with self.weir.connect() as connection:
            get = connection.request("GET", "/livez")
            head = connection.request("HEAD", "/livez")
            self.assertEqual(head.status, 200)
            self.assertEqual(head.body, b"")
            self.assertEqual(head.header("content-length"), get.header("content-length"))
            self.assertEqual(connection.request("GET", "/livez").status, 200)

    def test_connection_close_and_http_1_0(self):
        with self.weir.connect() as connection:
            connection.send(post(connection="close"))
            response = connection.read_response()
            self.assertEqual(response.status, 202)
            self.assertEqual(response.header("connection", "").lower(), "close")
            self.assertTrue(connection.is_closed())
        with self.weir.connect() as connection:
            connection.send(b"GET /livez HTTP/1.0\r\n\r\n")
            self.assertEqual(connection.read_response().status, 200)
            self.assertTrue(connection.is_closed())

    def test_keeps_the_connection_after_an_error_in_the_body(self):
        with self.weir.connect() as connection:
            self.assertEqual(connection.request("POST", "/v1/events", b"{}", KEY).status, 400)
            self.assertEqual(connection.request("POST", "/v1/events", BODY, KEY).status, 202)

    def test_a_client_that_goes_away_leaves_nothing(self):
        for cut in (5, 40, len(post()) - 1):
            with self.weir.connect() as connection:
                connection.send(post()[:cut])
        with self.weir.connect() as connection:
            connection.send(post())
            connection.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(connection.read_response().status, 202)
        self.assertEqual(self.weir.request("GET", "/livez").status, 200)

    def test_security_headers_are_on_every_response(self):
        for response in (self.weir.request("GET", "/livez"),
                         self.weir.request("GET", "/nothing"), self.post(self.weir, event())):
            self.assertEqual(response.header("x-content-type-options"), "nosniff")
            self.assertTrue(response.header("x-correlation-id"))


class Timeouts(Case):
    """Small limits, so that the real timers fire soon; the client never races them."""
    limits = {"WEIR_LIMITS_HEADER_TIMEOUT": "400ms", "WEIR_LIMITS_BODY_TIMEOUT": "400ms",
              "WEIR_LIMITS_IDLE_TIMEOUT": "600ms"}

    def test_slow_headers_get_408_and_a_close(self):
        server = self.server(env=self.limits)
        with server.connect() as connection:
            connection.send(b"GET /livez HTTP/1.1\r\nHo")
            self.assert_problem(connection.read_response(), 408)
            self.assertTrue(connection.is_closed())

    def test_a_byte_now_and_then_does_not_extend_the_header_timeout(self):
        server = self.server(env=self.limits)
        started = time.monotonic()
        with server.connect(timeout=0.05) as connection:
            connection.send(b"GET /livez HTTP/1.1\r\nX-A: ")
            for _ in range(400):
                try:
                    connection.send(b"a")
                    response = connection.read_response()
                    break
                except socket.timeout:
                    continue
                except (BrokenPipeError, ConnectionResetError, Closed):
                    response = None
                    break
            else:
                self.fail("still open after %.1f s" % (time.monotonic() - started))
        if response is not None:
            self.assertEqual(response.status, 408)

    def test_a_stalled_body_gets_408_and_a_close(self):
        server = self.server(env=self.limits)
        with server.connect() as connection:
            connection.send(post()[:-10])
            self.assert_problem(connection.read_response(), 408)
            self.assertTrue(connection.is_closed())

    def test_an_idle_connection_is_closed_without_a_word(self):
        server = self.server(env=self.limits)
        with server.connect() as connection:
            self.assertEqual(connection.request("GET", "/livez").status, 200)
            self.assertTrue(connection.is_closed())

    def test_a_client_that_never_reads_is_dropped_and_others_are_served(self):
        server = self.server(env=self.limits)
        with server.connect() as deaf:
            deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.socket.settimeout(1.0)
            try:
                for _ in range(3000):
                    deaf.send(render("GET", "/metrics") * 10)
            except (socket.timeout, BrokenPipeError, ConnectionResetError):
                pass
            self.assertEqual(server.request("GET", "/livez").status, 200)
            self.assertEqual(self.post(server, event()).status, 202)
