"""kill -9 while jobs are enqueued, leased, completed, failed and cancelled.

One round: start (recovery runs, and sometimes is killed itself), ask what became of whatever
was not answered, try epochs of the start before, take back what was leased, repeat requests,
then let producers, workers and somebody who cancels loose on several projects, and kill.

What must hold: no acknowledged job is lost or ends twice; none is leased again after its
acknowledged end, by two at a time, out of the order of its key or before what it comes after;
a repeated request is the same jobs; a kill uses no attempt, and what was leased is there for
the first lease after the start; a queue's numbers add up; the journal verifies.
"""
import json
import os
import random
import shutil
import sys
import threading
import time

from harness import ORG, Case, Server, Settings, wait_until
from http_client import Closed, Connection, render
from job_world import Job, Lane, LIVE, Order, World
from journal_dump import verify

PROJECTS = ("proj_a", "proj_b", "proj_c", "proj_d")
KINDS = ("mail", "keyed", "flow")
WORKERS = 2     # per project
LANES = 3       # per project
BACKLOG = 150   # live jobs per project above which its producer rests
GOALS = (0, 50, 200, 600, 1500)
ROUNDS, ROUNDS_LONG = 8, 300
DRAINS, DRAINS_LONG = 3, 40
RECLAIMS_LONG = 60
DIRECTORY_ROUNDS = 60
SECONDS_MAX, SECONDS_LONG_MAX = 300, 3000
EXPIRING_EVERY = 25  # with --long, a round that is longer than the shortest lease

# Small segments, so that rounds rotate, reclaim and carry jobs forward.
SETTINGS = {"WEIR_JOURNAL_SEGMENT_BYTES": "1MiB", "WEIR_JOBS_PAYLOAD_BYTES": "64KiB",
            "WEIR_LIMITS_EVENT_BYTES": "64KiB"}


class Client(threading.Thread):
    """One connection that goes on until it fails: then the server was killed, or stops."""

    def __init__(self, case, project, seed):
        super().__init__(daemon=True)
        self.world, self.port, self.project = case.world, case.server.port, project
        self.key, self.random = case.keys[project], random.Random(seed)
        self.answers, self.connection = 0, None

    def run(self):
        try:
            with Connection(self.port, timeout=60) as self.connection:
                while not self.world.bad and self.step() is not False:
                    pass
        except (OSError, Closed):
            return
        except Exception as error:  # pylint: disable=broad-except
            self.world.wrong("%s: %r" % (type(self).__name__, error))
            raise

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        return self.ask_raw(render(method, path, data, {"X-API-Key": self.key}))

    def ask_raw(self, raw):
        response = self.connection.request_raw(raw)
        self.answers += 1
        return response


class Producer(Client):
    def __init__(self, case, project, seed):
        super().__init__(case, project, seed)
        self.lanes, self.unanswered, self.orders = case.lanes[project], None, []
        self.paddings, self.has_keys = case.paddings, not case.forgets

    def step(self):
        while self.world.live_count(self.project) > BACKLOG and not self.world.bad:
            time.sleep(0.005)
            if self.connection.socket.fileno() < 0 or self.is_gone():
                return False
        self.unanswered = order = self.make()
        self.world.add(order)
        response = self.ask_raw(order.raw())
        self.unanswered = None
        if response.status == 202:
            self.world.take_order(order, response)
            self.orders += [order] if order.is_keyed else []
        elif response.status in (429, 503):
            self.world.refuse(order)
        else:
            self.world.wrong("enqueue: %r" % response)
        return True

    def is_gone(self):
        """Looks for the end of the connection without a request."""
        self.connection.socket.setblocking(False)
        try:
            return self.connection.socket.recv(1) == b""
        except BlockingIOError:
            return False
        finally:
            self.connection.socket.settimeout(60)

    def job(self, kind, **options):
        padding = self.random.choice(self.paddings)
        return Job(self.project, kind, "%032x" % self.random.getrandbits(128),
                   max_attempts=self.random.choice((1, 2, 3, 8)), padding=padding, **options)

    def make(self):
        form = self.random.random()
        if form < 0.15:
            return self.order([self.job("mail", delay_ms=self.random.randrange(1, 2000))])
        if form < 0.40:
            return self.order([self.job("keyed", lane=self.random.choice(self.lanes))])
        if form < 0.55:
            jobs = [self.job("mail", delay_ms=self.random.choice((0, 0, 300)))
                    for _ in range(self.random.choice((1, 3, 10)))]
            return self.order(jobs, "batch")
        if form < 0.70:
            first = self.job("flow")
            second = self.job("flow", after=(first,), on_failure="fail")
            third = self.job("flow", after=(first, second),
                             on_failure=self.random.choice(("fail", "continue")))
            return self.order([first, second, third], "flow")
        return self.order([self.job("mail")], is_keyed=form < 0.95)

    def order(self, jobs, form="single", is_keyed=True):
        return Order(self.project, self.key, jobs, form, is_keyed and self.has_keys)


class Worker(Client):
    """Takes, reports in one of three ways, sometimes fails, sometimes forgets."""
    waits = (0, 0.05, 0.5, 30)
    is_expiring = False

    def __init__(self, case, project, seed):
        super().__init__(case, project, seed)
        self.handed = case.handed[project]
        self.outcomes = []

    def step(self):
        try:
            leases = [self.handed.pop()]
        except IndexError:
            leases = self.lease()
        outcomes = [one for one in map(self.handle, leases) if one is not None]
        way = self.random.randrange(3)
        if way == 0:
            for one in outcomes:
                self.report(one)
        elif way == 1 and outcomes:
            self.report_many(outcomes)
        else:
            self.outcomes += outcomes
        return True

    def lease(self):
        kind = self.random.choice(KINDS)
        seconds = 5 if self.is_expiring else self.random.choice((60, 3600))
        body = {"limit": self.random.choice((1, 5, 20)), "lease_seconds": seconds,
                "wait_seconds": 0 if self.outcomes else self.random.choice(self.waits)}
        reported, self.outcomes = self.outcomes[:100], self.outcomes[100:]
        if reported:
            body["complete"] = [outcome for _, _, outcome in reported]
        self.asking(reported)
        stamp = self.world.tick()
        response = self.ask("POST", "/v1/jobs/%s/lease" % kind, body)
        if response.status != 200:
            self.refused(reported, response)
            return []
        answer = response.json()
        self.answered(reported, answer.get("completed", []))
        leases = [self.world.take_leased(self.project, kind, found, seconds, stamp)
                  for found in answer["jobs"]]
        return [lease for lease in leases if lease is not None]

    def handle(self, lease):
        """(lease, what, the outcome as it is sent), or None: it is left as it is."""
        outcome = {"id": lease.job.id, "epoch": str(lease.epoch)}
        chance = self.random.random()
        if chance < 0.04:
            return None
        if chance < 0.08:
            self.extend(lease)
        if chance < 0.20:
            outcome.update(error="not now", retry_after_seconds=self.random.choice((0, 0.2, 1)))
            return lease, "fail", outcome
        if chance < 0.23:
            outcome.update(error="never", retryable=False)
            return lease, "fatal", outcome
        outcome["result"] = {"epoch": str(lease.epoch)}
        return lease, "complete", outcome

    def extend(self, lease):
        body = {"epoch": str(lease.epoch), "lease_seconds": 3600, "progress": {"half": True}}
        response = self.ask("POST", "/v1/jobs/%s/extend" % lease.job.id, body)
        if response.status == 200:
            lease.until_ms += 3600 * 1000
        elif response.status not in (429, 503) and not lease.job.was_cancelled \
                and not lease.is_over():
            self.world.wrong("extend: %r: %r" % (response, lease.job))

    def report(self, one):
        lease, what, outcome = one
        self.asking([one])
        verb = "complete" if what == "complete" else "fail"
        body = {name: value for name, value in outcome.items() if name != "id"}
        response = self.ask("POST", "/v1/jobs/%s/%s" % (lease.job.id, verb), body)
        if response.status == 200:
            self.answered([one], [{"id": lease.job.id, "status": verb + (
                "d" if verb == "complete" else "ed")}])
            self.check_state(lease, response.json())
        elif response.status == 409:
            code = response.json()["code"]
            self.answered([one], [{"id": lease.job.id,
                                   "status": {"job_busy": "busy"}.get(code, code)}])
        else:
            self.refused([one], response)

    def check_state(self, lease, answer):
        job = lease.job
        with self.world.lock:
            if answer["duplicate"] or (job.end and answer["state"] != job.end
                                       and not job.was_cancelled):
                self.world.wrong("answered %r: %r" % (answer, job))

    def report_many(self, outcomes):
        self.asking(outcomes)
        response = self.ask("POST", "/v1/jobs/complete",
                            {"jobs": [outcome for _, _, outcome in outcomes]})
        if response.status == 200:
            self.answered(outcomes, response.json()["jobs"])
        else:
            self.refused(outcomes, response)

    def asking(self, outcomes):
        for lease, what, _ in outcomes:
            self.world.ask(lease, what)

    def answered(self, outcomes, answers):
        if [answer["id"] for answer in answers] != [outcome["id"] for _, _, outcome in outcomes]:
            self.world.wrong("outcomes %r answered as %r" % (outcomes, answers))
        for (lease, _, _), answer in zip(outcomes, answers):
            self.world.told(lease, answer["status"])

    def refused(self, outcomes, response):
        if response.status not in (429, 503):
            self.world.wrong("lease or outcome: %r" % response)
        for lease, _, _ in outcomes:
            self.world.unask(lease)


class Finisher(Worker):
    """Completes all there is, until it is told that nothing is left."""
    waits = (0.1,)

    def __init__(self, case, project, seed):
        super().__init__(case, project, seed)
        self.case = case

    def step(self):
        return super().step() and not self.case.is_drained

    def handle(self, lease):
        return lease, "complete", {"id": lease.job.id, "epoch": str(lease.epoch), "result": 1}


class Canceller(Client):
    def step(self):
        time.sleep(0.01)
        with self.world.lock:
            known = [job for job in self.world.recent
                     if job.project == self.project and job.end is None]
        if not known:
            return not self.ask("GET", "/livez").status != 200
        job = self.random.choice(known)
        self.world.ask_cancel(job)
        self.world.told_cancel(job, self.ask("POST", "/v1/jobs/%s/cancel" % job.id))
        return True


class Waiter(Client):
    """Waits once for a job that never comes."""
    found = None

    def step(self):
        self.found = self.ask("POST", "/v1/jobs/idle/lease", {"wait_seconds": 30})
        return False


class JobsCase(Case):
    forgets = False
    settings = SETTINGS
    paddings = (0, 0, 0, 0, 10, 10, 200, 200, 5000, 40000)
    round_seconds = 0  # at least

    def setUp(self):
        super().setUp()
        self.random, self.goals = random.Random(Settings.seed), []
        self.done = self.recoveries_killed = self.requests = self.known = 0
        self.redelivered = self.repeated = self.stale = self.settled = self.expired = 0
        self.made_anew = self.reclaimed = 0
        self.start_seconds, self.redelivery_requests = 0.0, 0
        self.deadline = time.monotonic() + (SECONDS_LONG_MAX if Settings.long else SECONDS_MAX)

    def live_and_die(self, rounds, ends):
        """The rounds of one data directory, each ended by the next of `ends`."""
        data = self.data("data-%d" % self.done)
        self.server = Server(data, "--shards", "2", binary=Settings.fast_weir, env=self.settings)
        self.addCleanup(self._end, self.server)
        self.world, self.orders, self.unanswered = World(self.forgets), [], []
        self.handed = {project: [] for project in PROJECTS}
        self.lanes = {project: [Lane("%s-%d" % (project, n)) for n in range(LANES)]
                      for project in PROJECTS}
        self.world.lanes = [lane for lanes in self.lanes.values() for lane in lanes]
        self.server.start(60)
        self.keys = {project: self.make_key(project) for project in PROJECTS}
        self.died_ms = 0
        for number in range(rounds):
            if number > 0:
                self.start(number)
            self.take_stock()
            self.work(ends[self.done % len(ends)])
            self.done += 1
            if self.done % 10 == 0:
                self.show_progress()
            self.assertLess(time.monotonic(), self.deadline, "only %d rounds in time" % self.done)
        self.start(rounds)
        self.take_stock()
        self.drain()
        self.check_all()
        self.assertEqual(self.server.stop(60), 0, self.server.log_tail())
        errors = [line for line in self.server.log().split("\n")
                  if '"level":"error"' in line and '"component":"watchdog"' not in line]
        self.assertEqual(errors, [], "the server itself, or its auditor, met something wrong")
        clean, said = verify(data, Settings.fast_weir)
        self.assertTrue(clean, said)
        self.known += len(self.world.by_id)
        self.expired += self.world.expired
        shutil.rmtree(data)

    def make_key(self, project):
        response = self.server.admin("POST", "/v1/admin/keys", {
            "org_id": ORG, "project_id": project, "scopes": ["ingest", "read", "admin"]})
        self.assertEqual(response.status, 201, response)
        return response.json()["key"]

    def where(self):
        return "round %d (seed %d)" % (self.done + 1, Settings.seed)

    def check(self):
        self.assertEqual(self.world.bad[:5], [], self.where() + "\n" + self.server.log_tail(2000))

    # --- a start and what it is asked ------------------------------------------------

    def start(self, number):
        if number % 4 == 3:
            # As in test_kill.py: a share of how long the last start took; it may come too late.
            self.server.spawn()
            time.sleep(self.random.random() * self.start_seconds)
            self.recoveries_killed += self.is_starting()
            self.server.kill()
        began = time.monotonic()
        self.server.start(60)
        self.start_seconds = time.monotonic() - began

    def is_starting(self):
        try:
            return self.server.request("GET", "/readyz").status != 200
        except (OSError, Closed):
            return True

    def take_stock(self):
        """What the server says about everything that the clients know, right after its start."""
        leases, doubtful = self.world.begin(self.died_ms)
        with self.server.connect(60) as self.connection:
            self.settle(doubtful)
            known = list(self.world.by_id.values())
            for job in self.random.sample(known, min(40, len(known))):
                self.world.check_shown(job, self.look(job))
            self.check_queues(False)
            self.try_old_epochs(leases)
            self.take_back(leases)
            self.try_old_epochs(leases)
            self.repeat()
            self.check_queues(True)
        self.check()

    def ask(self, project, method, path, body=None):
        self.requests += 1
        data = None if body is None else json.dumps(body).encode()
        return self.connection.request(method, path, data, {"X-API-Key": self.keys[project]})

    def look(self, job):
        """The job as GET shows it; None when there is none."""
        response = self.ask(job.project, "GET", "/v1/jobs/" + job.id)
        self.assertIn(response.status, (200, 404), "%s: %r: %r" % (self.where(), job, response))
        return response.json() if response.status == 200 else None

    def settle(self, doubtful):
        """Those first that others come after: their ends explain the others'."""
        for job in sorted(doubtful, key=lambda job: len(job.after)):
            self.world.settle(job, self.look(job))
        self.settled += len(doubtful)
        self.check()

    def check_queues(self, is_all_leased):
        """A queue's numbers add up, and are those of the jobs that we know."""
        for project in PROJECTS:
            for kind in KINDS:
                must, may, unknown = self.world.expect(project, kind)
                response = self.ask(project, "GET", "/v1/queues/" + kind)
                if response.status == 404 and not must:
                    continue
                self.assertEqual(response.status, 200, response)
                queue = response.json()
                counts = dict(queue["counts"])
                where = "%s: %s %s: %r of %r and %d" % (self.where(), project, kind, queue, must,
                                                        unknown)
                if self.forgets:
                    self.assertGreaterEqual(queue["accepted"], sum(counts.values()), where)
                else:
                    self.assertEqual(queue["accepted"], sum(counts.values()), where)
                self.assertTrue(is_all_leased or counts["leased"] == 0, where)
                counts["live"] = sum(counts.pop(state) for state in LIVE + ("leased",))
                for state, count in counts.items():
                    # One that nobody has heard of can be dead with one that was leased.
                    slack = unknown if state in ("live", "dead") else 0
                    if not self.forgets or state not in ("completed", "cancelled"):
                        self.assertGreaterEqual(count, must[state], where)
                    self.assertLessEqual(count, may[state] + slack, where)
                if self.forgets:
                    continue
                total = sum(must.values()) + may["live"] - must["live"]
                self.assertGreaterEqual(queue["accepted"], total, where)
                self.assertLessEqual(queue["accepted"], total + unknown, where)

    def try_old_epochs(self, leases):
        """Workers that slept through the kill: nothing of what they say counts."""
        for lease in self.random.sample(leases, min(12, len(leases))):
            path, epoch = "/v1/jobs/" + lease.job.id, {"epoch": str(lease.epoch)}
            verb, body = self.random.choice((
                ("/complete", {}), ("/fail", {"error": "late"}), ("/extend", {})))
            response = self.ask(lease.job.project, "POST", path + verb, dict(epoch, **body))
            self.assert_problem(response, 409, "stale_epoch")
            response = self.ask(lease.job.project, "POST", "/v1/jobs/complete",
                                {"jobs": [dict(epoch, id=lease.job.id)]})
            self.assertEqual((response.status, response.json()["jobs"]),
                             (200, [{"id": lease.job.id, "status": "stale_epoch"}]))
            self.stale += 2

    def take_back(self, leases):
        """All that was leased when the process died is there for who asks first."""
        for project in PROJECTS:
            del self.handed[project][:]
            for kind in KINDS:
                missing = {lease.job.id for lease in leases
                           if (lease.job.project, lease.job.kind) == (project, kind)}
                self.redelivered += len(missing)
                while missing:
                    stamp = self.world.tick()
                    response = self.ask(project, "POST", "/v1/jobs/%s/lease" % kind, {
                        "limit": 100, "lease_seconds": 600})
                    self.assertEqual(response.status, 200, response)
                    self.redelivery_requests += 1
                    found = response.json()["jobs"]
                    self.assertNotEqual(found, [], "%s: not leased again: %r" % (
                        self.where(), [self.world.by_id[one] for one in missing]))
                    for one in found:
                        self.handed[project].append(self.world.take_leased(
                            project, kind, one, 600, stamp))
                        missing.discard(one["id"])
                    self.check()

    def repeat(self):
        """What a client does that heard nothing, and one that did not believe what it heard."""
        answered = self.random.sample(self.orders, min(20, len(self.orders)))
        for order in [one for one in self.unanswered if one.is_keyed] + answered:
            for _ in range(2):
                known = order.is_answered
                response = self.connection.request_raw(order.raw())
                self.requests += 1
                self.assertEqual(response.status, 202, "%s: %r" % (self.where(), response))
                self.world.take_order(order, response, True)
                self.made_anew += not known and b'"duplicate":false' in response.body
            self.repeated += 1
        self.orders += [one for one in self.unanswered if one.is_keyed]
        self.unanswered = []

    # --- a round -----------------------------------------------------------------------

    def crew(self, *kinds):
        clients = [kind(self, project, self.random.getrandbits(64))
                   for kind in kinds for project in PROJECTS]
        self.random.shuffle(clients)
        return clients

    def work(self, end):
        is_expiring = Settings.long and self.done % EXPIRING_EVERY == EXPIRING_EVERY - 1
        Worker.is_expiring = is_expiring
        waiters = self.crew(Waiter)
        clients = self.crew(Producer, Canceller, *[Worker] * WORKERS)
        goal = self.next_goal()
        for client in waiters + clients:
            client.start()
        if end == "drain":
            wait_until(lambda: all(self.waits(project) for project in PROJECTS), 30,
                       "a worker waits in each project")
        time.sleep(7 if is_expiring else self.random.random() * self.round_seconds)
        wait_until(lambda: sum(client.answers for client in clients) >= goal or self.world.bad,
                   60, "%d answers" % goal)
        time.sleep(self.random.random() * 0.03)
        self.check()
        self.assertIsNone(self.server.process.poll(), self.server.log_tail())
        if end == "kill":
            self.server.kill()
        else:
            self.assertEqual(self.server.stop(60), 0, self.server.log_tail())
        self.died_ms = time.time() * 1000
        for client in waiters + clients:
            client.join(60)
            self.assertFalse(client.is_alive())
            self.requests += client.answers
        for client in clients:
            if isinstance(client, Producer):
                self.orders += client.orders
                self.unanswered += [client.unanswered] if client.unanswered else []
        self.check()
        if end == "drain":
            for waiter in waiters:
                self.assertIsNotNone(waiter.found, "a lease that waited was not answered")
                self.assertEqual((waiter.found.status, waiter.found.json()), (200, {"jobs": []}))

    def next_goal(self):
        """Each of them once, then each of them again, in whatever order."""
        if not self.goals:
            self.goals = self.random.sample(GOALS, len(GOALS))
        return self.goals.pop()

    def waits(self, project):
        response = self.server.request("GET", "/v1/queues/idle", key=self.keys[project])
        return response.status == 200 and response.json()["waiting_workers"] == 1

    # --- the end -----------------------------------------------------------------------

    def drain(self):
        """Until no queue has anything left that can run."""
        self.is_drained = False
        Worker.is_expiring = False
        workers = self.crew(Finisher, Finisher)
        for worker in workers:
            worker.start()
        with self.server.connect(60) as self.connection:
            wait_until(lambda: self.world.bad or not any(
                self.live(project, kind) for project in PROJECTS for kind in KINDS),
                       90, "all jobs have ended")
        self.is_drained = True
        for worker in workers:
            worker.join(60)
            self.requests += worker.answers
        for lane in self.world.lanes:
            self.assertIsNone(lane.check(), self.where())
        self.check()

    def live(self, project, kind):
        response = self.ask(project, "GET", "/v1/queues/" + kind)
        if response.status == 404:
            return 0
        counts = response.json()["counts"]
        return sum(counts[state] for state in LIVE + ("leased",))

    def check_all(self):
        """Each job ended as was answered, and there are no others."""
        partitions = set()
        with self.server.connect(60) as self.connection:
            for job in self.world.by_id.values():
                partitions.add(int(job.id.replace("-", "")[13:16], 16) % 2)
                shown = self.look(job)
                if shown is None:
                    self.world.check_shown(job, shown)
                    continue
                self.assertEqual((shown["state"], shown["attempt"]),
                                 (job.expected_end(), job.attempt), "%r: %r" % (job, shown))
                if job.end is None:
                    self.assertEqual(shown["dead_reason"], "dependency", job)
            for project in PROJECTS:
                for kind in KINDS:
                    known = sum((job.project, job.kind) == (project, kind)
                                for job in self.world.by_id.values())
                    response = self.ask(project, "GET", "/v1/queues/" + kind)
                    self.assertEqual(response.status, 200 if known else 404)
                    if known and not self.forgets:
                        self.assertEqual(response.json()["accepted"], known, (project, kind))
        self.assertEqual(partitions, {0, 1}, "both shards had jobs")
        self.check()
        self.reclaimed += self.oldest_segment("log-00") + self.oldest_segment("log-01") - 2

    def oldest_segment(self, log):
        return min(int(name.split(".")[0], 16)
                   for name in os.listdir(os.path.join(self.server.data, log))
                   if name.endswith(".seg"))

    def show_progress(self):
        print("jobs: round %d, %d jobs, %d requests, %d recoveries killed, start %.2f s" % (
            self.done, self.known + len(self.world.by_id), self.requests, self.recoveries_killed,
            self.start_seconds), file=sys.stderr, flush=True)

    def run_rounds(self, rounds, ends):
        name = " and ".join(sorted(set(ends)))
        print("# jobs, %s: seed %d, %d rounds, binary %s" % (
            name, Settings.seed, rounds, os.path.relpath(Settings.fast_weir, Settings.root)))
        began = time.monotonic()
        while self.done < rounds:
            self.live_and_die(min(DIRECTORY_ROUNDS, rounds - self.done), ends)
        print("# jobs, %s: %d rounds and %d killed recoveries in %.1f s, %d requests, %d jobs; "
              "%d outcomes settled, %d leases taken back in %d requests, %d leases ran out, "
              "%d stale epochs refused, %d orders repeated of which %d had been lost unheard: "
              "0 violations" % (
                  name, self.done, self.recoveries_killed, time.monotonic() - began,
                  self.requests, self.known, self.settled, self.redelivered,
                  self.redelivery_requests, self.expired, self.stale, self.repeated,
                  self.made_anew))
        self.assertGreater(self.known, rounds * 10)
        self.assertGreater(self.redelivered, rounds)
        self.assertGreater(self.stale, rounds)
        self.assertTrue(self.forgets or self.repeated > rounds, self.repeated)


class Kill(JobsCase):
    def test_kill_9_loses_no_job_and_gives_none_out_again_that_has_ended(self):
        self.run_rounds(ROUNDS_LONG if Settings.long else ROUNDS, ("kill",))


class Drain(JobsCase):
    def test_an_orderly_stop_loses_no_job_and_answers_the_leases_that_wait(self):
        self.run_rounds(DRAINS_LONG if Settings.long else DRAINS, ("drain", "drain", "kill"))


class Reclaim(JobsCase):
    """Jobs are forgotten soon after their end, and with them segments that hold the JOB of one
    and the end of another: what ended must not live again because its end is gone. Without
    Idempotency-Keys, for a job is remembered for as long as its key."""
    forgets = True
    settings = dict(SETTINGS, WEIR_JOBS_FINISHED="50")
    paddings = (0, 30000, 60000)
    round_seconds = 3

    def test_kill_9_brings_no_job_back_whose_segments_are_reclaimed(self):
        if not Settings.long:
            self.skipTest("it takes a minute until segments are reclaimed: --long")
        self.run_rounds(RECLAIMS_LONG, ("kill",))
        print("# jobs, kill: %d segments reclaimed" % self.reclaimed)
        self.assertGreater(self.reclaimed, 0)
