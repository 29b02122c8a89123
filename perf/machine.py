"""What the side-by-side measurements share: servers to start and stop, and the machine's name.

Every server runs on SERVER_CORE, every load program on CLIENT_CORE; both listen and speak on
127.0.0.1 only, and each is stopped by its own pid.
"""
import importlib.machinery
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SERVER_CORE, CLIENT_CORE = "0", "1"
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
DISK_INTERRUPT = re.compile(r"virtio\d+-req|nvme\d+q|blkif|ahci")
BUSY_MAX = 0.3  # of each core, by anybody else
EX_TRY_AGAIN = 75
QUIET = {"WEIR_DEMO_TRAFFIC": "false"}  # what is measured is what we send

NGINX_CONFIG = """daemon off;
master_process off;
worker_processes 1;
pid %(dir)s/pid;
error_log %(dir)s/error.log crit;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_max_body_size 2m;
    client_body_buffer_size 128k;
    %(temporary)s
    server {
        listen 127.0.0.1:%(port)d;
        %(locations)s
    }
}
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def cores_by_disk():
    """The two cores, the one first that disks interrupt more.

    A server that writes belongs there when what counts is when requests are sent: else the
    kernel's work for the disk delays the generator, and the generator that work."""
    cores = [SERVER_CORE, CLIENT_CORE]
    with open("/proc/interrupts", encoding="utf-8") as file:
        names = file.readline().split()
        counts = [line.split()[1:len(names) + 1] for line in file if DISK_INTERRUPT.search(line)]
    return sorted(cores, reverse=True,
                  key=lambda core: sum(int(row[names.index("CPU" + core)]) for row in counts))


def load_script(path):
    """A script of this directory, which has no .py, as a module."""
    name = "perf_" + path.replace("/", "_")
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(ROOT, "perf", path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def wait_for_quiet(seconds):
    """True when the machine is quiet, now or so much later."""
    deadline = time.monotonic() + seconds
    while os.getloadavg()[0] / os.cpu_count() > BUSY_MAX:
        if time.monotonic() >= deadline:
            return False
        time.sleep(5)
    return True


def get(port, path):
    with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=10) as answer:
        return answer.read().decode()


def read_line(command, default="unknown"):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False, text=True, cwd=ROOT)
        return done.stdout.strip().split("\n")[0] or default
    except OSError:
        return default


def stolen_ticks():
    """(stolen, all) ticks of all cores since boot."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(value) for value in file.readline().split()[1:]]
    return fields[7], sum(fields[:8])


def stat_fields(pid):
    """The fields of /proc/PID/stat from the third on, which is the state."""
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def machine_lines(work, weir):
    """Two lines on the machine and one on the tree, for the head of a table."""
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    dirty = read_line(["git", "status", "--porcelain", "--untracked-files=no"], "")
    return [
        "- machine: %s, %d cores, kernel %s, load %.2f" % (
            model, os.cpu_count(), os.uname().release, os.getloadavg()[0]),
        "- disk: %s" % read_line(["findmnt", "-n", "-o", "SOURCE,FSTYPE,OPTIONS", "-T", work]),
        "- weir: %s; commit %s%s" % (
            read_line([weir, "--version"]) if weir else "not run",
            read_line(["git", "rev-parse", "--short", "HEAD"]), " and changes" if dirty else ""),
    ]


class Server:
    """A server process on one core with a directory of its own; subclasses say which.

    They give `name`, `command()` and `is_ready()`; and may change the fields below."""

    stop_signal = signal.SIGTERM
    user = None
    pinned = True
    environment = {}  # beside ours
    start_seconds_max = START_SECONDS_MAX
    poll_seconds = 0.05

    def __init__(self, work, core=SERVER_CORE):
        self.core = core
        self.directory = tempfile.mkdtemp(prefix=self.name + "-", dir=work)
        self.port = free_port()
        self.log = open(os.path.join(self.directory, "log"), "wb")
        self.start()

    def start(self):
        """Starts the process, the first or after the last one has ended, and waits for it."""
        pin = ["taskset", "-c", self.core] if self.pinned else []
        self.process = subprocess.Popen(
            pin + self.command(), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, **QUIET, **self.environment}, user=self.user)
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def wait_ready(self):
        deadline = time.monotonic() + self.start_seconds_max
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.flush()
                with open(self.log.name, encoding="utf-8", errors="replace") as file:
                    sys.exit("%s did not start:\n%s" % (self.name, file.read()[-2000:]))
            time.sleep(self.poll_seconds)

    def stop(self):
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def cpu_seconds(self):
        fields = stat_fields(self.process.pid)
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class HttpServer(Server):
    """One that is ready when it answers `ready_path`."""

    def is_ready(self):
        try:
            get(self.port, self.ready_path)
            return True
        except OSError:
            return False


class Weir(HttpServer):
    """weir with one shard, in demo mode, with an empty data directory."""

    name = "weir"
    ready_path = "/readyz"
    binary = None

    def command(self):
        return [self.binary, "serve", "--demo", "--shards", "1", "--data",
                os.path.join(self.directory, "data"), "--listen", "127.0.0.1:%d" % self.port]


class Nginx(HttpServer):
    """One worker that answers 202 to anything, without reading it or writing anything down."""

    name = "nginx"
    ready_path = "/ready"
    locations = "location / { return 202; }"

    def command(self):
        path = os.path.join(self.directory, "nginx.conf")
        temporary = "\n    ".join("%s_temp_path %s/%s;" % (name, self.directory, name) for name in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(path, "w", encoding="ascii") as file:
            file.write(NGINX_CONFIG % {"dir": self.directory, "port": self.port,
                                       "temporary": temporary, "locations": self.locations})
        return ["nginx", "-c", path, "-e", os.path.join(self.directory, "error.log")]

    def url(self):
        return "http://127.0.0.1:%d/x" % self.port
