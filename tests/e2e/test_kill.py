"""kill -9, over and over, against the optimised binary on a real disk.

One round: start (recovery runs), read back what the last round was promised, repeat what it
never heard an answer to, send from several connections at once, kill in the middle. Now and
then the next start has another number of shards, and now and then recovery itself is killed.

What must hold: every acknowledged event is there exactly once, nothing is there twice, a
batch is there whole or not at all, a repeated request adds nothing, and the journal verifies.
"""
import collections
import json
import os
import random
import shutil
import sys
import threading
import time

from harness import DEMO_KEY, Case, Server, Settings, event, wait_until
from http_client import Closed, Connection, render
from journal_dump import dump_events, verify

KEY = {"X-API-Key": DEMO_KEY}

# Connections of one round: (requests in flight, events per request, with Idempotency-Key).
# A request with a key has no event ids: the server chooses them.
CONNECTIONS = ((1, 1, False), (1, 1, True), (8, 1, False), (16, 1, True), (32, 1, False),
               (1, 20, False), (1, 100, False), (2, 10, True))
GOALS = (0, 1, 10, 100, 300, 1000)
ROUNDS, ROUNDS_LONG = 50, 1000
DIRECTORY_ROUNDS = 40  # each start begins a segment of 64 MiB; then a fresh data directory
SECONDS_MAX, SECONDS_LONG_MAX = 600, 3000
REPEATED_MAX = 64


class Request:
    """One request that can be repeated byte for byte.

    Every event in it carries the request's mark in its message, which tells the events of a
    keyed request apart in the journal: their ids are the server's choice."""

    def __init__(self, generator, count, keyed):
        self.mark = "%032x" % generator.getrandbits(128)
        self.count, self.keyed = count, keyed
        self.ids = None if keyed else [identity(generator) for _ in range(count)]
        events = [event(message=self.mark, event_id=None if keyed else self.ids[i])
                  for i in range(count)]
        headers = dict(KEY, **({"Idempotency-Key": self.mark} if keyed else {}))
        path = "/v1/events" if count == 1 else "/v1/events/batch"
        body = events[0] if count == 1 else {"events": events}
        self.raw = render("POST", path, json.dumps(body).encode(), headers)

    def take_answer(self, response):
        """Checks a 202 and learns the ids from it; a repeated answer must name the same."""
        answer = response.json()
        ids = [answer["event_id"]] if self.count == 1 else answer["event_ids"]
        if self.ids is not None and self.ids != ids:
            return "the ids of %s changed: %r is not %r" % (self.mark, ids, self.ids)
        self.ids = ids
        return None if len(set(ids)) == self.count else "%d ids for %d events" % (
            len(set(ids)), self.count)


def identity(generator):
    return "%08x-%04x-4%03x-8%03x-%012x" % tuple(
        generator.getrandbits(bits) for bits in (32, 16, 12, 12, 48))


class Writer(threading.Thread):
    """One connection that sends until it fails; remembers what was promised and what not."""

    def __init__(self, port, generator, pipeline, count, keyed):
        super().__init__(daemon=True)
        self.port, self.random = port, generator
        self.pipeline, self.count, self.keyed = pipeline, count, keyed
        self.acknowledged, self.unanswered = [], []
        self.bad = None

    def run(self):
        try:
            with Connection(self.port, timeout=30) as connection:
                while self.bad is None:
                    self.exchange(connection)
        except (OSError, Closed):
            return  # the process was killed: what is unanswered is unknown

    def exchange(self, connection):
        requests = [Request(self.random, self.count, self.keyed) for _ in range(self.pipeline)]
        self.unanswered = list(requests)
        connection.send(b"".join(request.raw for request in requests))
        for request in requests:
            response = connection.read_response()
            self.unanswered.remove(request)
            if response.status == 202:
                self.bad = self.bad or request.take_answer(response)
                self.acknowledged.append(request)
            elif response.status not in (429, 503):
                self.bad = repr(response)


class Kill(Case):
    def setUp(self):
        super().setUp()
        self.generator = random.Random(Settings.seed)
        self.rounds = ROUNDS_LONG if Settings.long else ROUNDS
        self.deadline = time.monotonic() + (SECONDS_LONG_MAX if Settings.long else SECONDS_MAX)
        self.done = self.answered = self.repeated = self.recoveries_killed = self.events = 0
        self.start_seconds = 0.0

    def test_kill_9_loses_nothing_acknowledged_and_stores_nothing_twice(self):
        print("# kill -9: seed %d, %d rounds, binary %s" % (
            Settings.seed, self.rounds, os.path.relpath(Settings.fast_weir, Settings.root)))
        while self.done < self.rounds:
            self.live_and_die(min(DIRECTORY_ROUNDS, self.rounds - self.done))
        self.assertGreater(self.events, self.rounds * 50)
        self.assertGreater(self.repeated, self.rounds)
        self.assertGreater(self.recoveries_killed, 0)
        print("# kill -9: %d rounds and %d killed recoveries, %d requests answered, %d repeated "
              "after a kill, %d events stored: none lost, none twice, no batch in parts, "
              "journal clean" % (self.done, self.recoveries_killed, self.answered, self.repeated,
                                 self.events))

    def live_and_die(self, rounds):
        """The rounds of one data directory, and at their end every record of it."""
        data = self.data("data-%d" % self.done)
        self.server = Server(data, binary=Settings.fast_weir)
        self.addCleanup(self._end, self.server)
        self.acknowledged, self.attempted = [], []
        fresh, unanswered = [], []
        for number in range(rounds):
            self.start(number)
            self.read_back(self.sample(fresh, 300) + self.sample(self.acknowledged, 50))
            self.repeat(unanswered)
            fresh, unanswered = self.write_and_kill()
            self.done += 1
            if self.done % 10 == 0:
                self.show_progress()
            self.assertLess(time.monotonic(), self.deadline, "only %d of %d rounds in time" % (
                self.done, self.rounds))
        self.server.start(60)
        self.repeat(unanswered)
        self.read_back(self.sample(self.acknowledged, 3000))
        self.assertEqual(self.server.stop(60), 0, self.server.log_tail())
        self.events += self.check_journal()
        shutil.rmtree(data)

    def sample(self, requests, count):
        return self.generator.sample(requests, min(count, len(requests)))

    def start(self, number):
        """Starts a round; sometimes with other shards, sometimes after a killed recovery."""
        if number % 8 == 0:
            at = self.server.arguments.index("--shards")
            self.server.arguments[at + 1] = str(self.generator.choice((1, 2, 3)))
        if number % 5 == 4:
            # The moment is a share of how long the last start took. It may come too late
            # (then it is one more kill of an idle server), which is why it is counted.
            self.server.spawn()
            time.sleep(self.generator.random() * self.start_seconds)
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

    def write_and_kill(self):
        """Sends from every connection and kills after a random amount of work."""
        writers = [Writer(self.server.port, random.Random(self.generator.getrandbits(64)), *kind)
                   for kind in CONNECTIONS]
        for writer in writers:
            writer.start()
        goal = self.generator.choice(GOALS)
        wait_until(lambda: sum(len(w.acknowledged) for w in writers) >= goal
                   or not any(w.is_alive() for w in writers), 60, "%d answers" % goal)
        self.server.kill()
        fresh, unanswered = [], []
        for writer in writers:
            writer.join(30)
            self.assertFalse(writer.is_alive())
            self.assertIsNone(writer.bad, self.where())
            fresh += writer.acknowledged
            unanswered += writer.unanswered
        self.answered += len(fresh)
        self.acknowledged += fresh
        self.attempted += unanswered
        return fresh, unanswered

    def repeat(self, unanswered):
        """What a client does that heard nothing: the same bytes again, twice for good measure."""
        chosen = self.sample(unanswered, REPEATED_MAX)
        with self.server.connect() as connection:
            for request in [request for request in chosen for _ in range(2)]:
                response = connection.request_raw(request.raw)
                self.assertEqual(response.status, 202, "%s: %r" % (self.where(), response))
                self.assertIsNone(request.take_answer(response), self.where())
        self.acknowledged += chosen
        self.repeated += len(chosen)

    def read_back(self, requests):
        ids = [identity for request in requests for identity in request.ids]
        ids = self.sample(ids, 1000)
        with self.server.connect() as connection:
            for start in range(0, len(ids), 64):
                some = ids[start:start + 64]
                connection.send(b"".join(render("GET", "/v1/events/" + one, None, KEY)
                                         for one in some))
                for one in some:
                    response = connection.read_response()
                    self.assertEqual(response.status, 200, "%s: %s is lost: %r" % (
                        self.where(), one, response))

    def check_journal(self):
        """Every record on the disk against every promise; gives the number of events."""
        clean, said = verify(self.server.data, Settings.fast_weir)
        self.assertTrue(clean, said)
        by_id, by_mark = collections.Counter(), collections.Counter()
        for found in dump_events(self.server.data, Settings.fast_weir):
            by_id[found["event_id"]] += 1
            by_mark[found["message"]] += 1
        twice = [one for one, count in by_id.items() if count > 1]
        self.assertEqual(twice[:5], [], "stored twice, " + self.where())
        lost = [one for request in self.acknowledged for one in request.ids if one not in by_id]
        self.assertEqual(lost[:5], [], "lost, " + self.where())
        for request in self.acknowledged:
            self.assertEqual(by_mark[request.mark], request.count, request.mark)
        for request in self.attempted:
            self.assertIn(by_mark[request.mark], (0, request.count), request.mark)
        known = {request.mark for request in self.acknowledged + self.attempted}
        self.assertEqual([mark for mark in by_mark if mark not in known][:5], [])
        return sum(by_id.values())

    def where(self):
        return "round %d (seed %d)" % (self.done + 1, Settings.seed)

    def show_progress(self):
        print("kill -9: round %d of %d, %d answered, %d recoveries killed, start %.2f s" % (
            self.done, self.rounds, self.answered, self.recoveries_killed, self.start_seconds),
              file=sys.stderr, flush=True)
