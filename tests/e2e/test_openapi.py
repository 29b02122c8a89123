"""GET /openapi.json: whether the document says what the server does.

run.py makes every case of every file hold its answers against the document as well
(openapi.py); here are the document itself, its examples, and who may do what.
"""
import json
import re

import http_client
from harness import SharedCase, new_id
from openapi import ANNOTATIONS, Judge, Mismatch, Schemas, load

SCOPES = ("ingest", "read", "admin")
BODIES = {"application/json", "application/x-ndjson", "application/problem+json", "text/plain"}


def nodes(value, path=""):
    """Every object in the document, with its path."""
    if isinstance(value, dict):
        yield path, value
        for name, item in value.items():
            yield from nodes(item, "%s/%s" % (path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from nodes(item, "%s/%d" % (path, index))


class Document(SharedCase):
    def setUp(self):
        super().setUp()
        self.document = self.weir.request("GET", "/openapi.json", key=None).json()
        self.judge = Judge(self.document)

    def test_is_served_to_everybody_as_the_tree_has_it(self):
        response = self.weir.request("GET", "/openapi.json", key=None)
        self.assertEqual(response.status, 200)
        self.assertEqual(response.header("content-type"), "application/json")
        expected = load()
        expected["info"]["version"] = self.document["info"]["version"]
        self.assertEqual(response.json(), expected)
        capabilities = self.weir.request("GET", "/v1/capabilities", key=None).json()
        self.assertEqual(self.document["info"]["version"], capabilities["version"])

    def test_has_the_form_of_openapi_3_1(self):
        self.assertEqual(self.document["openapi"], "3.1.0")
        tags = {tag["name"] for tag in self.document["tags"]}
        for method, path, operation in self.judge.operations():
            where = "%s %s" % (method, path)
            self.assertTrue(path.startswith("/"), where)
            self.assertLessEqual(set(operation["tags"]), tags, where)
            self.assertFalse(operation["summary"].endswith("."), where)
            names = set(re.findall(r"{(\w+)}", path))
            for parameter in operation.get("parameters", []):
                parameter = self.judge.schemas.resolve(parameter)
                self.assertIn(parameter["in"], ("path", "query", "header"), where)
                self.assertIn("schema", parameter, where)
                if parameter["in"] == "path":
                    names.discard(parameter["name"])
                    self.assertIs(parameter["required"], True, where)
            self.assertEqual(names, set(), where)
            for status, answer in operation["responses"].items():
                self.assertRegex(status, r"^(default|[1-5]\d\d)$", where)
                answer = self.judge.schemas.resolve(answer)
                self.assertIn("description", answer, where)
                self.assertLessEqual(set(answer["content"]), BODIES, where)
            if "requestBody" in operation:
                self.assertNotIn(method, ("GET", "DELETE"), where)

    def test_refers_to_all_that_it_defines(self):
        references = {node["$ref"] for _, node in nodes(self.document) if "$ref" in node}
        components = self.document["components"]
        for kind in ("schemas", "responses", "parameters", "headers"):
            for name in components[kind]:
                self.assertIn("#/components/%s/%s" % (kind, name), references)

    def test_has_only_examples_that_match_their_schemas(self):
        count = 0
        for path, node in nodes(self.document["paths"]):
            for example in node.get("examples", {}).values() if "schema" in node else ():
                with self.subTest(path=path):
                    self.judge.schemas.check(node["schema"], example["value"])
                    count += 1
        self.assertGreater(count, 10)

    def test_gives_an_example_of_each_request_body_that_is_accepted(self):
        """What the document shows can be sent as it is: nothing of it is malformed."""
        for method, path, operation in self.judge.operations():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            for name, example in (content or {}).get("examples", {}).items():
                value = dict(example["value"])
                if "wait_seconds" in value:
                    value["wait_seconds"] = 0
                with self.subTest(path=path, example=name):
                    response = self.weir.request(method, fill(path), value,
                                                 key=self.key_with(*SCOPES))
                    self.assertNotIn(response.status, (400, 415, 422), response)

    def key_with(self, *scopes):
        response = self.weir.admin("POST", "/v1/admin/keys", {
            "org_id": "o", "project_id": "p", "scopes": list(scopes)})
        self.assertEqual(response.status, 201, response)
        return response.json()["key"]

    def test_names_the_scope_that_each_operation_needs(self):
        keys = {scope: self.key_with(scope) for scope in SCOPES}
        for method, path, operation in self.judge.operations():
            scope = operation.get("x-weir-scope")
            with self.subTest(method=method, path=path, scope=scope):
                response = self.weir.request(method, fill(path), key=None)
                if scope is None:
                    self.assertNotIn(response.status, (401, 403), response)
                    continue
                self.assert_problem(response, 401, "missing_api_key")
                for other, key in keys.items():
                    response = self.weir.request(method, fill(path), key=key)
                    if other != scope:
                        self.assert_problem(response, 403, "forbidden_scope")
                    else:
                        self.assertNotIn(response.status, (401, 403), response)

    def test_names_every_method_of_every_path(self):
        """Allow says what the router serves, HEAD and OPTIONS aside."""
        for path, methods in self.document["paths"].items():
            response = self.weir.request("PATCH", fill(path), key=None)
            if "patch" in methods:
                continue
            self.assert_problem(response, 405)
            allowed = set(re.split(r",\s*", response.header("allow"))) - {"HEAD", "OPTIONS"}
            self.assertEqual(allowed, allowed_at(self.judge, fill(path)), path)


def fill(path):
    """A path that such a pattern matches, of something that is not there."""
    path = path.replace("{kind}", "no.such").replace("{name}", "no-such")
    return re.sub(r"{\w+}", "01939d2c-7a00-7001-8000-000000000001", path)


def allowed_at(judge, path):
    """A path may match several patterns."""
    return {method.upper() for regex, pattern in judge.patterns if regex.fullmatch(path)
            for method in judge.document["paths"][pattern]}


class Validator(SharedCase):
    """The judge itself: one that never refuses would let everything pass."""

    def test_refuses_what_does_not_match(self):
        schemas = Schemas({"components": {"schemas": {"Name": {"type": "string"}}}})
        good_and_bad = [
            ({"type": "integer"}, 1, True), ({"type": ["string", "null"]}, None, 1),
            ({"const": True}, True, 1), ({"enum": ["a"]}, "a", "b"),
            ({"required": ["a"]}, {"a": 1}, {}), ({"minimum": 1}, 1, 0),
            ({"maximum": 1}, 1, 2), ({"exclusiveMinimum": 0}, 0.1, 0),
            ({"properties": {"a": {"type": "string"}}}, {"a": ""}, {"a": 1}),
            ({"additionalProperties": False, "properties": {"a": {}}}, {"a": 1}, {"b": 1}),
            ({"additionalProperties": {"type": "null"}}, {"a": None}, {"a": 1}),
            ({"items": {"type": "null"}}, [None], [1]), ({"minItems": 1}, [1], []),
            ({"maxItems": 1}, [1], [1, 2]), ({"minLength": 1}, "a", ""),
            ({"maxLength": 1}, "a", "aa"), ({"pattern": "^a"}, "ab", "ba"),
            ({"format": "uuid"}, new_id(), "x"), ({"$ref": "#/components/schemas/Name"}, "", 1),
            ({"oneOf": [{"type": "string"}, {"minLength": 2}]}, "a", "aa"),
        ]
        for schema, good, bad in good_and_bad:
            with self.subTest(schema=schema):
                schemas.check(schema, good)
                self.assertRaises(Mismatch, schemas.check, schema, bad)
        self.assertRaises(AssertionError, schemas.check, {"minWidth": 1}, 1)
        self.assertNotIn("type", ANNOTATIONS)

    def test_refuses_a_status_that_the_document_does_not_name(self):
        judge = Judge()
        body = json.dumps({"accepted": True, "event_id": new_id(), "duplicate": False,
                           "received_at": "2025-01-15T12:00:00.000Z"}).encode()
        headers = [("Content-Type", "application/json")]
        judge.check("POST", "/v1/events?x=1", http_client.Response(202, "", headers, body))
        for status, text in ((200, body), (202, body.replace(b"true", b"1")), (202, b"{}")):
            answer = http_client.Response(status, "", headers, text)
            self.assertRaises(Mismatch, judge.check, "POST", "/v1/events", answer)

    def test_looks_at_the_answers_of_all_cases(self):
        self.assertIsNotNone(http_client.Connection.judge)
        before = dict(http_client.Connection.judge.seen)
        self.weir.request("GET", "/livez", key=None)
        self.assertNotEqual(http_client.Connection.judge.seen, before)
