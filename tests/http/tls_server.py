#!/usr/bin/env python3
"""TLS server: what tests/http/test_client_tls.c talks to.

usage: tls_server.py DIRECTORY [--peers]

Makes certificates with openssl in DIRECTORY (ca.pem is the one to trust), listens on
127.0.0.1, one port for each kind of server, prints "kind port" lines, then "ready", and
serves until its standard input ends.

Kinds: good, rsa (another key type), expired, other (another name), self (self-signed),
client (wants a certificate of ours), modern (TLS 1.3 only), old (TLS 1.1 only),
mute (accepts and says nothing), chatty (says something that is no TLS),
plain (HTTP without TLS).

With --peers instead: nginx and sserver (openssl s_server), each also as -expired, -other
and -self; GET /hello, /large (a file of 200,000 bytes, with its length); of sserver /half
(its length is a lie); of nginx /close (ends the connection) and /reused ("r" or "."). The
port is 0 where the program is not installed.

GET /hello            "hello"            POST /echo   the body
GET /until-close      no length, with a farewell
GET /cut              no length, without a farewell
GET /half             a length, cut in the middle, without a farewell
GET /large            200,000 bytes in chunks
GET /reused           whether this connection resumed a session: "True", "False"
"""
import ctypes
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def make_certificate(kind, name, key=EC, days="30"):
    openssl("req", *key, "-nodes", "-keyout", kind + ".key", "-out", kind + ".csr",
            "-subj", "/CN=" + kind)
    with open(kind + ".ext", "w") as file:
        file.write("subjectAltName=DNS:%s\n" % name)
    openssl("x509", "-req", "-in", kind + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", kind + ".pem", "-days", days, "-extfile", kind + ".ext")


def make_certificates():
    openssl("req", "-x509", *EC, "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", "/CN=Test CA", "-days", "30")
    make_certificate("good", "good.test")
    make_certificate("rsa", "good.test", ["-newkey", "rsa:2048"])
    make_certificate("expired", "good.test", days="-1")
    make_certificate("other", "other.test")
    openssl("req", "-x509", *EC, "-nodes", "-keyout", "self.key", "-out", "self.pem",
            "-subj", "/CN=good.test", "-addext", "subjectAltName=DNS:good.test", "-days", "30")


def read_request(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = stream.recv(1)
        if not byte:
            return None, b""
        head += byte
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    body = b""
    while len(body) < length:
        piece = stream.recv(length - len(body))
        if not piece:
            return None, b""
        body += piece
    return head.split(b" ")[1].decode(), body


def answer(stream, body):
    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def serve(raw, context):
    with raw:
        stream = context.wrap_socket(raw, server_side=True) if context else raw
        while True:
            path, body = read_request(stream)
            if path is None:
                return
            if path == "/echo":
                answer(stream, body)
            elif path == "/reused":
                answer(stream, str(stream.session_reused).encode())
            elif path == "/until-close":
                stream.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")
                stream.unwrap()
                return
            elif path == "/cut":
                stream.sendall(b"HTTP/1.1 200 OK\r\n\r\nperhaps all")
                return
            elif path == "/half":
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                return
            elif path == "/large":
                stream.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in range(20):
                    stream.sendall(b"2710\r\n" + b"l" * 10000 + b"\r\n")
                stream.sendall(b"0\r\n\r\n")
            else:
                answer(stream, b"hello")


def serve_quietly(raw, context):
    try:
        serve(raw, context)
    except (OSError, ValueError):
        pass  # the test looks at what the client makes of it


def accept(listener, context, kind):
    kept = []
    while True:
        raw, _ = listener.accept()
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if kind == "chatty":
            raw.sendall(b"220 smtp.example.com ESMTP\r\n")
        if kind in ("mute", "chatty"):
            kept.append(raw)
        else:
            threading.Thread(target=serve_quietly, args=(raw, context), daemon=True).start()


def make_context(certificate, oldest, newest):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = oldest
    context.maximum_version = newest
    context.load_cert_chain(certificate + ".pem", certificate + ".key")
    context.set_alpn_protocols(["http/1.1"])
    # Without tickets a session has an id, and that is what BearSSL can resume.
    context.options |= ssl.OP_NO_TICKET
    return context


PEER_CERTIFICATES = {"": "good", "-expired": "expired", "-other": "other", "-self": "self"}
NGINX = """daemon off; master_process off; worker_processes 1; pid nginx.pid;
error_log nginx.log crit;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;
    scgi_temp_path t5;
    ssl_session_tickets off;
    ssl_session_cache shared:all:1m;
    %s
}
"""
NGINX_SERVER = """server {
        listen 127.0.0.1:%d ssl;
        ssl_certificate %s/%s.pem;
        ssl_certificate_key %s/%s.key;
        root %s/files;
        location = /hello { return 200 "hello"; }
        location = /close { keepalive_timeout 0; return 200 "bye"; }
        location = /reused { return 200 "$ssl_session_reused"; }
    }
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def spawn(*command):
    """A process that ends with this one, however that ends."""
    def follow():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, preexec_fn=follow)


def write_files():
    os.makedirs("files/s", exist_ok=True)
    with open("files/large", "wb") as file:
        file.write(b"l" * 200000)
    for name, length, body in (("hello", 5, b"hello"), ("half", 100, b"half"),
                               ("large", 200000, b"l" * 200000)):
        with open("files/s/" + name, "wb") as file:
            file.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body)


def start_peers():
    """[(kind, port)] and the processes."""
    here = os.getcwd()
    ports, processes, servers = [], [], ""
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    write_files()
    for suffix, name in PEER_CERTIFICATES.items():
        port = free_port() if nginx else 0
        ports.append(("nginx" + suffix, port))
        servers += NGINX_SERVER % (port, here, name, here, name, here)
        port = free_port()
        ports.append(("sserver" + suffix, port))
        os.chdir("files/s")
        processes.append(spawn("openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-cert",
                               "../../%s.pem" % name, "-key", "../../%s.key" % name, "-tls1_2",
                               "-HTTP", "-quiet"))
        os.chdir(here)
    if nginx:
        with open("nginx.conf", "w") as file:
            file.write(NGINX % servers)
        processes.append(spawn(nginx, "-c", os.path.join(here, "nginx.conf"), "-p", here))
    return ports, processes


def wait_for(port):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit("nobody listens on port %d" % port)


def serve_peers():
    ports, processes = start_peers()
    for kind, port in ports:
        if port:
            wait_for(port)
        print(kind, port)
    print("ready", 0, flush=True)
    sys.stdin.read()
    for process in processes:
        process.kill()
        process.wait()


def main():
    os.chdir(sys.argv[1])
    make_certificates()
    if "--peers" in sys.argv:
        serve_peers()
        return
    twelve, thirteen = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    contexts = {kind: make_context(kind, twelve, thirteen)
                for kind in ("good", "rsa", "expired", "other", "self")}
    contexts["client"] = make_context("good", twelve, thirteen)
    contexts["client"].verify_mode = ssl.CERT_REQUIRED
    contexts["client"].load_verify_locations("ca.pem")
    contexts["modern"] = make_context("good", thirteen, thirteen)
    contexts["old"] = make_context("good", ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1)
    contexts["mute"] = contexts["chatty"] = contexts["plain"] = None
    for kind, context in contexts.items():
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=accept, args=(listener, context, kind),
                         daemon=True).start()
        print(kind, listener.getsockname()[1])
    print("ready", 0, flush=True)
    sys.stdin.read()


main()
