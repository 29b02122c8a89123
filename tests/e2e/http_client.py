"""A strict HTTP/1.1 client on a raw socket, so that a test can send what no library would.

It also judges the server: a response with a malformed status line, two lengths or a
body where none may be is an error here, not something to be tolerated.
"""
import json
import socket


class Closed(Exception):
    """The server closed the connection before a whole response was there."""


class Response:
    def __init__(self, status, reason, headers, body):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    def header(self, name, default=None):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[0] if values else default

    def json(self):
        return json.loads(self.body.decode("utf-8"))

    def __repr__(self):
        return "<%d %s %r>" % (self.status, self.reason, self.body[:300])


class Connection:
    judge = None  # holds every answer of request() against the document; set by run.py

    def __init__(self, port, timeout=20.0, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def _more(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise Closed("closed after %r" % self.buffer[:200])
        self.buffer += chunk

    def _until(self, mark):
        while mark not in self.buffer:
            self._more()
        piece, self.buffer = self.buffer.split(mark, 1)
        return piece

    def _exactly(self, size):
        while len(self.buffer) < size:
            self._more()
        piece, self.buffer = self.buffer[:size], self.buffer[size:]
        return piece

    def read_response(self, method="GET"):
        """One response; interim 1xx responses are returned like any other."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        lines = head.split("\r\n")
        version, status, reason = (lines[0].split(" ", 2) + [""])[:3]
        if version not in ("HTTP/1.1", "HTTP/1.0") or len(status) != 3:
            raise AssertionError("bad status line %r" % lines[0])
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip() or not name:
                raise AssertionError("bad header line %r" % line)
            headers.append((name, value.strip()))
        status = int(status)
        lengths = [v for k, v in headers if k.lower() == "content-length"]
        chunked = any(k.lower() == "transfer-encoding" for k, v in headers)
        if len(lengths) > 1 or (lengths and chunked):
            raise AssertionError("ambiguous framing in the response: %r" % headers)
        if method == "HEAD" or status < 200 or status in (204, 304):
            body = b""
        elif chunked:
            body = b""
            while True:
                size = int(self._until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    while self._until(b"\r\n"):
                        pass
                    break
                body += self._exactly(size)
                if self._exactly(2) != b"\r\n":
                    raise AssertionError("a chunk does not end in CR LF")
        elif lengths:
            body = self._exactly(int(lengths[0]))
        else:
            raise AssertionError("neither Content-Length nor chunked: %r" % headers)
        return Response(status, reason, headers, body)

    def request(self, method, path, body=None, headers=None):
        response = self.request_raw(render(method, path, body, headers), method)
        if self.judge is not None:
            self.judge.check(method, path, response)
        return response

    def request_raw(self, raw, method="POST"):
        self.send(raw)
        return self.read_response(method)

    def is_closed(self):
        """True once the server has closed; waits up to the socket's timeout."""
        if self.buffer:
            return False
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def render(method, path, body=None, headers=None):
    """The bytes of a well-formed request. headers overrides; a None value removes."""
    fields = {"Host": "localhost"}
    if body is not None:
        fields["Content-Type"] = "application/json"
        fields["Content-Length"] = str(len(body))
    for name, value in (headers or {}).items():
        for known in list(fields):
            if known.lower() == name.lower():
                del fields[known]
        if value is not None:
            fields[name] = value
    head = "%s %s HTTP/1.1\r\n" % (method, path)
    head += "".join("%s: %s\r\n" % item for item in fields.items()) + "\r\n"
    return head.encode("latin-1") + (body or b"")
