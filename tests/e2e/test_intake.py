"""POST /v1/events, /v1/events/batch and GET /v1/events/{id}: what a client sees."""
import gzip
import json
import shutil
import subprocess
import zlib

from harness import Case, SharedCase, event, new_id

UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
MIB = 1024 * 1024


class Tour(Case):
    def test_start_send_read_restart_read_again(self):
        server = self.server()
        receipt = self.post_ok(server, event(message="hello"))
        self.assertIs(receipt["accepted"], True)
        self.assertIs(receipt["duplicate"], False)
        self.assertRegex(receipt["event_id"], UUID)
        self.assertRegex(receipt["received_at"], TIME)
        before = self.stored(server, receipt["event_id"])
        self.assertEqual(before["message"], "hello")
        self.assertEqual(server.stop(), 0, server.log_tail())
        server.start()
        self.assertEqual(self.stored(server, receipt["event_id"]), before)
        self.assertEqual(server.stop(), 0, server.log_tail())


class SingleEvent(SharedCase):
    def test_stores_the_canonical_envelope_with_its_defaults(self):
        receipt = self.post_ok(self.weir, event(environment=None, severity=None,
                                                attributes=None))
        stored = self.stored(self.weir, receipt["event_id"])
        self.assertEqual(stored, {
            "schema_version": "1.0", "event_id": receipt["event_id"],
            "occurred_at": "2025-01-15T12:00:00.000Z", "received_at": receipt["received_at"],
            "org_id": "org_demo", "project_id": "proj_demo", "environment": "dev",
            "event_type": "error", "severity": "info", "message": "Connection timeout",
            "attributes": {}, "payload": {}})
        self.assertEqual(list(stored)[:4],
                         ["schema_version", "event_id", "occurred_at", "received_at"])

    def test_keeps_what_was_given_and_ignores_foreign_tenants(self):
        given = event(event_id=new_id().upper(), payload={"user": {"id": 7, "tags": ["a", None]}},
                      attributes={"ключ": "\u00fc\U0001f600", "n": 1.5e3, "big": 12345678901234567},
                      org_id="other", project_id="other", unknown_key=1)
        self.post_ok(self.weir, given)
        stored = self.stored(self.weir, given["event_id"])
        for field in ("event_id", "payload", "attributes", "environment", "severity"):
            self.assertEqual(stored[field], given[field])
        self.assertEqual((stored["org_id"], stored["project_id"]), ("org_demo", "proj_demo"))
        self.assertNotIn("unknown_key", stored)

    def test_answers_with_the_correlation_id_of_the_request(self):
        response = self.post(self.weir, event(), headers={"x-correlation-id": "abc-123"})
        self.assertEqual(response.header("x-correlation-id"), "abc-123")
        self.assertTrue(self.post(self.weir, event()).header("x-correlation-id"))

    def test_accepts_a_bearer_key(self):
        response = self.post(self.weir, event(), key=None,
                             headers={"Authorization": "Bearer dev-api-key-12345"})
        self.assertEqual(response.status, 202, response)

    def test_accepts_every_valid_time_shape(self):
        for moment in ("2025-01-15T12:00Z", "2025-01-15T12:00:00+0530",
                       "2025-01-15T12:00:00+05:30", "2025-01-15T12:00:00.123456789Z",
                       "2024-02-29T12:00:00Z"):
            with self.subTest(moment):
                receipt = self.post_ok(self.weir, event(occurred_at=moment))
                self.assertEqual(self.stored(self.weir, receipt["event_id"])["occurred_at"],
                                 moment)

    def test_names_each_fault_with_its_path(self):
        faults = [
            (event(event_type="invalid_type"), ["event_type"], "invalid_enum_value"),
            (event(event_type=None), ["event_type"], "invalid_type"),
            (event(occurred_at=None), ["occurred_at"], "invalid_type"),
            (event(message=5), ["message"], "invalid_type"),
            (event(message=""), ["message"], "too_small"),
            (event(event_id="not-a-uuid"), ["event_id"], "invalid_string"),
            (event(environment="qa"), ["environment"], "invalid_enum_value"),
            (event(severity="fatal"), ["severity"], "invalid_enum_value"),
            (event(attributes=[]), ["attributes"], "invalid_type"),
            (event(payload="x"), ["payload"], "invalid_type"),
        ] + [(event(occurred_at=bad), ["occurred_at"], "invalid_string") for bad in (
            "not-a-timestamp", "2025-02-29T12:00:00Z", "2025-01-15T12:00:00",
            "2025-01-15T12:00:00z", "2025-01-15 12:00:00Z", "2025-01-15T24:00:00Z",
            "2025-01-15T12:00:60Z", "2025-1-15T12:00:00Z")]
        for body, path, code in faults:
            with self.subTest(path=path, body=body):
                problem = self.assert_problem(self.post(self.weir, body), 400)
                self.assertIn((path, code),
                              [(d["path"], d["code"]) for d in problem["details"]])
                detail = next(d for d in problem["details"] if d["path"] == path)
                self.assertEqual(detail["pointer"], "/" + "/".join(map(str, path)))
                self.assertTrue(detail["message"])

    def test_an_explicit_null_is_not_a_missing_field(self):
        body = json.dumps(event(environment=None))[:-1] + ', "environment": null}'
        self.assert_problem(self.post(self.weir, body), 400)

    def test_lists_all_faults_of_one_event(self):
        problem = self.assert_problem(self.post(self.weir, {"event_type": "x"}), 400)
        paths = [d["path"] for d in problem["details"]]
        for field in ("event_type", "occurred_at", "message"):
            self.assertIn([field], paths)

    def test_refuses_what_is_not_a_json_object(self):
        for body in (b"", b"{", b"[]", b"null", b'"text"', b"1", b'{"a":1}{"b":2}', b"{'a':1}",
                     b'{"a":1,}', b'{"a":01}', b'{"a":NaN}', b'{"a":"\x01"}', b"\xef\xbb\xbf{}",
                     b'{"a":"\\ud800"}', b'{"a":"\xff"}', b'{"a":"\xc0\xaf"}',
                     b'{"a":"\xed\xa0\x80"}', b"tru", b'{"a" 1}', b"nul"):
            with self.subTest(body):
                self.assert_problem(self.post(self.weir, body), 400)

    def test_tells_the_kinds_of_broken_bodies_apart(self):
        for body, code in ((b"", "empty_body"), (b'{"message":"\xff"}', "invalid_utf8"),
                           (b'{"message":', "truncated_json"), (b"{]", "malformed_json"),
                           (b'{"message":"a"}', "invalid_event")):
            with self.subTest(body):
                self.assert_problem(self.post(self.weir, body), 400, code)

    def test_refuses_every_truncation_of_a_valid_event(self):
        body = json.dumps(event()).encode()
        with self.weir.connect() as connection:
            for size in range(0, len(body), 7):
                response = connection.request("POST", "/v1/events", body[:size],
                                              {"X-API-Key": "dev-api-key-12345"})
                self.assert_problem(response, 400)

    def test_refuses_a_depth_bomb(self):
        for open_, close in ((b"[", b"]"), (b'{"a":', b"}")):
            bomb = b'{"attributes":' + open_ * 100000 + b"1" + close * 100000 + b"}"
            self.assert_problem(self.post(self.weir, bomb), 400, "json_too_deep")

    def test_has_a_limit_of_one_mib(self):
        base = len(json.dumps(event(message="")))
        fits = event(message="m" * (MIB - base))
        self.assertEqual(len(json.dumps(fits)), MIB)
        receipt = self.post_ok(self.weir, fits)
        self.assertEqual(self.stored(self.weir, receipt["event_id"])["message"], fits["message"])
        self.assert_problem(self.post(self.weir, event(message="m" * (MIB - base + 1))), 413)

    def test_refuses_other_content_types_with_accept(self):
        for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded"):
            with self.subTest(kind):
                response = self.post(self.weir, event(), headers={"Content-Type": kind})
                self.assert_problem(response, 415, "unsupported_media_type")
                self.assertIn("application/json", response.header("accept", ""))
        response = self.post(self.weir, event(),
                             headers={"Content-Type": "Application/JSON; charset=UTF-8"})
        self.assertEqual(response.status, 202, response)

    def test_refuses_unknown_keys_before_it_looks_at_the_body(self):
        for headers, code in (({}, "missing_api_key"), ({"X-API-Key": "wrong"}, "invalid_api_key"),
                              ({"Authorization": "Bearer wrong"}, "invalid_api_key"),
                              ({"X-API-Key": ""}, None),
                              ({"Authorization": "Basic ZGV2OmRldg=="}, None)):
            with self.subTest(headers):
                response = self.post(self.weir, b"{broken", key=None, headers=headers)
                self.assert_problem(response, 401, code)

    def test_unknown_paths_and_methods(self):
        self.assert_problem(self.weir.request("GET", "/v1/nothing"), 404)
        self.assert_problem(self.weir.request("GET", "/v1/events/" + new_id()), 404)
        response = self.weir.request("PUT", "/v1/events", event())
        self.assert_problem(response, 405)
        self.assertIn("POST", response.header("allow", ""))
        response = self.weir.request("DELETE", "/metrics")
        self.assert_problem(response, 405)
        self.assertIn("GET", response.header("allow", ""))

    def test_refused_events_leave_nothing_behind(self):
        refused = new_id()
        self.assert_problem(self.post(self.weir, event(event_id=refused, message="")), 400)
        self.assertIsNone(self.stored(self.weir, refused))


class Duplicates(SharedCase):
    def test_the_same_event_id_is_stored_once(self):
        body = event(event_id=new_id())
        first = self.post_ok(self.weir, body)
        again = self.post_ok(self.weir, body)
        self.assertEqual((first["duplicate"], again["duplicate"]), (False, True))
        self.assertEqual(again["event_id"], first["event_id"])
        self.assertEqual(again["received_at"], first["received_at"])
        self.assertEqual(self.stored(self.weir, body["event_id"])["received_at"],
                         first["received_at"])

    def test_a_duplicate_changes_nothing(self):
        body = event(event_id=new_id(), message="first")
        self.post_ok(self.weir, body)
        response = self.post(self.weir, dict(body, message="second"))
        self.assertIn(response.status, (202, 409))
        self.assertEqual(self.stored(self.weir, body["event_id"])["message"], "first")

    def test_a_repeated_idempotency_key_gives_the_first_answer(self):
        headers = {"Idempotency-Key": new_id()}
        first = self.post_ok(self.weir, event(), headers=headers)
        again = self.post_ok(self.weir, event(), headers=headers)
        self.assertEqual(again["event_id"], first["event_id"])
        self.assertEqual(again["received_at"], first["received_at"])
        self.assertIs(again["duplicate"], True)

    def test_an_idempotency_key_with_another_body_is_a_conflict(self):
        headers = {"Idempotency-Key": new_id()}
        self.post_ok(self.weir, event(), headers=headers)
        response = self.post(self.weir, event(message="other"), headers=headers)
        self.assert_problem(response, 409, "idempotency_conflict")

    def test_a_repeated_batch_key_gives_the_first_answer(self):
        headers = {"Idempotency-Key": new_id()}
        body = {"events": [event(), event(message="b")]}
        first = self.post_ok(self.weir, body, "/v1/events/batch", headers=headers)
        again = self.post_ok(self.weir, body, "/v1/events/batch", headers=headers)
        self.assertEqual(again["event_ids"], first["event_ids"])

    def test_the_window_survives_a_restart(self):
        body = event(event_id=new_id())
        key = {"Idempotency-Key": new_id()}
        first = self.post_ok(self.weir, body)
        keyed = self.post_ok(self.weir, event(), headers=key)
        self.assertEqual(self.weir.stop(), 0, self.weir.log_tail())
        self.weir.start()
        self.assertIs(self.post_ok(self.weir, body)["duplicate"], True)
        self.assertEqual(self.post_ok(self.weir, event(), headers=key)["event_id"],
                         keyed["event_id"])
        self.assertEqual(self.stored(self.weir, body["event_id"])["received_at"],
                         first["received_at"])


class Batches(SharedCase):
    path = "/v1/events/batch"

    def test_stores_all_events_in_order(self):
        events = [event(event_id=new_id(), message="m%d" % n) for n in range(100)]
        receipt = self.post_ok(self.weir, {"events": events}, self.path)
        self.assertIs(receipt["accepted"], True)
        self.assertEqual(receipt["count"], 100)
        self.assertEqual(receipt["event_ids"], [e["event_id"] for e in events])
        self.assertRegex(receipt["received_at"], TIME)
        for given in (events[0], events[57], events[99]):
            self.assertEqual(self.stored(self.weir, given["event_id"])["message"],
                             given["message"])

    def test_one_bad_event_refuses_the_whole_batch(self):
        events = [event(event_id=new_id()) for _ in range(3)]
        events[1]["event_type"] = "nonsense"
        problem = self.assert_problem(self.post(self.weir, {"events": events}, self.path), 400)
        self.assertIn(["events", 1, "event_type"], [d["path"] for d in problem["details"]])
        self.assertIn("/events/1/event_type", [d["pointer"] for d in problem["details"]])
        for given in events:
            self.assertIsNone(self.stored(self.weir, given["event_id"]))

    def test_has_bounds_on_the_count(self):
        for events, code in (([], "too_small"), ([event()] * 101, "too_big")):
            problem = self.assert_problem(
                self.post(self.weir, {"events": events}, self.path), 400)
            self.assertIn((["events"], code),
                          [(d["path"], d["code"]) for d in problem["details"]])
        self.assert_problem(self.post(self.weir, {}, self.path), 400)
        self.assert_problem(self.post(self.weir, {"events": {}}, self.path), 400)

    def test_partial_gives_each_event_its_result(self):
        known = event(event_id=new_id())
        self.post_ok(self.weir, known)
        fresh, broken = event(event_id=new_id()), event(event_id=new_id(), message="")
        response = self.post(self.weir, {"events": [fresh, broken, known]},
                             self.path + "?partial=true")
        self.assertEqual(response.status, 200, response)
        results = response.json()["results"]
        self.assertEqual([r["index"] for r in results], [0, 1, 2])
        self.assertEqual([r["status"] for r in results], ["accepted", "invalid", "duplicate"])
        self.assertEqual(results[0]["event_id"], fresh["event_id"])
        self.assertIn("code", results[1])
        self.assertIsNone(response.header("retry-after"))
        clean = self.post(self.weir, {"events": [event(), event()]}, self.path + "?partial=true")
        self.assertEqual(clean.status, 202, clean)
        self.assertIsNotNone(self.stored(self.weir, fresh["event_id"]))
        self.assertIsNone(self.stored(self.weir, broken["event_id"]))

    def test_a_duplicate_inside_one_batch_is_stored_once(self):
        same = event(event_id=new_id())
        response = self.post(self.weir, {"events": [same, same]}, self.path + "?partial=true")
        self.assertEqual(response.status, 202, response)
        self.assertEqual([r["status"] for r in response.json()["results"]],
                         ["accepted", "duplicate"])
        whole = [event(event_id=same["event_id"]), event(event_id=new_id())]
        receipt = self.post_ok(self.weir, {"events": whole}, self.path)
        self.assertEqual(receipt["count"], 2)
        self.assertIsNotNone(self.stored(self.weir, whole[1]["event_id"]))

    def test_takes_ndjson(self):
        events = [event(event_id=new_id()) for _ in range(5)]
        headers = {"Content-Type": "application/x-ndjson"}
        for end in ("\n", ""):
            body = "\n".join(json.dumps(e) for e in events) + end
            receipt = self.post_ok(self.weir, body, self.path, headers=headers)
            self.assertEqual(receipt["event_ids"], [e["event_id"] for e in events])
        body = json.dumps(event()) + "\n{broken\n"
        self.assert_problem(self.post(self.weir, body, self.path, headers=headers), 400)


class Encodings(SharedCase):
    def check(self, encoding, body, status=202, code=None):
        response = self.post(self.weir, body, headers={"Content-Encoding": encoding})
        if status == 202:
            self.assertEqual(response.status, 202, response)
            self.assertIsNotNone(self.stored(self.weir, response.json()["event_id"]))
        else:
            self.assert_problem(response, status, code)
        return response

    def test_gzip(self):
        self.check("gzip", gzip.compress(json.dumps(event()).encode()))

    def test_deflate_is_the_zlib_format(self):
        self.check("deflate", zlib.compress(json.dumps(event()).encode()))

    def test_identity(self):
        self.check("identity", json.dumps(event()).encode())

    def test_zstd(self):
        if not shutil.which("zstd"):
            self.skipTest("no zstd binary to compress with")
        done = subprocess.run(["zstd", "-q", "-c"], input=json.dumps(event()).encode(),
                              stdout=subprocess.PIPE, check=True)
        self.check("zstd", done.stdout)

    def test_broken_streams_are_malformed(self):
        whole = gzip.compress(json.dumps(event()).encode())
        self.check("gzip", whole[:-9], 400, "decode_error")
        self.check("gzip", whole[:-8] + b"\0" * 8, 400, "decode_error")
        self.check("gzip", b"not gzip at all", 400, "decode_error")
        self.check("gzip", whole + b"rubbish", 400, "decode_error")
        self.check("deflate", b"\x78\x9c\xff\xff", 400)
        self.check("zstd", b"\x28\xb5\x2f\xfd\xff\xff\xff", 400)
        self.check("gzip", b"", 400)

    def test_unknown_and_chained_encodings_are_refused(self):
        for encoding in ("br", "compress", "gzip, gzip"):
            response = self.check(encoding, json.dumps(event()).encode(), 415,
                                  "unsupported_encoding")
            self.assertIn("gzip", response.header("accept-encoding", ""))

    def test_a_bomb_is_refused_without_the_memory_it_asks_for(self):
        bomb = gzip.compress(b'{"message":"' + b"a" * (64 * MIB) + b'"}', 9)
        before = self.weir.rss_kib()
        self.assertLess(len(bomb), 128 * 1024)
        for _ in range(20):
            self.check("gzip", bomb, 413, "decompressed_too_large")
        self.assertLess(self.weir.rss_kib() - before, 64 * 1024)
