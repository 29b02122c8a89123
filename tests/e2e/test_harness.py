"""The harness judges the server; these cases judge the harness."""
import json
import socket
import threading
import unittest

import metrics_format
from http_client import Closed, Connection, render
from journal_dump import find_events

GOOD = """# HELP a_total What it counts.
# TYPE a_total counter
a_total{x="1",y="q\\"uote"} 3
a_total{x="2"} 0
# HELP d_seconds Durations.
# TYPE d_seconds histogram
d_seconds_bucket{le="0.1"} 1
d_seconds_bucket{le="+Inf"} 2
d_seconds_sum 0.5
d_seconds_count 2
"""


class MetricsFormat(unittest.TestCase):
    def test_accepts_a_valid_text(self):
        self.assertEqual(metrics_format.check(GOOD), [])

    def test_finds_each_fault(self):
        for old, new in (("a_total{x=\"2\"} 0", "a_total{x=\"2\" 0"),
                         ("a_total{x=\"2\"} 0", "a_total{x=\"2\"} zero"),
                         ("a_total{x=\"2\"} 0", "a_total{x=\"1\",y=\"q\\\"uote\"} 0"),
                         ("a_total{x=\"2\"} 0", "a_total{x=\"2\"} -1"),
                         ("a_total{x=\"2\"} 0", "d_seconds_sum 0.5"),
                         ("le=\"+Inf\"} 2", "le=\"+Inf\"} 0"), ("le=\"+Inf\"", "le=\"5\""),
                         ("# TYPE a_total counter\n", ""), ("# HELP a_total What it counts.\n", ""),
                         ("counter", "kounter"), ("seconds_count 2\n", "seconds_count 2")):
            with self.subTest(new):
                self.assertNotEqual(metrics_format.check(GOOD.replace(old, new, 1)), [])


class HttpClient(unittest.TestCase):
    def answer(self, raw, method="GET"):
        """What the client makes of these bytes from a server."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()

            def serve():
                peer, _ = listener.accept()
                with peer:
                    peer.sendall(raw)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            with Connection(listener.getsockname()[1], timeout=10) as connection:
                response = connection.read_response(method)
            thread.join(10)
            return response

    def test_reads_lengths_chunks_and_heads(self):
        head = b"HTTP/1.1 200 OK\r\n"
        self.assertEqual(self.answer(head + b"Content-Length: 2\r\n\r\nhi").body, b"hi")
        chunked = b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"
        self.assertEqual(self.answer(head + chunked).body, b"hi")
        self.assertEqual(self.answer(head + b"Content-Length: 2\r\n\r\n", "HEAD").body, b"")

    def test_refuses_what_a_client_must_not_accept(self):
        for raw in (b"HTTP/1.1 200 OK\r\n\r\nbody",
                    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
                    b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\na", b"200 OK\r\n\r\n"):
            with self.subTest(raw), self.assertRaises(AssertionError):
                self.answer(raw)
        with self.assertRaises(Closed):
            self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi")

    def test_renders_overrides_and_removals(self):
        raw = render("POST", "/", b"x", {"content-length": None, "Host": "h"})
        self.assertEqual(raw, b"POST / HTTP/1.1\r\nContent-Type: application/json\r\n"
                              b"Host: h\r\n\r\nx")


class Dump(unittest.TestCase):
    def test_finds_envelopes_wherever_they_stand(self):
        envelope = {"schema_version": "1.0", "event_id": "a"}
        self.assertEqual(find_events({"record": {"data": [envelope]}}), [envelope])
        self.assertEqual(find_events({"data": json.dumps(envelope)}), [envelope])
        self.assertEqual(find_events({"event_id": "not an envelope"}), [])
