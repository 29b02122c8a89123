#!/usr/bin/env python3
"""Merges the parts of the OpenAPI document, and writes it as C for the binary.

A part is {"paths": {...}, "schemas": {...}}; base.json is the frame they go into. What
follows from an operation's scope is added here, so that no part can forget it:
`x-weir-scope` gives an operation its security and the answers 401, 403 and 503; each
operation gets the answer `default`.

usage: merge.py --version VERSION [--c] PART... >DOCUMENT
"""
import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ["base.json", "events.json", "jobs.json", "admin.json", "signals.json"]
SCOPED = {"401": "Unauthorized", "403": "Forbidden", "503": "Unavailable"}


def add(target, source, what):
    for name, value in source.items():
        if name in target:
            raise SystemExit("openapi: %s %s stands in two parts" % (what, name))
        target[name] = value


def finish_operation(operation):
    responses = operation["responses"]
    scope = operation.get("x-weir-scope")
    operation["security"] = [{"apiKey": []}, {"bearer": []}] if scope else []
    if scope:
        for status, name in SCOPED.items():
            responses.setdefault(status, {"$ref": "#/components/responses/" + name})
    operation["responses"] = dict(sorted(responses.items()))
    operation["responses"]["default"] = {"$ref": "#/components/responses/Problem"}


def merge(paths, version):
    """The document, as a dict. The first of paths is the frame."""
    parts = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            parts.append(json.load(file))
    document = parts[0]
    document["info"]["version"] = version
    document["paths"] = {}
    for part in parts[1:]:
        add(document["paths"], part["paths"], "the path")
        add(document["components"]["schemas"], part["schemas"], "the schema")
    for path in document["paths"].values():
        for operation in path.values():
            finish_operation(operation)
    return document


def merge_tree(version="0"):
    """The document of this source tree."""
    return merge([os.path.join(HERE, part) for part in PARTS], version)


def write_c(text, out):
    data = text.encode("utf-8")
    out.write('/* Made by merge.py. */\n#include "contracts/openapi.h"\n\n')
    out.write("static const unsigned char TEXT[] = {\n")
    for i in range(0, len(data), 20):
        out.write("    %s,\n" % ", ".join(str(byte) for byte in data[i:i + 20]))
    out.write("};\n\nstruct slice openapi_document(void)\n{\n")
    out.write("    return (struct slice){(const char *)TEXT, sizeof(TEXT)};\n}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--version", required=True)
    parser.add_argument("--c", action="store_true")
    parser.add_argument("parts", nargs="+")
    options = parser.parse_args()
    document = merge(options.parts, options.version)
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    if options.c:
        write_c(text, sys.stdout)
    else:
        sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
