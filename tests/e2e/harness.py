"""The harness: starts the real binary on a free port with its own data directory, waits
for real conditions (never for time alone), and stops it by its pid.

Every wait polls a condition with a bound; reaching the bound is a failure that shows the
server's own log. Settings that several files need are named once, here.
"""
import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import uuid

from http_client import Closed, Connection

DEMO_KEY = "dev-api-key-12345"
ORG, PROJECT = "org_demo", "proj_demo"

EX_USAGE, EX_UNAVAILABLE, EX_DATA_DIR, EX_IO, EX_NOPERM, EX_CONFIG = 2, 69, 73, 74, 77, 78


class Settings:
    """Filled by run.py before any case starts."""
    weir = None       # the binary under test, usually with sanitizers
    fast_weir = None  # an optimised binary for loops that need speed; may be weir itself
    work = None       # a directory on a real disk; each case makes its own below it
    long = False
    seed = 1
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


LIVE = set()


def kill_leftovers():
    for process in list(LIVE):
        if process.poll() is None:
            process.kill()
            process.wait()


atexit.register(kill_leftovers)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(condition, timeout, what):
    """Polls condition() until it is true; gives its value. The bound is a failure."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s" % (timeout, what))
        time.sleep(0.02)


def filesystem_of(path):
    done = subprocess.run(["stat", "-f", "-c", "%T", path], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


def run_weir(*arguments, timeout=60, env=None, binary=None, preexec=None, stdin=b""):
    """Runs a command to its end. Gives (exit status, stdout, stderr) as text."""
    done = subprocess.run([binary or Settings.weir, *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, input=stdin, timeout=timeout, check=False,
                          env=environment(env), preexec_fn=preexec)
    return done.returncode, done.stdout.decode(errors="replace"), \
        done.stderr.decode(errors="replace")


def environment(extra=None):
    """Ours without any WEIR_ variable of the developer's shell, plus the extra ones."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
    clean.setdefault("ASAN_OPTIONS", "detect_leaks=1")
    clean.update(extra or {})
    return clean


class Server:
    """One `weir serve`. Start it, use it, stop it; the data directory outlives it."""

    def __init__(self, data, *arguments, env=None, demo=True, binary=None, port=None,
                 preexec=None, unsafe=None):
        self.data = data
        self.port = port or free_port()
        self.binary = binary or Settings.weir
        self.arguments = ["serve", "--data", data, "--listen", "127.0.0.1:%d" % self.port]
        if demo:
            self.arguments.append("--demo")
        if not any(a.startswith("--shards") for a in arguments):
            self.arguments += ["--shards", "1"]
        if unsafe is None:
            unsafe = filesystem_of(os.path.dirname(os.path.abspath(data))) == "tmpfs"
        if unsafe:
            self.arguments.append("--unsafe-storage")
        self.arguments += arguments
        self.env = env
        self.preexec = preexec
        self.process = None
        os.makedirs(Settings.work, exist_ok=True)
        handle, self.log_path = tempfile.mkstemp(prefix="log-", dir=Settings.work)
        self.log_file = os.fdopen(handle, "wb")

    def start(self, timeout=30):
        self.spawn()
        return self.wait_ready(timeout)

    def spawn(self):
        assert self.process is None or self.process.poll() is not None
        self.process = subprocess.Popen([self.binary, *self.arguments], stdin=subprocess.DEVNULL,
                                        stdout=self.log_file, stderr=self.log_file,
                                        env=environment(self.without_traffic()),
                                        preexec_fn=self.preexec)
        LIVE.add(self.process)
        return self

    def without_traffic(self):
        """Cases know what they have sent, unless one wants the demo's own traffic."""
        return {"WEIR_DEMO_TRAFFIC": "false", **(self.env or {})}

    def wait_ready(self, timeout=30):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError("exited with %d before it was ready:\n%s"
                                     % (self.process.returncode, self.log_tail()))
            try:
                with Connection(self.port, timeout=5) as connection:
                    return connection.request("GET", "/readyz").status == 200
            except (ConnectionError, Closed, socket.timeout, OSError):
                return False
        try:
            wait_until(ready, timeout, "GET /readyz answers 200")
        except AssertionError as error:
            raise AssertionError("%s\n%s" % (error, self.log_tail())) from None
        return self

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_tail(self, size=3000):
        return self.log()[-size:]

    def wait_exit(self, timeout=30):
        """The exit status; a process that does not end in time is a failure."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError("still running after %g s:\n%s" % (timeout, self.log_tail())) \
                from None
        LIVE.discard(self.process)
        return status

    def stop(self, timeout=30):
        """SIGTERM and the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()
            LIVE.discard(self.process)

    def connect(self, timeout=20.0):
        return Connection(self.port, timeout)

    def request(self, method, path, body=None, headers=None, key=DEMO_KEY):
        """One request on a connection of its own. A dict or list body becomes JSON."""
        fields = {"X-API-Key": key} if key else {}
        fields["Connection"] = "close"
        fields.update(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        elif isinstance(body, str):
            body = body.encode()
        with self.connect() as connection:
            return connection.request(method, path, body, fields)

    def admin_token(self):
        with open(os.path.join(self.data, "admin.token"), encoding="ascii") as file:
            return file.read().strip()

    def admin(self, method, path, body=None):
        return self.request(method, path, body, key=None,
                            headers={"Authorization": "Bearer " + self.admin_token()})

    def metrics(self):
        """{'name{labels}': value}, with the labels as the server wrote them."""
        response = self.request("GET", "/metrics", key=None)
        assert response.status == 200, response
        values = {}
        for line in response.body.decode().split("\n"):
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = float(value)
        return values

    def metric(self, name):
        """The sum over all label sets of one metric; 0 when it is not there yet."""
        return sum(value for key, value in self.metrics().items()
                   if key == name or key.startswith(name + "{"))

    def rss_kib(self):
        with open("/proc/%d/status" % self.pid, encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.pid, encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def event(**changes):
    """A valid event; a None value removes a field."""
    fields = {"event_type": "error", "occurred_at": "2025-01-15T12:00:00.000Z",
              "message": "Connection timeout", "environment": "prod", "severity": "error",
              "attributes": {"error_code": "TIMEOUT", "route": "/api/checkout"}}
    fields.update(changes)
    return {name: value for name, value in fields.items() if value is not None}


def new_id():
    return str(uuid.uuid4())


class Case(unittest.TestCase):
    """A test case with a work directory of its own and servers that end with it."""
    maxDiff = None

    def setUp(self):
        os.makedirs(Settings.work, exist_ok=True)
        self.directory = tempfile.mkdtemp(prefix="case-", dir=Settings.work)
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def data(self, name="data"):
        return os.path.join(self.directory, name)

    def server(self, *arguments, **options):
        """A started server; killed at the end of the case if it still runs."""
        server = self.unstarted(*arguments, **options)
        return server.start()

    def unstarted(self, *arguments, data=None, **options):
        server = Server(data or self.data(), *arguments, **options)
        self.addCleanup(self._end, server)
        return server

    def _end(self, server):
        server.kill()
        server.log_file.close()
        os.unlink(server.log_path)

    def assert_problem(self, response, status, code=None):
        """An RFC 9457 answer with every field that interface.md promises."""
        self.assertEqual(response.status, status, response)
        self.assertEqual(response.header("content-type", "").split(";")[0],
                         "application/problem+json", response)
        problem = response.json()
        for field in ("type", "title", "status", "code", "correlation_id", "error"):
            self.assertIn(field, problem)
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["error"], problem["title"])
        self.assertRegex(problem["code"], r"^[a-z][a-z0-9_]*$")
        self.assertEqual(problem["correlation_id"], response.header("x-correlation-id"))
        if code is not None:
            self.assertEqual(problem["code"], code)
        return problem

    def post(self, server, body, path="/v1/events", **options):
        return server.request("POST", path, body, **options)

    def post_ok(self, server, body, path="/v1/events", **options):
        response = self.post(server, body, path, **options)
        self.assertEqual(response.status, 202, response)
        return response.json()

    def stored(self, server, event_id):
        response = server.request("GET", "/v1/events/" + event_id)
        return response.json() if response.status == 200 else None


class SharedCase(Case):
    """Cases that share one server per class; for those that leave it as they found it."""
    options = {}
    arguments = ()

    @classmethod
    def setUpClass(cls):
        os.makedirs(Settings.work, exist_ok=True)
        cls.shared_directory = tempfile.mkdtemp(prefix="class-", dir=Settings.work)
        cls.weir = Server(os.path.join(cls.shared_directory, "data"), *cls.arguments,
                          **cls.options)
        try:
            cls.weir.start()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            if cls.weir.process.poll() is None:
                status = cls.weir.stop()
                if status != 0:
                    raise AssertionError("exit status %d\n%s" % (status, cls.weir.log_tail()))
            else:
                raise AssertionError("the server died: %d\n%s" % (
                    cls.weir.process.returncode, cls.weir.log_tail()))
        finally:
            cls.weir.kill()
            cls.weir.log_file.close()
            os.unlink(cls.weir.log_path)
            shutil.rmtree(cls.shared_directory, ignore_errors=True)
