"""The file formats of a run: what results.json, run.json, records.jsonl and results.csv hold, byte for byte.

The run's folder and its life cycle are in store.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from bench.contract.backend_facts import BackendFacts
from bench.contract.confusion import Confusion, Disagreement
from bench.contract.errors import BadInput
from bench.contract.records import SCHEMA_VERSION, Record, Run, Verdict
from bench.contract.rows import GateRow, SoakRow, StartRow, StudyRow
from reports.store.earlier_versions import as_of_today

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

READABLE = range(1, SCHEMA_VERSION + 1)
BESIDE = ("environment", "dataset", "model")
"""Fields of a run at the top level of its document; all others are in `run`."""

RUN_KEYS = tuple(each.name for each in fields(Run) if each.name not in BESIDE)
_SCHEMA = Path(__file__).with_name("schema.json")
_MOST = 2**63
_SHOWN = 60
_DEEPEST = 40
_MOST_FIGURE = 1e15
_RATES = ("images_per_s", "ratio", "leader_ratio")
RECORD_KEYS = tuple(f.name for f in fields(Record))


def plain(value: object) -> Any:
    """The nearest JSON value of any object: a run must not be lost because one of its facts is a path or a numpy number."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()  # NUL ends a name in a zip file
    if isinstance(value, Mapping):
        return {str(plain(str(key))): plain(item) for key, item in value.items()}
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Set):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in value]
    return plain(str(value))


def parsed(content: bytes) -> Any:
    """The inverse of `json_bytes`; raises ValueError also for JSON that no file of ours contains.

    That is NaN and infinity, numbers too large for a float or an index, and values nested more than `_DEEPEST` deep.
    """
    document = json.loads(content, parse_constant=_no_number, parse_float=_number, parse_int=_number)
    level = [document]
    for _ in range(_DEEPEST):
        level = [inner for each in level for inner in _inner(each)]
        if not level:
            return document
    raise ValueError(f"values within values, more than {_DEEPEST} deep")


def _inner(value: object) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _number(digits: str) -> int | float:
    value = float(digits)
    if not math.isfinite(value) or (abs(value) >= _MOST and digits.lstrip("-").isdigit()):
        raise ValueError(f"{digits[:40]} is too large a number")
    return int(digits) if digits.lstrip("-").isdigit() else value


def run_document(run: Run) -> dict[str, Any]:
    """The content of run.json: the part of results.json that is known before any cell."""
    values = plain(run.as_dict())
    head = {key: values[key] for key in RUN_KEYS}
    return {
        "schema_version": SCHEMA_VERSION,
        "run": head,
        **{key: values[key] for key in BESIDE},
    }


def results_document(run: Run, records: Iterable[Record]) -> dict[str, Any]:
    """The content of results.json."""
    return {**run_document(run), "cells": [plain(record.as_dict()) for record in records]}


def run_from_document(document: Any, source: str) -> Run:
    """The run in a results.json or run.json; raises BadInput, which names the file `source`, for anything else."""
    if not isinstance(document, Mapping) or "schema_version" not in document:
        raise BadInput(f"{source} is not a result of servebench: it has no schema_version.")
    version = document["schema_version"]
    if not isinstance(version, int) or version not in READABLE:
        raise BadInput(
            f"{source} has schema version {version!r}; this version of servebench reads 1 to {SCHEMA_VERSION}. "
            f"Render it with the version of servebench that wrote it."
        )
    wrong = _misfit("run", {**document, "cells": []})  # cells are checked one by one, each by its number
    if wrong:
        raise BadInput(f"{source} is damaged: expected a run with {', '.join(RUN_KEYS)}; missing or wrong: {wrong}.")
    head = document["run"]
    return Run(
        **{key: head[key] for key in ("id", "started_utc", "command", "engine", "options")},
        **{key: document[key] for key in BESIDE},
        backends={name: BackendFacts.from_dict(facts) for name, facts in head["backends"].items()},
        warnings=tuple(head["warnings"]),
        study=tuple(StudyRow.from_dict(row) for row in head.get("study", ())),
        confusion=Confusion.from_dict(head["confusion"]) if head.get("confusion") else None,
        disagreements=tuple(Disagreement(**row) for row in head.get("disagreements", ())),
        gate=tuple(GateRow.from_dict(row) for row in head.get("gate", ())),
        startup=tuple(StartRow.from_dict(row) for row in head.get("startup", ())),
        soak=tuple(SoakRow.from_dict(row) for row in head.get("soak", ())),
    )


def cells_from_document(document: Mapping[str, Any], source: str) -> list[Record]:
    """The cells of a results.json; raises BadInput."""
    cells = document.get("cells")
    if not isinstance(cells, list):
        raise BadInput(f"{source} is damaged: expected a list of cells.")
    return [record_from_document(cell, f"{source}, cell {number}") for number, cell in enumerate(cells, start=1)]


def record_from_document(cell: Any, source: str) -> Record:
    """One cell of results.json or one line of records.jsonl, of any readable version.

    Raises BadInput, which names it by `source`, for anything else.
    """
    wrong = _misfit("cell", cell) or _no_measurement(cell)
    if wrong:
        raise BadInput(f"{source} is not a cell of schema version {SCHEMA_VERSION}: {wrong}.")
    return Record.from_dict(as_of_today(cell))


@cache
def _validator(part: str) -> Draft202012Validator:
    """The validator of `run`, the whole document, or of a `cell`; unlike in JSON Schema, 1.0 is not an integer."""
    # jsonschema takes long to import: a session that reads no run must not pay for it.
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    schema["$defs"]["cell"]["properties"]["verdict"]["enum"] = [str(verdict) for verdict in Verdict]  # declared only there
    kind: type[Draft202012Validator] = extend(Draft202012Validator, type_checker=checker)  # type: ignore[no-untyped-call]
    return kind(schema if part == "run" else {**schema["$defs"][part], "$defs": schema["$defs"]})


def _misfit(part: str, value: object) -> str:
    """Why a value does not fit that part of the schema, in a sentence that names the field; empty if it does."""
    error = next(_validator(part).iter_errors(value), None)
    return "" if error is None else _told(error, part)


def _told(error: ValidationError, part: str) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)[1:]
    inside = f"{_shown(place)}." if place else ""
    rule, wanted, given, schema = (getattr(error, name) for name in ("validator", "validator_value", "instance", "schema"))
    if rule == "required":
        return f"{inside}{next(name for name in wanted if name not in given)} is missing"
    if rule == "additionalProperties":
        allowed = schema["properties"]
        return f"{inside}{_shown(next(name for name in given if name not in allowed))} is unknown; known: {', '.join(allowed)}"
    if rule == "type":
        expected = " or ".join(_WORDS[name] for name in ([wanted] if isinstance(wanted, str) else wanted))
    elif rule == "enum":
        expected = f"one of {', '.join(map(str, wanted))}"
    else:
        expected = f"a figure from {wanted}" if rule == "minimum" else f"at most {wanted}"
    return f"{_shown(place) or part}: expected {expected}, seen {_shown(repr(given))}"


_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


def _shown(text: str) -> str:
    """Any text in ASCII on one line, cut to `_SHOWN` characters."""
    return ascii(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")[1:-1].replace("\\\\", "\\")


def _no_measurement(cell: Mapping[str, Any]) -> str:
    """Which number in a cell cannot be a measurement: negative, too large, or too small for a rate; empty if none."""
    for name, value in cell.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            tiny = name.startswith(_RATES) and 0 < value < 1 / _MOST_FIGURE
            if value < 0 or tiny or (isinstance(value, float) and value > _MOST_FIGURE):
                return f"{name}: expected a figure from 0 to {_MOST_FIGURE:g}, seen {value!r}"
    return ""


def normalised(record: Record) -> Record:
    """The record as it will be read back: numpy numbers are numbers, NaN and infinity are None."""
    return Record.from_dict(plain(record.as_dict()))


def json_bytes(document: Any) -> bytes:
    """Indented JSON for people and programs; `document` has gone through `plain`."""
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def record_line(record: Record) -> bytes:
    """One line of records.jsonl."""
    return (json.dumps(plain(record.as_dict()), ensure_ascii=False, allow_nan=False) + "\n").encode()


def csv_bytes(records: Sequence[Record]) -> bytes:
    """The content of results.csv: a row for each cell, a column for each field of a record, numbers in full precision."""
    # pandas takes half a second to import: a session without a record (unit tests, --help) must not pay for it.
    import pandas as pd

    rows = [[plain(value) for value in record.as_dict().values()] for record in records]
    # dtype=object keeps integers if another row has no value (pandas would make 1 a 1.0).
    table = pd.DataFrame(rows, columns=list(RECORD_KEYS), dtype=object)
    return table.to_csv(index=False, lineterminator="\n").encode()
