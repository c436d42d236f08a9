"""Runs that were edited by hand, cut, or made by somebody else: what `python -m reports` and `--resume` say of them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract.records import Record
from reports.store import documents
from tests.bad_input.case import BAD_INPUT, NOT_FILES, Case, Write, head, npz, sparse
from tests.reports.records import a_record, a_run

Document = dict[str, Any]
Edit = Callable[[Document], object]

DEEP = "[" * 100_000
MARKUP = '<script>alert("1")</script>'
OF_A_KIND: dict[str, Any] = {"text": MARKUP, "list": [1], "object": {"a": 1}, "flag": True, "huge": 10**400, "fraction": 0.5}
"""Values of each kind that JSON has; a field takes the one kind and refuses the others."""

TOLD = {"huge": "too large a number"}
TAKES = {"str": ("text",), "int": (), "float": ("fraction",), "bool": ("flag",)}


def a_document() -> Document:
    """A results.json that is good."""
    document: Document = json.loads(documents.json_bytes(documents.results_document(a_run(), [a_record()])))
    return document


def edited(edit: Edit) -> Write:
    """A run whose results.json was changed."""

    def write(here: Path) -> None:
        document = a_document()
        edit(document)
        (here / "run").mkdir()
        (here / "run" / "results.json").write_text(json.dumps(document))

    return write


def raw(name: str, content: bytes | str) -> Write:
    """A run with one file of that content."""

    def write(here: Path) -> None:
        (here / "run").mkdir()
        (here / "run" / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _cells()
    yield from _run()
    yield from _whole()
    yield from _lines()
    yield from _named()


def _refused(name: str, write: Write, *words: str) -> Case:
    return Case(f"results: {name}", "reports", ("run",), ("python -m reports: run", *words), BAD_INPUT, write)


def _cells() -> Iterator[Case]:
    """Each field of a cell: missing where it must be there, and a value that it does not take; of each type all such once."""
    tried: set[str] = set()
    must = {"backend", "endpoint", "protocol", "runtime", "role", "scenario", "batch_size", "engine", "verdict"}
    for each in fields(Record):
        if each.name in must:
            yield _refused(f"cell without {each.name}", edited(lambda d, n=each.name: d["cells"][0].pop(n)), each.name)  # type: ignore[misc]
        annotated = str(each.type)
        taken = {kind for name, kinds in TAKES.items() if name in annotated.split(" | ") for kind in kinds}
        wrong = {kind: value for kind, value in OF_A_KIND.items() if kind not in taken}
        if annotated in tried:
            wrong = dict([next(iter(wrong.items()))])
        tried.add(annotated)
        if "None" not in annotated:
            wrong["null"] = None
        for kind, value in wrong.items():
            edit: Edit = lambda d, n=each.name, v=value: d["cells"][0].update({n: v})  # type: ignore[misc]  # noqa: E731
            told = TOLD.get(kind, f"{each.name}: expected")
            yield _refused(f"cell {each.name}: {kind}", edited(edit), told)
        if "int" in annotated or "float" in annotated:
            edit = lambda d, n=each.name: d["cells"][0].update({n: -1})  # type: ignore[misc]  # noqa: E731
            least = 1 if each.name in ("batch_size", "rank") else 0
            yield _refused(f"cell {each.name}: negative", edited(edit), f"{each.name}: expected a figure from {least}")


def _run() -> Iterator[Case]:
    for key in ("run", "environment", "dataset", "model", "cells"):
        yield _refused(f"without {key}", edited(lambda d, k=key: d.pop(k)), key)  # type: ignore[misc]
        for kind in ("text", "flag", "fraction", "huge"):
            value = OF_A_KIND[kind]
            yield _refused(f"{key}: {kind}", edited(lambda d, k=key, v=value: d.update({k: v})), TOLD.get(kind, key))  # type: ignore[misc]
    for key in documents.RUN_KEYS:
        for kind in ("list", "object", "flag", "fraction", "text"):
            texts = key in ("id", "started_utc", "command", "engine")
            lists = key in ("warnings", "study", "gate", "startup", "soak")
            if (texts and kind == "text") or (key in ("options", "backends") and kind == "object"):
                continue
            if key == "backends" or not texts or kind != "text":
                value = OF_A_KIND[kind]
                edit: Edit = lambda d, k=key, v=value: d["run"].update({k: v})  # type: ignore[misc]  # noqa: E731
                if not (key == "options" and kind == "object"):
                    yield _refused(f"run {key}: {kind}", edited(edit), key if texts or lists else "run")
    for value in (0, 99, "3", None, [3], {}):
        edit = lambda d, v=value: d.update(schema_version=v)  # type: ignore[misc]  # noqa: E731
        yield _refused(f"schema_version {value!r}", edited(edit), "schema version")


def _whole() -> Iterator[Case]:
    contents: dict[str, bytes | str] = {
        "empty": "",
        "half": json.dumps(a_document())[:200],
        "list": "[]",
        "number": "3",
        "null": "null",
        "deep": DEEP,
        "deep object": '{"a":' * 100_000,
        "many digits": "9" * 100_000,
        "not utf-8": b"\xff\xfe\x00{",
        "nul bytes": b"\0" * 1000,
        "zip": b"PK\x03\x04" + b"\0" * 100,
        "markup": "<html>",
    }
    for name, content in contents.items():
        yield _refused(name, raw("results.json", content), "results.json")
        yield _refused(f"run.json {name}", raw("run.json", content), "run.json")

    def huge(here: Path) -> None:
        (here / "run").mkdir()
        sparse("run/results.json", 10**11)(here)

    yield _refused("a hundred gigabytes", huge, "results.json", "at most")


def _lines() -> Iterator[Case]:
    """records.jsonl of a run that did not end: a torn line is left out, any other that is wrong is named."""

    def lines(content: bytes | str) -> Write:
        def write(here: Path) -> None:
            raw("run.json", documents.json_bytes(documents.run_document(a_run())))(here)
            (here / "run" / "records.jsonl").write_bytes(content.encode() if isinstance(content, str) else content)

        return write

    good = documents.record_line(a_record()).decode()
    for name, content in {
        "number": good + "3\n",
        "null": good + "null\n",
        "list": good + "[]\n",
        "other object": good + '{"a": 1}\n',
        "unknown field": good + good.replace('"backend"', '"colour": 1, "backend"'),
        "wrong verdict": good + good.replace("VALID", "SPLENDID"),
        "not a number": good + good.replace("612.4", "NaN"),
    }.items():
        yield _refused(f"line: {name}", lines(content), "records.jsonl, line 2")

    def folder(here: Path) -> None:
        lines("")(here)
        (here / "run" / "records.jsonl").unlink()
        sparse("run/records.jsonl", 10**11)(here)

    yield _refused("records.jsonl of a hundred gigabytes", folder, "records.jsonl")


def _named() -> Iterator[Case]:
    """What is given as a run and is none."""
    for name, (path, write) in NOT_FILES.items():
        yield Case(f"reports: {name}", "reports", (path,), ("python -m reports: ", "expected"), BAD_INPUT, write)
        words = ("python -m reports: ",)
        yield Case(f"reports history: {name}", "reports", ("history", path), words, BAD_INPUT, write)
    names: dict[str, bytes | str] = {
        "a path": "../../etc",
        "absolute": "/etc",
        "binary": b"\xff\0",
        "empty": "",
        "lines": "a\nb",
    }
    for name, content in names.items():

        def latest(here: Path, content: bytes | str = content) -> None:
            (here / "latest").write_bytes(content.encode() if isinstance(content, str) else content)

        yield Case(f"reports latest: {name}", "reports", ("latest",), ("latest",), BAD_INPUT, latest)
    yield Case("reports: nothing given", "reports", (), ("RUN",), BAD_INPUT)
    yield Case("reports: unknown option", "reports", ("--frobnicate", "run"), ("--frobnicate",), BAD_INPUT)
    yield Case("reports: three runs", "reports", ("a", "b", "c"), ("unrecognized arguments: c",), BAD_INPUT)
    good = edited(lambda document: None)
    yield Case(
        "--resume: damaged", "pytest", ("--benchmark-only", "--resume=run"), ("results.json",), write=raw("results.json", "{")
    )
    yield Case("--resume: smoke", "pytest", ("--benchmark-disable", "--resume=run"), ("--benchmark-disable",), write=good)
    arguments = ("--benchmark-only", "--resume=run", "--baseline={here}", "--gate=5%")
    yield Case("--resume: of a gate", "pytest", arguments, ("expected a checkout",), write=good)


def bad_samples() -> dict[str, bytes]:
    """Files of samples, each of which must be noted and cost nothing but the distributions."""
    rounds = np.arange(3)
    good = npz(c__duration_s=[1.0, 2.0, 3.0], c__round_index=rounds)
    return {
        "empty": b"",
        "cut": good[:-30],
        "flipped": good[:60] + bytes([good[60] ^ 255]) + good[61:],
        "no zip": b"hello",
        "texts": npz(c__duration_s=["a", "b", "c"], c__round_index=rounds),
        "objects": npz(c__duration_s=head("(3,)", "'|O'") + b"cos\nsystem\n", c__round_index=rounds),
        "two dimensions": npz(c__duration_s=np.ones((3, 1)), c__round_index=rounds),
        "other lengths": npz(c__duration_s=[1.0], c__round_index=rounds),
        "no rounds": npz(c__duration_s=[1.0]),
        "not finite": npz(c__duration_s=[1.0, np.nan, np.inf], c__round_index=rounds),
        "negative": npz(c__duration_s=[1.0, -2.0, 3.0], c__round_index=rounds),
        "huge shape": npz(c__duration_s=head("(10000000000000,)"), c__round_index=rounds),
        "negative shape": npz(c__duration_s=head("(-1,)"), c__round_index=rounds),
        "no head": npz(c__duration_s=b"NUMPY?", c__round_index=rounds),
        "head that is code": npz(c__duration_s=head("(__import__('os').getpid(),)"), c__round_index=rounds),
        "bomb": npz(c__duration_s=head("(3,)") + bytes(50_000_000), c__round_index=rounds)[:-200],
    }
