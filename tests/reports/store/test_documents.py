"""results.json, results.csv and samples.npz are what docs/results.md and the schema say."""

import ast
import inspect
import io
import itertools
import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest

from bench.contract.errors import BadInput
from bench.contract.records import SCHEMA_VERSION, Record, Run, Verdict
from bench.contract.rows import StudyRow, StudyStep
from reports.__main__ import main
from reports.store import documents, samples_file
from reports.store.store import load_run
from tests.reports.records import NASTY, a_record, a_run, a_stored_run, every_verdict, many, some_gate, some_soak, some_starts

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The schema in the tree."""
    loaded: dict[str, Any] = json.loads((ROOT / "reports" / "store" / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(loaded)
    return loaded


@pytest.mark.parametrize(
    "records",
    [every_verdict(), [], [a_record()], many(40), [a_record(backend=NASTY, reason=NASTY)]],
    ids=["every verdict", "zero", "one", "forty", "nasty"],
)
def test_results_json_fits_its_schema(schema: dict[str, Any], records: list[Record]) -> None:
    """Whatever was measured."""
    document = json.loads(documents.json_bytes(documents.results_document(a_run(), records)))
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def test_schema_refuses_what_is_not_a_result(schema: dict[str, Any]) -> None:
    """An unknown field, an unknown verdict, a missing field."""
    good = documents.results_document(a_run(), [a_record()])
    cell = good["cells"][0]
    for bad in ({**cell, "colour": 1}, {**cell, "verdict": "SPLENDID"}, {k: v for k, v in cell.items() if k != "verdict"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, "cells": [bad]}, schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("version", documents.READABLE)
def test_a_result_of_every_version_fits_the_schema_and_renders(schema: dict[str, Any], tmp_path: Path, version: int) -> None:
    """Each was written by the code of its time."""
    shutil.copytree(ROOT / "tests" / "data" / f"results-{version}", tmp_path / "run")
    document = json.loads((tmp_path / "run" / "results.json").read_text())
    assert document["schema_version"] == version
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    assert load_run(tmp_path / "run").records[0] == a_record(**_not_yet(document["cells"][0]))
    assert main([str(tmp_path / "run")]) == 0
    assert "612" in (tmp_path / "run" / "report.html").read_text()
    assert "612" in (tmp_path / "run" / "report.md").read_text()


def _not_yet(cell: dict[str, Any]) -> dict[str, Any]:
    """The fields that a cell's version had not: what its scenario's name says, else their defaults."""
    defaults = {each.name: each.default for each in fields(Record) if each.name not in cell}
    return {**defaults, "title": "Single images"}


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("rounds", 1.0, "rounds: expected a whole number, seen 1.0"),
        ("rounds", True, "rounds: expected a whole number, seen True"),
        ("rank", "3", "rank: expected a whole number or null, seen '3'"),
        ("images_per_s", [1], "images_per_s: expected a number or null, seen [1]"),
        ("arrival", "nap", "arrival: expected one of closed-loop, poisson, constant, seen 'nap'"),
        ("batch_size", 0, "batch_size: expected a figure from 1, seen 0"),
        ("accuracy", 1.5, "accuracy: expected at most 1, seen 1.5"),
        ("colour\n", 1, "colour\\n is unknown; known: backend, endpoint,"),
        ("reason", {"a\n": "b" * 99}, "reason: expected a text, seen {'a\\n': 'bbb"),
    ],
)
def test_a_field_that_does_not_fit_is_told_in_one_line(field: str, value: object, told: str) -> None:
    """File and cell, field, expected and seen."""
    with pytest.raises(BadInput) as refused:
        documents.record_from_document({**a_record().as_dict(), field: value}, "results.json, cell 1")
    said = str(refused.value)
    assert said.startswith(f"results.json, cell 1 is not a cell of schema version {SCHEMA_VERSION}: {told}")
    assert said.isprintable()


ROWS = {
    "study": (StudyRow("a", "rest", "v1-json", "single", 1, "process", StudyStep.PREPARED, "c", 1.0, 0.9, 1.1, 9, 1.0),),
    "startup": some_starts(),
    "soak": some_soak(),
    "gate": some_gate(),
}


@pytest.mark.parametrize("key", ROWS)
def test_rows_beside_the_cells_survive_the_file_and_fit_its_schema(schema: dict[str, Any], key: str) -> None:
    """Written, read back, the same; a row that was edited by hand is refused by name."""
    document = json.loads(documents.json_bytes(documents.results_document(a_run(**{key: ROWS[key]}), [a_record()])))
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    assert getattr(documents.run_from_document(document, "results.json"), key) == ROWS[key]
    document["run"][key][0]["sideways"] = 1
    with pytest.raises(BadInput, match=rf"results\.json is damaged.*run\.{key}\[0\]\.sideways is unknown"):
        documents.run_from_document(document, "results.json")


def test_a_place_deep_in_a_run_is_named() -> None:
    """By the way to it."""
    document = documents.results_document(a_run(), [])
    document["run"]["gate"][0]["outcome"] = "maybe"
    with pytest.raises(BadInput, match=r"run\.gate\[0\]\.outcome: expected one of pass, fail, cannot tell, seen 'maybe'\.$"):
        documents.run_from_document(document, "results.json")
    del document["run"]["gate"][0]["cell"]
    with pytest.raises(BadInput, match=r"run\.gate\[0\]\.(cell is missing|outcome)"):
        documents.run_from_document(document, "results.json")


def test_schema_and_documentation_name_every_field_in_order(schema: dict[str, Any]) -> None:
    """A field that is added to Record or Run must be described before it is released."""
    cell_fields = [field.name for field in fields(Record)]
    run_fields = [field.name for field in fields(Run) if field.name not in ("environment", "dataset", "model")]
    text = (ROOT / "docs" / "results.md").read_text()
    assert list(schema["$defs"]["cell"]["properties"]) == cell_fields
    assert set(schema["properties"]["run"]["properties"]) == set(run_fields)
    assert schema["$defs"]["cell"]["properties"]["verdict"]["enum"] == [str(verdict) for verdict in Verdict]
    assert schema["properties"]["schema_version"]["enum"] == list(documents.READABLE)
    for name in (*run_fields, *map(str, Verdict)):
        assert f"| `{name}` |" in text


def test_documentation_and_schema_say_what_stands_below_each_field_of_a_record(schema: dict[str, Any]) -> None:
    """One description, where the field is declared; a row of docs/results.md and a line of the schema repeat it."""
    words = {"str": "string", "int": "integer", "float": "number", "Verdict": "string", "Arrival": "string", "None": "null"}
    (record,) = ast.parse(inspect.getsource(Record)).body
    assert isinstance(record, ast.ClassDef)
    rows = []
    for declared, below in itertools.pairwise(record.body):
        if isinstance(declared, ast.AnnAssign):
            name, said = ast.unparse(declared.target), " ".join(str(ast.literal_eval(ast.unparse(below))).split())
            kinds = " or ".join(words[word] for word in ast.unparse(declared.annotation).split(" | "))
            rows.append(f"| `{name}` | {kinds} | {said} |")
            assert schema["$defs"]["cell"]["properties"][name]["description"] == said
    text = (ROOT / "docs" / "results.md").read_text()
    table = text[text.index("### cells") : text.index("### Verdicts")]
    assert [line for line in table.splitlines() if line.startswith("| `")] == rows


def test_csv_agrees_with_json_on_every_value() -> None:
    """A row a cell, all digits, whole numbers whole, null is empty."""
    records = [*every_verdict(), a_record(backend=NASTY, reason=NASTY)]
    table = pd.read_csv(io.BytesIO(documents.csv_bytes(records)), dtype=str, keep_default_na=False)
    cells = documents.results_document(a_run(), records)["cells"]
    assert list(table.columns) == list(documents.RECORD_KEYS)
    assert len(table) == len(cells)
    for row, cell in zip(table.to_dict("records"), cells, strict=True):
        for key, value in cell.items():
            if value is None:
                assert row[key] == ""
            elif isinstance(value, str):
                assert row[key].replace("\r\n", "\n") == value
            else:
                assert type(value)(row[key]) == value


def test_csv_of_no_cell_has_its_header() -> None:
    """A program that reads it finds the columns."""
    assert documents.csv_bytes([]).decode().strip() == ",".join(documents.RECORD_KEYS)


def test_samples_are_plain_arrays_by_cell() -> None:
    """As documented: two arrays a cell, readable without pickle, the same bytes for the same samples."""
    stored = a_stored_run()
    content = samples_file.npz_bytes(stored.samples)
    assert content == samples_file.npz_bytes(stored.samples)
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        for cell, samples in stored.samples.items():
            assert archive[f"{cell}/duration_s"].dtype == np.float64
            assert archive[f"{cell}/round_index"].dtype == np.int64
            np.testing.assert_array_equal(archive[f"{cell}/duration_s"], samples.duration_s)
            np.testing.assert_array_equal(archive[f"{cell}/round_index"], samples.round_index)
