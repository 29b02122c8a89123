"""https: real clients (openssl, curl, Python's ssl) against the server's TLS, and mistakes in
its certificate and key."""
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import threading
import time

from harness import (DEMO_KEY, EX_CONFIG, EX_UNAVAILABLE, Case, Server, Settings, SharedCase,
                     free_port, new_id, run_weir, wait_until)
from http_client import Connection, Response, render

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("-newkey", "rsa:2048")
NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=30, check=False, **options)


def make_certificate(directory, name, key=EC, names=NAMES):
    """A self-signed certificate. Gives the paths of certificate and key."""
    certificate, private = (os.path.join(directory, name + suffix) for suffix in (".pem", ".key"))
    done = openssl("req", "-x509", *key, "-nodes", "-keyout", private, "-out", certificate,
                   "-subj", "/CN=localhost", "-addext", names, "-days", "30")
    assert done.returncode == 0, done.stdout
    return certificate, private


def make_expired(directory):
    """A certificate that ended yesterday."""
    certificate, private = make_certificate(directory, "expired")
    request = os.path.join(directory, "expired.csr")
    openssl("req", "-new", "-key", private, "-out", request, "-subj", "/CN=localhost")
    done = openssl("x509", "-req", "-in", request, "-signkey", private, "-out", certificate,
                   "-days", "-1")
    assert done.returncode == 0, done.stdout
    return certificate, private


def make_chain(directory):
    """Root, intermediate, server. Gives the root's path and those of the chain and its key."""
    root, root_key = make_certificate(directory, "root")
    for name, issuer, extension in (("middle", (root, root_key), "basicConstraints=CA:TRUE"),
                                    ("leaf", None, NAMES)):
        base = os.path.join(directory, name)
        issuer = issuer or (os.path.join(directory, "middle.pem"),
                            os.path.join(directory, "middle.key"))
        openssl("req", *EC, "-nodes", "-keyout", base + ".key", "-out", base + ".csr",
                "-subj", "/CN=" + name)
        with open(base + ".ext", "w", encoding="ascii") as file:
            file.write(extension + "\n")
        done = openssl("x509", "-req", "-in", base + ".csr", "-CA", issuer[0], "-CAkey", issuer[1],
                       "-CAcreateserial", "-out", base + ".pem", "-days", "30",
                       "-extfile", base + ".ext")
        assert done.returncode == 0, done.stdout
    chain = os.path.join(directory, "chain.pem")
    with open(chain, "w", encoding="ascii") as file:
        for name in ("leaf", "middle"):
            with open(os.path.join(directory, name + ".pem"), encoding="ascii") as part:
                file.write(part.read())
    return root, chain, os.path.join(directory, "leaf.key")


class TlsServer(Server):
    """A server with one more port, for https."""

    def __init__(self, data, certificate, key, *arguments, **options):
        self.tls_port = free_port()
        env = {"WEIR_TLS_CERTIFICATE": certificate, "WEIR_TLS_KEY": key}
        env.update(options.pop("env", None) or {})
        super().__init__(data, "--listen-tls", "127.0.0.1:%d" % self.tls_port, *arguments,
                         env=env, **options)
        self.certificate = certificate


class TlsConnection(Connection):
    """The strict client over TLS."""

    def __init__(self, port, context, timeout=20.0, session=None):
        super().__init__(port, timeout)
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost",
                                          session=session)


def context_for(certificate):
    context = ssl.create_default_context(cafile=certificate)
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsCase(Case):
    def tls_server(self, certificate, key, *arguments, **options):
        server = TlsServer(self.data(), certificate, key, *arguments, **options)
        self.addCleanup(self._end, server)
        return server

    def handshakes(self, server, outcome):
        return server.metrics().get('weir_tls_handshakes_total{outcome="%s"}' % outcome, 0)


class Speaks(SharedCase):
    """One server for all that leaves it as it was."""
    @classmethod
    def setUpClass(cls):
        os.makedirs(Settings.work, exist_ok=True)
        cls.certificates = os.path.join(Settings.work, "certificates-%d" % os.getpid())
        os.makedirs(cls.certificates, exist_ok=True)
        certificate, key = make_certificate(cls.certificates, "server")
        cls.shared_directory = cls.certificates
        cls.weir = TlsServer(os.path.join(cls.certificates, "data"), certificate, key,
                             env={"WEIR_LIMITS_HEADER_TIMEOUT": "800ms",
                                  "WEIR_LIMITS_BODY_TIMEOUT": "800ms"})
        try:
            cls.weir.start()
        except BaseException:
            cls.tearDownClass()
            raise

    def context(self):
        return context_for(self.weir.certificate)

    def connect(self, **options):
        return TlsConnection(self.weir.tls_port, self.context(), **options)

    def count(self, outcome):
        return self.weir.metrics().get('weir_tls_handshakes_total{outcome="%s"}' % outcome, 0)

    def s_client(self, *arguments, text=b"", wait=1.0):
        """openssl s_client with text on its input, which stays open for a while after it."""
        process = subprocess.Popen(["openssl", "s_client", "-connect",
                                    "127.0.0.1:%d" % self.weir.tls_port, "-CAfile",
                                    self.weir.certificate, *arguments], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        try:
            process.stdin.write(text)
            process.stdin.flush()
            # The end of its input makes it leave; what it is told comes before that.
            select.select([], [], [], wait)
            process.stdin.close()
            out = process.stdout.read()
            process.wait(20)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return out.decode(errors="replace")

    def test_curl_trusts_and_is_served(self):
        done = subprocess.run(["curl", "-sS", "--cacert", self.weir.certificate, "-w",
                               "%{http_code} %{ssl_verify_result}", "-o", "/dev/null",
                               "https://localhost:%d/readyz" % self.weir.tls_port],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30,
                              check=False)
        self.assertEqual(done.stdout.decode(), "200 0")

    def test_curl_refuses_who_is_not_trusted(self):
        done = subprocess.run(["curl", "-sS", "https://localhost:%d/readyz" % self.weir.tls_port],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30,
                              check=False)
        self.assertEqual(done.returncode, 60)
        self.assertIn("certificate", done.stdout.decode())

    def test_an_event_goes_in_and_comes_out(self):
        identifier = new_id()
        body = (b'{"event_id":"%s","event_type":"error","occurred_at":"2025-01-15T12:00:00.000Z",'
                b'"message":"over TLS","environment":"prod","severity":"error"}'
                % identifier.encode())
        with self.connect() as connection:
            posted = connection.request("POST", "/v1/events", body, {"X-API-Key": DEMO_KEY})
            self.assertEqual(posted.status, 202, posted)
            found = connection.request("GET", "/v1/events/" + identifier, None,
                                       {"X-API-Key": DEMO_KEY})
            self.assertEqual(found.json()["message"], "over TLS")
            self.assertEqual(connection.socket.version(), "TLSv1.2")
            self.assertEqual(connection.socket.selected_alpn_protocol(), "http/1.1")

    def test_keeps_a_connection_for_many_requests(self):
        before = self.count("full") + self.count("resumed")
        with self.connect() as connection:
            for _ in range(50):
                self.assertEqual(connection.request("GET", "/livez").status, 200)
        self.assertEqual(self.count("full") + self.count("resumed"), before + 1)

    def test_answers_pipelined_requests_in_order(self):
        with self.connect() as connection:
            paths = ["/livez", "/nowhere", "/readyz", "/healthz"] * 25
            connection.send(b"".join(render("GET", path) for path in paths))
            for path in paths:
                self.assertEqual(connection.read_response().status,
                                 404 if path == "/nowhere" else 200)

    def test_takes_a_big_batch_and_gives_big_answers(self):
        events = ",".join('{"event_type":"error","occurred_at":"2025-01-15T12:00:00.000Z",'
                          '"message":"%s","environment":"prod","severity":"error"}' % ("x" * 9000)
                          for _ in range(100))
        with self.connect() as connection:
            answer = connection.request("POST", "/v1/events/batch",
                                        ('{"events":[%s]}' % events).encode(),
                                        {"X-API-Key": DEMO_KEY})
            self.assertEqual(answer.status, 202, answer)
            metrics = connection.request("GET", "/metrics")
            self.assertGreater(len(metrics.body), 20000)

    def test_takes_a_body_that_comes_byte_by_byte(self):
        raw = render("POST", "/v1/events", b'{"event_type":1}', {"X-API-Key": DEMO_KEY})
        with self.connect() as connection:
            for byte in raw:
                connection.send(bytes([byte]))
            self.assertEqual(connection.read_response().status, 400)

    def test_many_clients_at_once(self):
        failed = []

        def client():
            try:
                with self.connect() as connection:
                    for _ in range(5):
                        if connection.request("GET", "/livez").status != 200:
                            failed.append("status")
            except Exception as error:  # pylint: disable=broad-except
                failed.append(repr(error))
        threads = [threading.Thread(target=client) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])

    def test_resumes_sessions(self):
        out = self.s_client("-tls1_2", "-reconnect")
        self.assertEqual(len(re.findall(r"(?m)^New, TLSv1.2", out)), 1, out)
        self.assertEqual(len(re.findall(r"(?m)^Reused, TLSv1.2", out)), 5, out)

    def test_resumes_a_session_of_python_too(self):
        context = self.context()
        with TlsConnection(self.weir.tls_port, context) as first:
            self.assertEqual(first.request("GET", "/livez").status, 200)
            session = first.socket.session
        before = self.count("resumed")
        with TlsConnection(self.weir.tls_port, context, session=session) as second:
            self.assertEqual(second.request("GET", "/livez").status, 200)
            self.assertTrue(second.socket.session_reused)
        self.assertEqual(self.count("resumed"), before + 1)

    def test_refuses_older_and_weaker_tls(self):
        before = self.count("failed")
        weak = ("-cipher", "DEFAULT:@SECLEVEL=0")
        for arguments, alert in (
                (("-tls1", *weak), "alert protocol version"),
                (("-tls1_1", *weak), "alert protocol version"),
                (("-tls1_3",), "alert handshake failure"),
                (("-tls1_2", "-cipher", "AES128-SHA"), "alert handshake failure"),
                (("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"), "alert handshake failure"),
                (("-tls1_2", "-alpn", "h2"), "alert no application protocol")):
            out = self.s_client(*arguments, wait=0.2)
            self.assertIn("Cipher is (NONE)", out, arguments)
            self.assertIn(alert, out, arguments)
        wait_until(lambda: self.count("failed") == before + 6, 10, "six handshakes have failed")

    def test_refuses_renegotiation(self):
        out = self.s_client("-tls1_2", text=b"R\n")
        self.assertIn("no renegotiation", out)

    def test_plain_http_gets_a_clear_end(self):
        before = self.count("plain")
        with Connection(self.weir.tls_port) as connection:
            answer = connection.request("GET", "/livez")
            self.assert_problem(answer, 400, "tls_required")
            self.assertIn("https", answer.json()["detail"])
            self.assertEqual(answer.header("connection"), "close")
            self.assertTrue(connection.is_closed())
        self.assertEqual(self.count("plain"), before + 1)

    def test_tls_on_the_plain_port_gets_an_end(self):
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            TlsConnection(self.weir.port, self.context())

    def test_a_slow_handshake_is_timed_out(self):
        before = self.count("timeout")
        for first in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
            with Connection(self.weir.tls_port) as connection:
                started = time.monotonic()
                if first:
                    connection.send(first)
                self.assertTrue(connection.is_closed())
                self.assertLess(time.monotonic() - started, 10)
        self.assertEqual(self.count("timeout"), before + 3)

    def test_garbage_gets_an_end(self):
        before = self.count("failed")
        for garbage in (b"\x00" * 100, b"\x16\x03\x01\x00\x04abcd", b"\x80\x2e\x01\x00\x02" * 20,
                        b"\x15\x03\x03\x00\x02\x02\x28", os.urandom(5000).replace(b"G", b"g")):
            with Connection(self.weir.tls_port) as connection:
                connection.send(b"\x17" + garbage if 65 <= garbage[0] <= 90 else garbage)
                connection.socket.shutdown(socket.SHUT_WR)
                try:
                    while connection.socket.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
        wait_until(lambda: self.count("failed") >= before + 5, 10, "five handshakes have failed")
        self.assertEqual(self.weir.request("GET", "/livez", key=None).status, 200)

    def test_says_farewell_when_it_closes(self):
        with self.connect() as connection:
            self.assertEqual(connection.request("GET", "/livez", None,
                                                {"Connection": "close"}).status, 200)
            # A farewell reads as an end; without one Python says that the stream was cut.
            self.assertEqual(connection.socket.recv(1), b"")

    def test_answers_a_farewell_with_its_own(self):
        before = self.weir.metric("weir_tls_truncated_total")
        connection = self.connect()
        self.assertEqual(connection.request("GET", "/livez").status, 200)
        raw = connection.socket.unwrap()
        self.assertEqual(raw.recv(1), b"")
        raw.close()
        self.assertEqual(self.weir.metric("weir_tls_truncated_total"), before)

    def test_counts_a_stream_that_was_cut_and_takes_no_half_request(self):
        before = self.weir.metric("weir_tls_truncated_total")
        accepted = self.weir.metrics().get('weir_events_total{outcome="accepted"}', 0)
        with self.connect() as connection:
            raw = render("POST", "/v1/events", b'{"event_type":"error"}',
                         {"X-API-Key": DEMO_KEY, "Content-Length": "400"})
            connection.send(raw)
            socket.socket.shutdown(connection.socket, socket.SHUT_WR)
            wait_until(lambda: self.weir.metric("weir_tls_truncated_total") == before + 1, 10,
                       "the cut is counted")
        self.assertEqual(self.weir.metrics().get('weir_events_total{outcome="accepted"}', 0),
                         accepted)

    def test_a_body_that_stalls_is_refused(self):
        with self.connect() as connection:
            connection.send(render("POST", "/v1/events", b"{",
                                   {"X-API-Key": DEMO_KEY, "Content-Length": "100"}))
            self.assert_problem(connection.read_response(), 408)
            self.assertEqual(connection.socket.recv(1), b"")


class Certificates(TlsCase):
    def speak(self, server, trusted):
        with TlsConnection(server.tls_port, context_for(trusted)) as connection:
            answer = connection.request("GET", "/livez")
            self.assertIsInstance(answer, Response)
            self.assertEqual(answer.status, 200)
            return connection.socket.cipher()[0], connection.socket.getpeercert(True)

    def test_an_rsa_key(self):
        certificate, key = make_certificate(self.directory, "rsa", RSA)
        server = self.tls_server(certificate, key).start()
        self.assertIn("ECDHE-RSA", self.speak(server, certificate)[0])

    def test_an_ec_key_in_its_own_format_with_parameters(self):
        private = os.path.join(self.directory, "p384.key")
        openssl("ecparam", "-name", "secp384r1", "-genkey", "-out", private)
        certificate = os.path.join(self.directory, "p384.pem")
        openssl("req", "-x509", "-new", "-key", private, "-out", certificate, "-subj",
                "/CN=localhost", "-addext", NAMES, "-days", "30")
        server = self.tls_server(certificate, private).start()
        self.assertIn("ECDHE-ECDSA", self.speak(server, certificate)[0])

    def test_a_chain_leads_to_a_root(self):
        root, chain, key = make_chain(self.directory)
        self.speak(self.tls_server(chain, key).start(), root)

    def test_only_tls(self):
        certificate, key = make_certificate(self.directory, "only")
        port = free_port()
        server = self.tls_server(certificate, key, env={"WEIR_SERVER_LISTEN": ""})
        server.arguments = [a for i, a in enumerate(server.arguments)
                            if "--listen" not in (a, server.arguments[i - 1])]
        server.port = port
        server.spawn()
        wait_until(lambda: "listening on https" in server.log(), 30, "it listens")
        self.assertNotIn("http://", server.log())
        self.speak(server, certificate)
        self.assertEqual(server.stop(), 0)

    def test_warns_of_a_certificate_that_has_expired_and_serves(self):
        certificate, key = make_expired(self.directory)
        server = self.tls_server(certificate, key).start()
        self.assertIn("the certificate has expired", server.log())
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.speak(server, certificate)

    def test_a_client_refuses_another_name(self):
        certificate, key = make_certificate(self.directory, "other",
                                            names="subjectAltName=DNS:other.test")
        server = self.tls_server(certificate, key).start()
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.speak(server, certificate)

    def test_drains_with_clients_that_are_idle_and_busy(self):
        certificate, key = make_certificate(self.directory, "drain")
        server = self.tls_server(certificate, key).start()
        with TlsConnection(server.tls_port, context_for(certificate)) as idle, \
                Connection(server.tls_port) as mute:
            self.assertEqual(idle.request("GET", "/livez").status, 200)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(idle.socket.recv(1), b"")  # its farewell
            self.assertTrue(mute.is_closed())

    def test_a_new_certificate_without_a_restart(self):
        old, old_key = make_certificate(self.directory, "server")
        server = self.tls_server(old, old_key, "--shards", "2").start()
        first = self.speak(server, old)[1]
        kept = TlsConnection(server.tls_port, context_for(old))
        self.assertEqual(kept.request("GET", "/livez").status, 200)
        make_certificate(self.directory, "server", RSA)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "the certificate is read again" in server.log(), 10, "it says so")
        for _ in range(10):
            self.assertNotEqual(self.speak(server, old)[1], first)
        self.assertEqual(kept.request("GET", "/livez").status, 200)
        kept.close()
        with open(old_key, "w", encoding="ascii") as file:
            file.write("nonsense\n")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "the certificate is refused" in server.log(), 10, "it says so")
        self.speak(server, old)
        self.assertEqual(server.stop(), 0)

    def test_resumes_on_another_shard(self):
        certificate, key = make_certificate(self.directory, "shards")
        server = self.tls_server(certificate, key, "--shards", "2").start()
        context = context_for(certificate)
        with TlsConnection(server.tls_port, context) as first:
            self.assertEqual(first.request("GET", "/livez").status, 200)
            session = first.socket.session
        for _ in range(16):
            with TlsConnection(server.tls_port, context, session=session) as again:
                self.assertEqual(again.request("GET", "/livez").status, 200)
                self.assertTrue(again.socket.session_reused)
        self.assertEqual(self.handshakes(server, "full"), 1)

    def test_a_session_ends_with_its_lifetime(self):
        certificate, key = make_certificate(self.directory, "lifetime")
        server = self.tls_server(certificate, key,
                                 env={"WEIR_TLS_SESSION_LIFETIME": "1s"}).start()
        context = context_for(certificate)
        with TlsConnection(server.tls_port, context) as first:
            self.assertEqual(first.request("GET", "/livez").status, 200)
            session = first.socket.session

        def is_made_anew():
            with TlsConnection(server.tls_port, context, session=session) as again:
                return not again.socket.session_reused
        wait_until(is_made_anew, 20, "the session is not resumed any more")

    def test_the_longest_idle_one_makes_room(self):
        certificate, key = make_certificate(self.directory, "room")
        server = self.tls_server(certificate, key, env={"WEIR_TLS_CONNECTIONS": "4"}).start()
        context = context_for(certificate)
        kept = []
        for _ in range(12):
            connection = TlsConnection(server.tls_port, context)
            self.addCleanup(connection.close)
            self.assertEqual(connection.request("GET", "/livez").status, 200)
            kept.append(connection)
        self.assertEqual(kept[-1].request("GET", "/livez").status, 200)
        self.assertEqual(kept[0].socket.recv(1), b"")
        self.assertGreaterEqual(server.metric("weir_http_connections_evicted_total"), 8)
        self.assertEqual(server.request("GET", "/livez", key=None).status, 200)

    def test_limits_count_only_with_tls(self):
        _, plain, _ = run_weir("serve", "--print-limits")
        self.assertNotIn("connections with TLS", plain)
        self.assertNotIn("TLS sessions", plain)
        certificate, key = make_certificate(self.directory, "limits")
        status, out, _ = run_weir("serve", "--print-limits", "--listen-tls", "127.0.0.1:1", env={
            "WEIR_TLS_CERTIFICATE": certificate, "WEIR_TLS_KEY": key})
        self.assertEqual(status, 0)
        self.assertIn("connections with TLS", out)
        self.assertIn("TLS sessions", out)


class Tools(TlsCase):
    """The commands that talk to a server, over https."""

    def start(self, certificate, key):
        return self.tls_server(certificate, key).start()

    def run_tool(self, server, *arguments, host="localhost", trusted=True, **options):
        count = 2 if arguments[0] in ("keys", "dlq") else 1
        return run_weir(*arguments[:count], "--url", "https://%s:%d" % (host, server.tls_port),
                        *(("--ca", server.certificate) if trusted else ()), *arguments[count:],
                        **options)

    def test_admin_commands(self):
        server = self.start(*make_certificate(self.directory, "server"))
        token = ("--admin-token", server.admin_token())
        for arguments in (("keys", "list"), ("dlq", "list"), ("doctor",)):
            status, out, err = self.run_tool(server, *arguments, *token)
            self.assertEqual((status, err), (0, ""), (arguments, out))
        status, out, err = self.run_tool(server, "keys", "create", "--org", "o", "--project", "p",
                                         *token)
        self.assertEqual(status, 0, err)
        self.assertIn("key ", out)

    def test_replay(self):
        server = self.start(*make_certificate(self.directory, "server", RSA))
        line = (b'{"event_type":"error","occurred_at":"2025-01-15T12:00:00.000Z","message":"%s",'
                b'"environment":"prod","severity":"error"}\n')
        lines = b"".join(line % (b"x" * (1 + 30 * n)) for n in range(300))
        status, out, err = self.run_tool(server, "replay", "-", "--key", DEMO_KEY, "--speed", "max",
                                         "--batch", "50", "--verify", stdin=lines)
        self.assertEqual(status, 0, (out, err))

    def test_says_whom_it_does_not_trust_and_why(self):
        server = self.start(*make_certificate(self.directory, "server"))
        token = ("--admin-token", server.admin_token())
        status, _, err = self.run_tool(server, "keys", "list", *token, trusted=False)
        self.assertEqual(status, 1)
        self.assertIn("--ca FILE says whom to trust", err)
        status, _, err = self.run_tool(server, "keys", "list", *token, host="127.0.0.1")
        self.assertEqual(status, 1)
        self.assertIn("does not bear the name", err)
        status, _, err = run_weir("keys", "list", "--url", "https://localhost:%d" % server.port,
                                  "--ca", server.certificate, *token)
        self.assertEqual(status, 1)
        self.assertIn("does not speak TLS", err)
        status, _, err = run_weir("keys", "list", "--url", "https://localhost:1", *token, "--ca",
                                  "/nowhere/ca.pem")
        self.assertEqual(status, 1)
        self.assertIn("/nowhere/ca.pem: No such file", err)
        status, _, err = run_weir("keys", "list", "--url", "https://localhost:%d" % free_port(),
                                  "--ca", server.certificate, *token)
        self.assertEqual(status, EX_UNAVAILABLE)

    def test_refuses_an_expired_certificate(self):
        server = self.start(*make_expired(self.directory))
        status, _, err = self.run_tool(server, "keys", "list", "--admin-token",
                                       server.admin_token())
        self.assertEqual(status, 1)
        self.assertIn("has expired", err)


class Mistakes(TlsCase):
    """Each ends with exit code 78 and a line that names the file and what is wrong."""

    def refused(self, certificate, key, *wanted, listen=True):
        status, _, err = run_weir(
            "serve", "--data", self.data(), "--unsafe-storage", "--listen", "127.0.0.1:0",
            *(("--listen-tls", "127.0.0.1:0") if listen else ()),
            env={"WEIR_TLS_CERTIFICATE": certificate, "WEIR_TLS_KEY": key})
        self.assertEqual(status, EX_CONFIG, err)
        for text in wanted:
            self.assertIn(text, err)

    def path(self, name, content=""):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(content)
        return path

    def test_settings_that_do_not_fit_together(self):
        self.refused("", "", "[server] listen_tls needs [tls] certificate and key")
        self.refused("a.pem", "", "[tls] certificate and key go together")
        self.refused("", "a.key", "[tls] certificate and key go together")
        self.refused("a.pem", "a.key", "nothing listens for https", listen=False)

    def test_files_that_are_not_there(self):
        certificate, key = make_certificate(self.directory, "good")
        self.refused("/nowhere/a.pem", key, "certificate /nowhere/a.pem: cannot be read: No such")
        self.refused(certificate, "/nowhere/a.key", "key /nowhere/a.key: cannot be read: No such")
        self.refused(self.directory, key, "certificate %s: cannot be read: Is a directory"
                     % self.directory)

    def test_files_that_hold_something_else(self):
        certificate, key = make_certificate(self.directory, "good")
        empty = self.path("empty")
        self.refused(empty, key, "certificate %s: holds no PEM certificate" % empty)
        self.refused(certificate, empty, "key %s: holds no PEM private key" % empty)
        self.refused(key, key, "certificate %s: holds no PEM certificate" % key)
        self.refused(certificate, certificate, "key %s: holds no PEM private key" % certificate)
        with open(certificate, encoding="ascii") as file:
            text = file.read()
        cut = self.path("cut", text[:len(text) // 2])
        self.refused(cut, key, "certificate %s: the PEM is broken" % cut)
        wrong = self.path("wrong", "-----BEGIN CERTIFICATE-----\nAAAA\n"
                                   "-----END CERTIFICATE-----\n")
        self.refused(wrong, key, "certificate %s: its first certificate is broken" % wrong)
        many = self.path("many", text * 9)
        self.refused(many, key, "certificate %s: more than 8 certificates" % many)
        huge = self.path("huge", "x" * 300000)
        self.refused(huge, key, "certificate %s: cannot be read: File too large" % huge)

    def test_a_key_of_another_certificate(self):
        certificate, _ = make_certificate(self.directory, "one")
        for kind, options in (("ec", EC), ("rsa", RSA)):
            _, other = make_certificate(self.directory, "other-" + kind, options)
            self.refused(certificate, other, "key %s: is not that of the first certificate in %s"
                         % (other, certificate))

    def test_keys_that_cannot_be_used(self):
        certificate, key = make_certificate(self.directory, "good")
        for name, arguments in (("pkcs8", ("pkcs8", "-topk8", "-in", key)),
                                ("ec", ("ec", "-aes128", "-in", key))):
            locked = os.path.join(self.directory, name)
            done = openssl(*arguments, "-passout", "pass:secret", "-out", locked)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.refused(certificate, locked, "key %s: is encrypted" % locked)
        weak, weak_key = make_certificate(self.directory, "weak", ("-newkey", "rsa:1024"))
        self.refused(weak, weak_key, "RSA of 1024 bits; 2048 to 4096 are needed")
        modern = os.path.join(self.directory, "ed25519.key")
        openssl("genpkey", "-algorithm", "ed25519", "-out", modern)
        self.refused(certificate, modern, "key %s: is no RSA or EC private key" % modern)
