"""What clients know about their jobs, and whether a server may say what it says.

Each job is told apart by a mark in its payload, so one that was leased before its sender heard
of it is known too. What was asked and not answered yet stands in `asked`: an answer is judged
against everything that may have happened. After a kill that is what is in doubt; settle()
reads from the server which of it became true, and from then on the knowledge is exact again.

Leases are put in order by their epochs, not by when their answers were read.
"""
import collections
import datetime
import json
import threading
import time

from http_client import render

LIVE = ("scheduled", "waiting", "queued")
OVERDUE_MS = 100


def milliseconds(text):
    """Of an RFC 3339 time as the server writes it."""
    parsed = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    return round(parsed.replace(tzinfo=datetime.timezone.utc).timestamp() * 1000)


def created_ms(job_id):
    return int(job_id.replace("-", "")[:12], 16)


class Lease:
    def __init__(self, job, epoch, until_ms):
        self.job, self.epoch, self.until_ms = job, epoch, until_ms

    def is_over(self, now_ms=None):
        """It may have run out: then that was one attempt."""
        return self.until_ms <= (now_ms or time.time() * 1000) + OVERDUE_MS


class Job:
    def __init__(self, project, kind, mark, lane=None, max_attempts=3, delay_ms=0, after=(),
                 on_failure=None, padding=0):
        self.project, self.kind, self.mark, self.lane = project, kind, mark, lane
        self.max_attempts, self.delay_ms = max_attempts, delay_ms
        self.after, self.on_failure = after, on_failure
        self.padding = padding
        self.seq = 0
        self.id = None           # known: its order was answered, or it was leased
        self.attempt = 0         # those recorded
        self.end = None          # "completed", "dead" or "cancelled", as was answered
        self.end_epoch = None    # the lease that ended it
        self.end_stamp = None
        self.lease = None        # the newest, while nothing was answered about it
        self.epoch = 0           # of the newest lease
        self.asked = {}          # epoch: "complete", "fail" or "fatal", not answered yet
        self.cancels_open = 0    # not answered yet
        self.was_cancelled = False   # asked for, ever
        self.refused = False
        self.is_overdue = False  # leased until about when the server died

    def __repr__(self):
        return "<%s %s %s %s attempt %d asked %r end %r>" % (
            self.project, self.kind, self.mark, self.id, self.attempt, self.asked, self.end)

    def payload(self):
        return {"mark": self.mark, "padding": "x" * self.padding}

    def text(self, name=None, names=None):
        """As it is written in a request."""
        body = {"kind": self.kind, "payload": self.payload(), "max_attempts": self.max_attempts}
        if self.lane is not None:
            body["key"] = self.lane.key
        if self.delay_ms:
            body["delay_seconds"] = self.delay_ms / 1000
        if name is not None:
            body["name"] = name
        if self.after:
            body.update(after=[names[job] for job in self.after], on_failure=self.on_failure)
        return body

    def failed_dependencies(self):
        return [job for job in self.after if job.expected_end() in ("dead", "cancelled")]

    def expected_end(self):
        """The end that was answered, or that another job's end brings with it."""
        if self.end is None and self.on_failure == "fail" and self.failed_dependencies():
            return "dead"
        return self.end

    def may_have_ended(self):
        return (self.expected_end() is not None or bool(self.asked) or self.cancels_open > 0
                or (self.lease is not None and self.lease.is_over())
                or any(job.may_have_ended() for job in self.after))


class Lane:
    """The jobs of one serial key: each is sent when the one before it was answered."""

    def __init__(self, key):
        self.key, self.jobs, self.leases, self.seq_leased = key, [], [], 0
        self.newest = []  # leases (epoch, place)

    def check(self):
        """Called between rounds; what is wrong with the order of the leases since the last."""
        for epoch, seq in sorted(self.leases):
            if seq < self.seq_leased:
                return "key %s: job %d was leased (epoch %d) after job %d" % (
                    self.key, seq, epoch, self.seq_leased)
            self.seq_leased = seq
        self.newest = (self.newest + sorted(self.leases))[-8:]
        self.leases = []
        for job in self.jobs:
            if job.seq < self.seq_leased and job.id and not job.may_have_ended():
                return "key %s: job %d was leased before job %d, %r, ended; leases %r of %r" % (
                    self.key, self.seq_leased, job.seq, job, self.newest,
                    [(one.seq, one.id, one.end) for one in self.jobs])
        self.jobs = [job for job in self.jobs if job.end is None or job.seq >= self.seq_leased]
        return None


class Order:
    """One enqueueing request that can be repeated byte for byte."""

    def __init__(self, project, key, jobs, form, is_keyed=True):
        self.project, self.key, self.jobs, self.form = project, key, jobs, form
        self.is_keyed, self.is_answered = is_keyed, False

    def raw(self):
        names = {job: "n%d" % i for i, job in enumerate(self.jobs)}
        headers = {"X-API-Key": self.key}
        if self.is_keyed:
            headers["Idempotency-Key"] = self.jobs[0].mark
        if self.form == "single":
            path, body = "/v1/jobs", self.jobs[0].text()
        elif self.form == "batch":
            path, body = "/v1/jobs/batch", {"jobs": [job.text() for job in self.jobs]}
        else:
            path = "/v1/flows"
            body = {"jobs": [job.text(names[job], names) for job in self.jobs]}
        return render("POST", path, json.dumps(body).encode(), headers)


class World:
    def __init__(self, forgets=False):
        self.forgets = forgets   # the server soon forgets jobs that have completed
        self.lock = threading.RLock()
        self.jobs, self.by_id, self.lanes = {}, {}, []
        self.recent = collections.deque(maxlen=300)
        self.counts = collections.Counter()
        self.bad = []
        self.stamp = 0
        self.generation = 0      # highest boot generation seen in an epoch
        self.floor = 0           # those up to this are of earlier starts
        self.expired = 0

    def wrong(self, text):
        self.bad.append(text)

    def tick(self):
        with self.lock:
            self.stamp += 1
            return self.stamp

    def live_count(self, project):
        return self.counts[project, "known"] - self.counts[project, "ended"]

    # --- enqueueing ---------------------------------------------------------------

    def add(self, order):
        with self.lock:
            for job in order.jobs:
                self.jobs[job.mark] = job
                if job.lane is not None:
                    job.seq = job.lane.jobs[-1].seq + 1 if job.lane.jobs else \
                        job.lane.seq_leased + 1
                    job.lane.jobs.append(job)

    def learn(self, job, job_id):
        if job.refused:
            self.wrong("was refused, and is there: %r" % job)
        if job.id is None:
            job.id = job_id
            self.by_id[job_id] = job
            self.recent.append(job)
            self.counts[job.project, "known"] += 1
        elif job.id != job_id:
            self.wrong("is %s now: %r" % (job_id, job))

    def take_order(self, order, response, is_repeated=False):
        """Judges a 202 to an order."""
        answers = response.json()
        answers = [answers] if order.form == "single" else answers["jobs"]
        with self.lock:
            if len(answers) != len(order.jobs):
                self.wrong("%d answers for %d jobs" % (len(answers), len(order.jobs)))
                return
            duplicates = {answer["duplicate"] for answer in answers}
            was_there = order.is_answered or any(job.id for job in order.jobs)
            if len(duplicates) != 1:
                self.wrong("an order is there in parts: %r" % answers)
            if was_there and is_repeated and duplicates != {True}:
                self.wrong("was there, and is made again: %r %r" % (order.jobs, answers))
            if not is_repeated and duplicates != {False}:
                self.wrong("sent once, and is a duplicate: %r" % order.jobs)
            for job, answer in zip(order.jobs, answers):
                self.learn(job, answer["id"])
            order.is_answered = True

    def refuse(self, order):
        with self.lock:
            for job in order.jobs:
                job.refused = True
                if job.id is not None:
                    self.wrong("refused, but leased: %r" % job)
                if job.lane is not None:
                    job.lane.jobs.remove(job)

    # --- leases -------------------------------------------------------------------

    def take_leased(self, project, kind, found, seconds, sent_stamp):
        """Judges one job of a lease's answer; gives the lease, or None."""
        with self.lock:
            job = self.jobs.get(found["payload"].get("mark"))
            if job is None or (job.project, job.kind) != (project, kind):
                self.wrong("nobody sent this: %r" % found)
                return None
            self.learn(job, found["id"])
            epoch, until_ms = int(found["epoch"]), milliseconds(found["leased_until"])
            leased_ms = until_ms - seconds * 1000
            self.check_epoch(job, epoch, sent_stamp)
            self.check_attempt(job, epoch, found, leased_ms)
            self.check_contents(job, found, leased_ms)
            job.lease, job.epoch = Lease(job, epoch, until_ms), epoch
            if job.lane is not None:
                job.lane.leases.append((epoch, job.seq))
            return job.lease

    def check_epoch(self, job, epoch, sent_stamp):
        self.generation = max(self.generation, epoch >> 32)
        if epoch >> 32 <= self.floor:
            self.wrong("an epoch of an earlier start: %d of %r" % (epoch, job))
        if epoch <= job.epoch:
            self.wrong("epoch %d after %d: %r" % (epoch, job.epoch, job))
        if job.end is not None and (sent_stamp > job.end_stamp or
                                    (job.end_epoch or epoch) < epoch):
            self.wrong("leased again after its acknowledged end: %r, epoch %d" % (job, epoch))

    def check_attempt(self, job, epoch, found, leased_ms):
        old = job.lease
        if old is not None and old.epoch >> 32 == epoch >> 32:
            what = job.asked.get(old.epoch)
            if leased_ms >= old.until_ms - 1 and what != "fail":
                self.expired += 1
                job.attempt += 1
                job.asked.pop(old.epoch, None)
            elif what != "fail":
                self.wrong("leased twice at a time (%d and %d): %r" % (old.epoch, epoch, job))
        failing = sum(what == "fail" for what in job.asked.values())
        if not job.attempt + 1 <= found["attempt"] <= job.attempt + 1 + failing:
            self.wrong("attempt %d: %r" % (found["attempt"], job))
        if found["max_attempts"] != job.max_attempts:
            self.wrong("max_attempts %d: %r" % (found["max_attempts"], job))

    def check_contents(self, job, found, leased_ms):
        if found["payload"] != job.payload():
            self.wrong("another payload: %r" % job)
        if found["key"] != (job.lane.key if job.lane else None):
            self.wrong("key %r: %r" % (found["key"], job))
        if leased_ms < created_ms(job.id) + job.delay_ms:
            self.wrong("leased %d ms too early: %r" % (
                created_ms(job.id) + job.delay_ms - leased_ms, job))
        if not all(one.may_have_ended() for one in job.after):
            self.wrong("leased before what it comes after: %r" % job)
        failed = job.failed_dependencies()
        if failed and job.on_failure == "fail":
            self.wrong("leased though what it comes after has failed: %r" % job)
        if all(one.expected_end() for one in job.after) and \
                found.get("failed_dependencies", 0) != len(failed):
            self.wrong("failed_dependencies %r, not %d: %r" % (
                found.get("failed_dependencies"), len(failed), job))

    # --- outcomes -----------------------------------------------------------------

    def ask(self, lease, what):
        with self.lock:
            lease.job.asked[lease.epoch] = what

    def unask(self, lease):
        """The request was refused as a whole: nothing has happened."""
        with self.lock:
            lease.job.asked.pop(lease.epoch, None)

    def told(self, lease, status):
        """Judges the answer to an outcome."""
        with self.lock:
            job = lease.job
            what = job.asked.pop(lease.epoch, None)
            if status == ("completed" if what == "complete" else "failed"):
                self.finish(job, what, lease.epoch)
            elif status not in ("stale_epoch", "busy") or not (
                    job.was_cancelled or job.lease is not lease or lease.is_over()):
                self.wrong("%s of epoch %d: %s: %r" % (what, lease.epoch, status, job))

    def finish(self, job, what, epoch):
        job.attempt += 1
        if what == "complete":
            self.set_end(job, "completed", epoch)
        elif what == "fatal" or job.attempt >= job.max_attempts:
            self.set_end(job, "dead", epoch)
        if job.lease is not None and job.lease.epoch == epoch:
            job.lease = None

    def set_end(self, job, end, epoch):
        # One that is about to be dead with another may be cancelled before that is written.
        if job.end is not None or (end != "cancelled" and job.expected_end() is not None):
            self.wrong("%s, and ends %s: %r" % (job.expected_end(), end, job))
        job.end, job.end_epoch, job.end_stamp = end, epoch, self.tick()
        job.lease = None
        self.counts[job.project, "ended"] += 1
        if epoch is not None and job.epoch > epoch:
            self.wrong("ended by epoch %d, but epoch %d was leased: %r" % (epoch, job.epoch, job))

    def ask_cancel(self, job):
        with self.lock:
            job.was_cancelled = True
            job.cancels_open += 1

    def told_cancel(self, job, response):
        with self.lock:
            job.cancels_open -= 1
            if response.status == 200:
                self.set_end(job, "cancelled", None)
            elif response.status == 409 and response.json()["code"] == "job_ended":
                if not job.may_have_ended():
                    self.wrong("job_ended: %r" % job)
            elif response.status not in (409, 429, 503):
                self.wrong("cancel: %r: %r" % (response, job))

    # --- after a start ------------------------------------------------------------

    def begin(self, died_ms):
        """A new start: what was leased is not any more. Gives the jobs that were, as certain
        as can be, and the jobs about which something is in doubt."""
        leases, doubtful = [], []
        self.floor = self.generation
        ended = collections.Counter(job.project for job in self.by_id.values()
                                    if job.expected_end() is not None)
        for project, count in ended.items():
            self.counts[project, "ended"] = count
        for job in list(self.by_id.values()):
            job.is_overdue = job.lease is not None and job.end is None and \
                job.lease.is_over(died_ms)
            if job.asked or job.cancels_open or job.is_overdue:
                doubtful.append(job)
            elif job.lease is not None and job.expected_end() is None:
                leases.append(job.lease)
        for lane in self.lanes:
            wrong = lane.check()
            if wrong:
                self.wrong(wrong)
        return leases, doubtful

    def possible(self, job):
        """The (state, attempt) in which a job can be; "live" is all that is not terminal."""
        ends = {(job.end or "live", job.attempt)}
        if job.end is not None:
            # A failure before that may have counted, though its answer was lost.
            failing = sum(what == "fail" for what in job.asked.values())
            return {(job.end, job.attempt + n) for n in range(failing + 1)}
        for what in [job.asked[epoch] for epoch in sorted(job.asked)] + \
                ["fail"] * job.is_overdue:
            for _, attempt in [one for one in ends if one[0] == "live"]:
                if what == "complete":
                    ends.add(("completed", attempt + 1))
                elif what == "fatal" or attempt + 1 >= job.max_attempts:
                    ends.add(("dead", attempt + 1))
                else:
                    ends.add(("live", attempt + 1))
        if job.cancels_open:
            ends |= {("cancelled", attempt) for state, attempt in ends if state == "live"}
        if job.on_failure == "fail" and any(one.may_have_ended() for one in job.after):
            ends |= {("dead", attempt) for state, attempt in ends if state == "live"}
        return ends

    def settle(self, job, shown):
        """What GET says after a start decides what of the asked was done."""
        if shown is None:
            shown = self.forgotten(job)
        state = "live" if shown["state"] in LIVE else shown["state"]
        if (state, shown["attempt"]) not in self.possible(job):
            self.wrong("is %s, attempt %d (%s): %r" % (
                shown["state"], shown["attempt"], shown.get("dead_reason"), job))
        epoch = max(job.asked, default=None)
        by_dependency = shown.get("dead_reason") == "dependency"
        job.attempt, job.lease = shown["attempt"], None
        job.asked, job.cancels_open, job.is_overdue = {}, 0, False
        if by_dependency and not job.failed_dependencies():
            self.wrong("died with another, but all that it comes after is well: %r" % job)
        if state != "live" and job.end is None and not by_dependency:
            self.set_end(job, state, None if state == "cancelled" else epoch)

    def forgotten(self, job):
        """What a job that is not there any more must have been."""
        ends = {one for one in self.possible(job) if one[0] in ("completed", "cancelled")}
        if not self.forgets or not ends:
            self.wrong("is lost: %r" % job)
            return {"state": "live", "attempt": job.attempt}
        state, attempt = max(ends)
        return {"state": state, "attempt": attempt}

    def check_shown(self, job, shown):
        """A job about which nothing is in doubt."""
        if shown is None:
            self.forgotten(job)
            return
        end = job.expected_end()
        states = {job.end} if job.end else {end, "live"} if end else {"live"}
        state = "live" if shown["state"] in LIVE else shown["state"]
        if state not in states or shown["attempt"] != job.attempt:
            self.wrong("is %s, attempt %d: %r" % (shown["state"], shown["attempt"], job))
        if shown["id"] != job.id or shown["max_attempts"] != job.max_attempts:
            self.wrong("shown as %r: %r" % (shown, job))

    def expect(self, project, kind):
        """Of one queue: how many jobs there must be and may be, of each end, and unknown."""
        must, may, unknown = collections.Counter(), collections.Counter(), 0
        for job in self.jobs.values():
            if (job.project, job.kind) != (project, kind) or job.refused:
                continue
            if job.id is None:
                unknown += 1
                continue
            end = job.end or "live"
            if end == "live" and job.expected_end():
                may["dead"] += 1
                may["live"] += 1
            else:
                must[end] += 1
                may[end] += 1
        return must, may, unknown
