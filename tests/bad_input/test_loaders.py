"""Whatever is changed in a file of a run or a backend.toml: it is read, or refused in words; never anything else."""

import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.contract.errors import BadInput
from bench.contract.records import Record, Samples
from fixtures.specs.manifest import load_spec
from reports.across_runs.comparison import compare
from reports.renderers.html import render_html
from reports.renderers.markdown import render_comparison, render_markdown
from reports.renderers.terminal import summary_lines
from reports.sections.report import build_report
from reports.store import documents, samples_file
from reports.store.store import StoredRun, load_run
from tests.bad_input.results import a_document, bad_samples
from tests.fixtures.specs.test_spec import FULL
from tests.reports.records import NASTY, a_record, a_run, a_stored_run, every_verdict

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**400, -(10**30), 1e308, -1e308, 5e-324, -0.0, 2**63, NASTY, "", "\ud800", "../../x", "NaN"])
    | st.text(max_size=20)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6
)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a document."""
    steps = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for step, inner in steps:
        yield (*path, step)
        yield from places(inner, (*path, step))


def whole_document() -> dict[str, Any]:
    """A results.json with everything that there is in it."""
    stored = a_stored_run()
    document: dict[str, Any] = json.loads(documents.json_bytes(documents.results_document(stored.run, stored.records)))
    return document


DOCUMENT = whole_document()
PLACES = list(places(DOCUMENT))


def changed(path: tuple[Any, ...], value: Any, remove: bool) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    parent: Any = document
    for step in path[:-1]:
        parent = parent[step]
    if remove:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return document


def refused(read: Callable[[], object], named: str) -> bool:
    """Whether it was refused, and by its name; anything but a refusal in words goes on up."""
    try:
        read()
    except BadInput as error:
        told = str(error)
    else:
        return False
    assert named in told
    return True


def loaded(folder: Path, named: str) -> StoredRun | None:
    """The run, or None where it is refused by what is named."""
    found: list[StoredRun] = []
    return None if refused(lambda: found.append(load_run(folder)), named) else found[0]


def reported(stored: StoredRun) -> None:
    """All texts of the reports; the pictures are drawn of the same view."""
    view = build_report(stored)
    render_markdown(view, {})
    page = render_html(view, {})
    assert "<script>alert" not in page
    list(summary_lines(view))
    refused(lambda: render_comparison(compare(stored, a_stored_run())), "")


@QUICK
@given(path=st.sampled_from(PLACES), value=VALUES, remove=st.booleans())
def test_results_changed_anywhere_are_reported_or_refused(
    tmp_path: Path, path: tuple[Any, ...], value: Any, remove: bool
) -> None:
    """A field that is gone or holds anything: BadInput that names the file, or reports."""
    (tmp_path / "results.json").write_text(json.dumps(changed(path, value, remove)))
    stored = loaded(tmp_path, "results.json")
    if stored is not None:
        reported(stored)


@QUICK
@given(data=st.data())
def test_bytes_flipped_in_results_are_reported_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """As a disk, or an editor, leaves it."""
    content = bytearray(json.dumps(a_document()).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "results.json").write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    stored = loaded(tmp_path, "results.json")
    if stored is not None:
        reported(stored)


@QUICK
@given(line=VALUES, torn=st.integers(0, 400))
def test_any_line_among_the_records_is_left_out_or_refused(tmp_path: Path, line: Any, torn: int) -> None:
    """A torn line costs its cell; a whole one that is no cell is named."""
    good = documents.record_line(a_record())
    (tmp_path / "run.json").write_bytes(documents.json_bytes(documents.run_document(a_run())))
    (tmp_path / "records.jsonl").write_bytes(good + json.dumps(line).encode() + b"\n" + good[:torn])
    stored = loaded(tmp_path, "records.jsonl, line 2")
    assert stored is None or a_record() in stored.records


@pytest.mark.parametrize("content", bad_samples().values(), ids=bad_samples())
def test_bad_samples_cost_the_distributions_only(tmp_path: Path, content: bytes) -> None:
    """Cut, of another kind, with pickles, or with a head that asks for terabytes: noted; the records stay."""
    (tmp_path / "results.json").write_text(json.dumps(a_document()))
    (tmp_path / "samples.npz").write_bytes(content)
    stored = load_run(tmp_path)
    assert len(stored.records) == 1
    assert stored.samples == {}
    assert "samples.npz cannot be read" in stored.notes[0]


@QUICK
@given(data=st.data())
def test_samples_with_flipped_bytes_are_read_or_noted(data: st.DataObject) -> None:
    """Never anything but the errors that the reader expects."""
    good = samples_file.npz_bytes({"c": Samples(np.array([1.0, 2.0, 3.0]), np.arange(3))})
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = samples_file.samples_from_npz(bytes(content))
    except samples_file.UNREADABLE:
        return
    for samples in found.values():
        assert samples.duration_s.shape == samples.round_index.shape


@QUICK
@given(data=st.data())
def test_a_backend_toml_with_any_line_changed_is_read_or_refused(data: st.DataObject) -> None:
    """By its file's name."""
    lines = FULL.strip().splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    key = lines[at].partition("=")[0].strip() or "x"
    value = data.draw(st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=20), st.lists(st.text(max_size=3))))
    written = json.dumps(value) if not isinstance(value, float) else repr(value)
    lines[at] = data.draw(st.sampled_from([f"{key} = {written}", "", written, f"[{key}]", f"[[{key}]]"]))
    with tempfile.TemporaryDirectory() as folder:
        manifest = _manifest(Path(folder))
        manifest.write_bytes("\n".join(lines).encode(errors="surrogatepass"))
        refused(lambda: load_spec(manifest), str(manifest.parent))


def _manifest(root: Path) -> Path:
    for name in ("backends/server", "serving", "exporters/nnef"):
        (root / name).mkdir(parents=True)
    (root / "backends/server/requirements.txt").write_text("")
    (root / "exporters/nnef/export.py").write_text("")
    return root / "backends/server/backend.toml"


@pytest.mark.parametrize(
    "field", ["backend", "endpoint", "protocol", "runtime", "scenario", "reason", "again", "ratio_to", "leader"]
)
def test_markup_in_any_name_is_text(field: str) -> None:
    """In the page, in Markdown and in the terminal."""
    records = [Record.from_dict({**record.as_dict(), field: NASTY}) for record in every_verdict()]
    reported(StoredRun(a_run(command=NASTY, id=NASTY, engine=NASTY, warnings=(NASTY,)), tuple(records)))
