"""What really lies in a journal, told by `weir journal dump`, and whether that is right."""
import collections
import json
import subprocess

from harness import EX_IO, environment, run_weir


def find_events(value):
    """The envelopes in one dumped record, wherever they stand."""
    if isinstance(value, dict):
        if "event_id" in value and "schema_version" in value:
            return [value]
        return [found for item in value.values() for found in find_events(item)]
    if isinstance(value, list):
        return [found for item in value for found in find_events(item)]
    if isinstance(value, str) and value.startswith('{"schema_version":'):
        return find_events(json.loads(value))
    return []


def dump_events(data, binary):
    """Yields each event envelope that stands in the journal, without holding them all."""
    process = subprocess.Popen([binary, "journal", "dump", "--data", data],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
                               encoding="utf-8")
    try:
        for line in process.stdout:
            yield from find_events(json.loads(line))
        _, error = process.communicate()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
    assert process.returncode == 0, "journal dump exited with %d: %s" % (
        process.returncode, error[-2000:])


def dump_ids(data, binary):
    """How often each event id stands in the journal."""
    return collections.Counter(found["event_id"].lower() for found in dump_events(data, binary))


def verify(data, binary=None):
    """(is it clean, what `weir journal verify` said)."""
    status, out, err = run_weir("journal", "verify", "--data", data, binary=binary, timeout=300)
    assert status in (0, 1, EX_IO), "journal verify exited with %d: %s" % (status, err)
    return status == 0, out + err
