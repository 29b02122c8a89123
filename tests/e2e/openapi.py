"""The OpenAPI document as a judge: holds answers of the server against it.

Every answer that a case gets through Connection.request() is looked up here by method and
path; its status must be one that the operation names, its body must match the schema. The
validator knows the keywords that the document uses, and refuses others, so that none is
written there without being checked.
"""
import importlib.util
import json
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ANNOTATIONS = {"description", "default", "title", "examples"}
# Framing, size, time and method: decided before or beside the operation; see "default".
TRANSPORT = {400, 404, 405, 408, 411, 413, 414, 415, 417, 431, 500, 501, 503, 505}
BODIES_MAX = 50  # of one operation and status; the others are only looked at for their status
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
}
FORMATS = {"uuid": UUID.fullmatch, "date-time": DATE_TIME.fullmatch,
           "uri-reference": lambda v: not re.search(r"\s", v)}


def load():
    """The document of the source tree, put together as the build does it."""
    path = os.path.join(ROOT, "contracts", "openapi", "merge.py")
    spec = importlib.util.spec_from_file_location("merge", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.merge_tree()


class Mismatch(AssertionError):
    """A value that its schema does not allow."""


class Schemas:
    """Validates values against schemas of one document."""

    def __init__(self, document):
        self.document = document

    def resolve(self, node):
        while "$ref" in node:
            assert set(node) <= {"$ref", "description"}, node
            at = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            node = at
        return node

    def check(self, schema, value, path=""):
        schema = self.resolve(schema)
        for keyword, rule in schema.items():
            if keyword not in ANNOTATIONS:
                check = getattr(self, "on_" + keyword.replace("$", ""), None)
                assert check is not None, "keyword %s is not known here" % keyword
                check(rule, value, path, schema)

    def accepts(self, schema, value):
        try:
            self.check(schema, value)
        except Mismatch:
            return False
        return True

    @staticmethod
    def need(condition, path, value, what):
        if not condition:
            raise Mismatch("%s: %.200r: %s" % (path or "/", value, what))

    def on_type(self, rule, value, path, _):
        names = rule if isinstance(rule, list) else [rule]
        self.need(any(TYPES[name](value) for name in names), path, value, "type %s" % rule)

    def on_const(self, rule, value, path, _):
        self.need(value == rule and isinstance(value, bool) == isinstance(rule, bool), path,
                  value, "const %r" % rule)

    def on_enum(self, rule, value, path, _):
        self.need(value in rule, path, value, "enum %s" % rule)

    def on_required(self, rule, value, path, _):
        if isinstance(value, dict):
            for name in rule:
                self.need(name in value, path, value, "misses %s" % name)

    def on_properties(self, rule, value, path, _):
        if isinstance(value, dict):
            for name in set(rule) & set(value):
                self.check(rule[name], value[name], "%s/%s" % (path, name))

    def on_additionalProperties(self, rule, value, path, schema):  # pylint: disable=C0103
        if not isinstance(value, dict):
            return
        for name in set(value) - set(schema.get("properties", {})):
            self.need(rule is not False, path, value, "has %s as well" % name)
            if rule is not True:
                self.check(rule, value[name], "%s/%s" % (path, name))

    def on_items(self, rule, value, path, _):
        if isinstance(value, list):
            for index, item in enumerate(value):
                self.check(rule, item, "%s/%d" % (path, index))

    def on_oneOf(self, rule, value, path, _):  # pylint: disable=C0103
        count = sum(self.accepts(schema, value) for schema in rule)
        self.need(count == 1, path, value, "matches %d of oneOf" % count)

    def on_format(self, rule, value, path, _):
        if isinstance(value, str):
            self.need(FORMATS[rule](value), path, value, "format %s" % rule)

    def on_pattern(self, rule, value, path, _):
        if isinstance(value, str):
            self.need(re.search(rule, value), path, value, "pattern %s" % rule)

    def on_minLength(self, rule, value, path, _):  # pylint: disable=C0103
        if isinstance(value, str):
            self.need(len(value) >= rule, path, value, "at least %d characters" % rule)

    def on_maxLength(self, rule, value, path, _):  # pylint: disable=C0103
        if isinstance(value, str):
            self.need(len(value) <= rule, path, value, "at most %d characters" % rule)

    def on_minItems(self, rule, value, path, _):  # pylint: disable=C0103
        if isinstance(value, list):
            self.need(len(value) >= rule, path, value, "at least %d items" % rule)

    def on_maxItems(self, rule, value, path, _):  # pylint: disable=C0103
        if isinstance(value, list):
            self.need(len(value) <= rule, path, value, "at most %d items" % rule)

    def on_minimum(self, rule, value, path, _):
        if TYPES["number"](value):
            self.need(value >= rule, path, value, "at least %s" % rule)

    def on_maximum(self, rule, value, path, _):
        if TYPES["number"](value):
            self.need(value <= rule, path, value, "at most %s" % rule)

    def on_exclusiveMinimum(self, rule, value, path, _):  # pylint: disable=C0103
        if TYPES["number"](value):
            self.need(value > rule, path, value, "above %s" % rule)


class Judge:
    """Knows the operations, and holds answers against them."""

    def __init__(self, document=None):
        self.document = document or load()
        self.schemas = Schemas(self.document)
        self.seen = {}  # (method, pattern, status) -> answers held against it
        self.patterns = []
        for pattern in sorted(self.document["paths"], key=lambda p: p.count("{")):
            regex = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(pattern))
            self.patterns.append((re.compile(regex), pattern))

    def operations(self):
        """All of them, as (method, pattern, operation)."""
        for pattern, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), pattern, operation

    def find(self, method, target):
        """The operation's pattern and description, or None for what is no operation."""
        path = target.split("?")[0]
        method = "get" if method == "HEAD" else method.lower()
        for regex, pattern in self.patterns:
            if regex.fullmatch(path) and method in self.document["paths"][pattern]:
                return pattern, self.document["paths"][pattern][method]
        return None

    def check(self, method, target, response):
        """Raises Mismatch when the operation does not describe such an answer."""
        found = self.find(method, target)
        if found is None or response.status < 200:
            return
        pattern, operation = found
        where = "%s %s -> %d" % (method, pattern, response.status)
        key = (method, pattern, response.status)
        self.seen[key] = self.seen.get(key, 0) + 1
        answer = operation["responses"].get(str(response.status))
        if answer is None:
            if response.status not in TRANSPORT:
                raise Mismatch("%s: the document does not name this status: %r" % (where, response))
            answer = operation["responses"]["default"]
        if method == "HEAD" or self.seen[key] > BODIES_MAX:
            return
        self.check_body(where, self.schemas.resolve(answer), response)

    def check_body(self, where, answer, response):
        media = response.header("content-type", "").split(";")[0].strip()
        if media not in answer["content"]:
            raise Mismatch("%s: content type %r" % (where, media))
        for name in answer.get("headers", {}):
            if response.header(name) is None and name != "Location":
                raise Mismatch("%s: no header %s" % (where, name))
        if not media.endswith("json"):
            return
        try:
            self.schemas.check(answer["content"][media]["schema"], json.loads(response.body))
        except Mismatch as error:
            raise Mismatch("%s: %s" % (where, error)) from None
