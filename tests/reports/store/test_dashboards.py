"""What others' dashboards read: held against Bencher's schema and what github-action-benchmark makes of a range."""

import json
import re
from dataclasses import replace

import jsonschema

from bench.contract.records import Verdict
from reports.store.dashboards import bencher, github_action_benchmark
from reports.store.documents import json_bytes
from tests.reports.records import a_record, every_verdict

METRIC = {
    "type": "object",
    "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
    "required": ["value"],
    "additionalProperties": False,
}
BENCHER = {
    "type": "object",
    "patternProperties": {".+": {"type": "object", "patternProperties": {".+": METRIC}, "minProperties": 1}},
    "additionalProperties": False,
}
RANGE = re.compile(r"(\+-|±)\s*(\d.+)")


def test_bencher_gets_value_and_interval_of_each_valid_cell() -> None:
    """Its schema holds; nothing doubtful is drawn as a point like any other."""
    document = json.loads(json_bytes(bencher(every_verdict())))
    jsonschema.validate(document, BENCHER)
    assert set(document) == {r.id for r in every_verdict() if r.verdict is Verdict.VALID and r.rank is not None}
    record = next(record for record in every_verdict() if record.id == "flask-rest-single")
    assert document[record.id]["throughput"] == {
        "value": record.images_per_s,
        "lower_value": record.images_per_s_low,
        "upper_value": record.images_per_s_high,
    }
    assert document[record.id]["latency"] == {"value": 1e9 * (record.latency_p50_s or 0.0)}


def test_github_action_benchmark_can_read_each_range() -> None:
    """A list of name, unit and value; the range parses as that reader parses it; without an interval there is none."""
    document = json.loads(json_bytes(github_action_benchmark(every_verdict())))
    assert {each["name"] for each in document} == set(bencher(every_verdict()))
    for each in document:
        found = RANGE.search(each["range"])
        assert found
        assert 0 < float(found.group(2)) < each["value"]
        assert each["unit"] == "images/s"
        assert isinstance(each["extra"], str)
    (bare,) = github_action_benchmark([replace(a_record(), images_per_s_low=None, images_per_s_high=None)])
    assert "range" not in bare
