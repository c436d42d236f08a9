"""The folder of a run: creates it, appends each record at once, completes it at the end, reads it back.

Measuring goes on whatever happens to the folder: what cannot be written there goes to a temporary folder, and
`problems` says so. No method of `RunStore` raises OSError; `load_run` raises BadInput, which says what is wrong.

Writing and reading are one module, since each of the folder's files is named, written and read only here.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.contract.errors import BadInput
from bench.contract.options import given_path, may_be_read
from bench.contract.records import Record, Run, Samples
from reports.store import dashboards, documents, samples_file
from reports.store.folder_lock import Hold

RESULTS, RUN, RECORDS, CSV, SAMPLES = "results.json", "run.json", "records.jsonl", "results.csv", "samples.npz"
BENCHER, GITHUB = "bencher.json", "github-action-benchmark.json"
SAMPLE_PARTS = "samples.parts"
UNDERWAY, UNDERWAY_SAMPLES = "underway.jsonl", "underway.npz"
LATEST = "latest"

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
_MOST_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it was measured: records in the order measured, samples by cell id, `notes` on what is incomplete."""

    run: Run
    records: tuple[Record, ...]
    samples: Mapping[str, Samples] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def absent(self) -> frozenset[str]:
        """The backends that could not be measured here at all, and that did not fail either."""
        had = {record.backend for record in self.records if not record.verdict.absent}
        return frozenset(record.backend for record in self.records) - had

    def present(self) -> StoredRun:
        """The run without the backends that are `absent`."""
        absent, run = self.absent(), self.run
        if not absent:
            return self
        startup = tuple(row for row in run.startup if row.backend not in absent)
        backends = {name: facts for name, facts in run.backends.items() if name not in absent}
        records = tuple(record for record in self.records if record.backend not in absent)
        return replace(self, run=replace(run, startup=startup, backends=backends), records=records)


class RunStore:
    """Stores a run in `<parent>/<utc time>-<host>/`, and in memory, so that a full disk loses no measurement.

    The folder is locked (`folder_lock`) until `finish`, which tells a run that is going on from one that was killed.
    """

    def __init__(self, parent: Path, run: Run, host: str) -> None:
        self._parent = parent
        self._name = folder_name(run.started_utc, host)
        self._run = run
        self._records: dict[str, Record] = {}
        self._samples: dict[str, Samples] = {}
        self._underway: dict[str, tuple[Record, Samples]] = {}
        self._problems: list[str] = []
        self._folder: Path | None = None
        self._holds: list[Hold] = []
        self._parts = 0
        self._write(self._write_run)

    @property
    def folder(self) -> Path | None:
        """The run's folder; None if nothing can be written anywhere."""
        return self._folder

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be written, and where it went instead: complete sentences for the terminal."""
        return tuple(self._problems)

    @property
    def stored(self) -> StoredRun:
        """All that was measured so far; a cell that was recorded several times is in it once, with its newest record."""
        records, samples = _with_underway(self._records, self._samples, self._underway)
        return StoredRun(self._run, tuple(records.values()), samples)

    def update_run(self, run: Run) -> None:
        """Replace the run's facts by newer ones."""
        self._run = run
        self._write(self._write_run)

    def add(self, record: Record, samples: Samples | None) -> None:
        """Store a finished cell; its record and samples are on disk when this returns."""
        record = documents.normalised(record)
        self._records[record.id] = record
        self._samples.pop(record.id, None)
        if samples is not None:
            self._samples[record.id] = samples
        self._parts += 1
        part = self._parts
        self._write(lambda folder: self._append(folder, part, record, samples))

    def keep_underway(self, cells: Sequence[tuple[Record, Samples]]) -> None:
        """Store the unfinished cells of the running campaign, in place of those stored before; none once they are finished."""
        self._underway = {record.id: (documents.normalised(record), samples) for record, samples in cells}
        self._write(lambda folder: _write_underway(folder, self._underway))

    def finish(self) -> None:
        """Write the files of `complete`, each whole or not at all; point `latest` here; unlock the folder."""
        self._write(lambda folder: complete(folder, self.stored))
        self._write(lambda folder: _write_underway(folder, {}))
        self._write(_remove_parts)
        if self._folder is not None and self._folder.parent == self._parent:
            try:
                point_latest(self._folder)
            except OSError as error:
                self._problems.append(f"{self._parent / LATEST} could not be pointed at this run: {error}.")
        for hold in self._holds:
            hold.release()

    def _write(self, action: Callable[[Path], None]) -> None:
        """Do `action` in the folder; if that fails, repeat it in a temporary folder, which then holds everything so far."""
        try:
            if self._folder is None and not self._problems:
                self._folder = _new_folder(self._parent, self._name)
                self._holds.append(Hold(self._folder))
            if self._folder is not None:
                action(self._folder)
            return
        except OSError as error:
            failed, reason = self._folder or self._parent, error
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=f"servebench-{self._name}-"))
            self._holds.append(Hold(self._folder))  # the one before stays locked too: the run that began in it goes on
            self._write_run(self._folder)
            for part, (cell, record) in enumerate(self._records.items(), start=1):
                self._append(self._folder, part, record, self._samples.get(cell))
            _write_underway(self._folder, self._underway)
            action(self._folder)
            self._problems.append(f"Results could not be written to {failed}: {reason}. They are in {self._folder} instead.")
        except OSError as error:
            self._folder = None
            self._problems.append(
                f"Results could not be written to {failed}: {reason}; nor to a temporary folder: {error}. "
                f"Only this terminal has them: make room, or give --report-dir a folder that can be written, and run again."
            )

    def _write_run(self, folder: Path) -> None:
        write_atomic(folder / RUN, documents.json_bytes(documents.run_document(self._run)))

    def _append(self, folder: Path, part: int, record: Record, samples: Samples | None) -> None:
        if samples is not None:
            (folder / SAMPLE_PARTS).mkdir(exist_ok=True)
            content = samples_file.npz_bytes({record.id: samples})
            write_atomic(folder / SAMPLE_PARTS / f"{part:06}.npz", content)
        with (folder / RECORDS).open("ab") as file:
            file.write(documents.record_line(record))
            file.flush()
            os.fsync(file.fileno())


def folder_name(started_utc: str, host: str) -> str:
    """`20261122T221300Z-host`: sorts by time; only letters, digits, dots, dashes and underscores."""
    try:
        started = datetime.fromisoformat(started_utc)
    except ValueError:
        started = datetime.now(UTC)
    when = (started if started.tzinfo else started.replace(tzinfo=UTC)).astimezone(UTC)
    return f"{when:%Y%m%dT%H%M%SZ}-{re.sub(r'[^A-Za-z0-9._-]+', '_', host)[:60].strip('._-') or 'host'}"


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file, which is then there whole, or as it was before; raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def complete(folder: Path, stored: StoredRun) -> None:
    """Write the files that a finished run has beyond run.json and records.jsonl; raises OSError."""
    write_atomic(folder / RESULTS, documents.json_bytes(documents.results_document(stored.run, stored.records)))
    write_atomic(folder / SAMPLES, samples_file.npz_bytes(stored.samples))
    write_atomic(folder / CSV, documents.csv_bytes(stored.records))
    write_atomic(folder / BENCHER, documents.json_bytes(dashboards.bencher(stored.records)))
    write_atomic(folder / GITHUB, documents.json_bytes(dashboards.github_action_benchmark(stored.records)))


def point_latest(folder: Path) -> None:
    """Make `latest` beside the folder a symbolic link to it, or a file with its name if links cannot be made."""
    latest = folder.parent / LATEST
    temporary = folder.parent / f".{LATEST}.{os.getpid()}.tmp"
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(folder.name, target_is_directory=True)
        temporary.replace(latest)
    except (OSError, NotImplementedError):
        temporary.unlink(missing_ok=True)
        write_atomic(latest, f"{folder.name}\n".encode())


def resolve_latest(folder: Path) -> Path:
    """The folder that `latest` names if it is a file; any other path unchanged. Raises BadInput if that file names none."""
    if folder.name != LATEST or not folder.is_file():
        return folder
    try:
        name = _bounded(folder).decode().strip()
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder} cannot be read: {error}. Give the folder of one run.") from None
    if not _FOLDER_NAME.fullmatch(name):
        raise BadInput(f"{folder}: expected the name of a run's folder in it, seen {name[:80]!a}. Give the folder of one run.")
    return folder.parent / name


def named_run(name: str, typed_in: Path, parent: Path) -> Path:
    """The folder that a user means by `name`: a path relative to `typed_in`, or `latest`, the newest run in `parent`.

    Unlike the link of that name, the newest run may be one that did not end. Raises BadInput if there is none.
    """
    with may_be_read(f"--resume {name}"):
        if name != LATEST or (typed_in / name).exists():
            return resolve_latest(given_path("--resume", name, typed_in))
        # The name of a run's folder begins with its time. The link `latest` is one of them under another name.
        runs = [each for each in parent.glob("*Z-*") if (each / RUN).is_file() and not each.is_symlink()]
    if not runs:
        raise BadInput(f"{LATEST}: expected a run in {parent}, seen none. Give a run's folder, or its --report-dir as well.")
    return max(runs, key=lambda each: each.name)


def load_run(folder: Path) -> StoredRun:
    """Read a run back: results.json, or run.json and records.jsonl of a run that did not end; raises BadInput."""
    with may_be_read(str(folder)):
        return _loaded(resolve_latest(folder))


def _loaded(folder: Path) -> StoredRun:
    if (folder / RESULTS).is_file():
        document = _read_json(folder / RESULTS)
        run = documents.run_from_document(document, str(folder / RESULTS))
        records = documents.cells_from_document(document, str(folder / RESULTS))
        notes: list[str] = []
    elif (folder / RUN).is_file():
        run = documents.run_from_document(_read_json(folder / RUN), str(folder / RUN))
        records, notes = _read_lines(folder / RECORDS)
        notes.insert(0, "This run did not end: it was stopped, or still goes on. Shown is what it had finished until then.")
        finished = {record.id for record in records}
        underway = [record for record in _read_lines(folder / UNDERWAY)[0] if record.id not in finished]
        if underway:
            records += underway
            notes.insert(1, f"Of cells that were being measured ({len(underway)}) what was kept last is shown, unverified.")
    else:
        raise BadInput(f"{folder} holds no run: expected {RESULTS}, or {RUN} and {RECORDS}. Give the folder of one run.")
    newest = {record.id: record for record in records}
    samples, sample_notes = _read_samples(folder)
    return StoredRun(run, tuple(newest.values()), samples, (*notes, *sample_notes))


def _new_folder(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("", *(f"-{n}" for n in range(2, 100))):
        try:
            (parent / f"{name}{suffix}").mkdir()
        except FileExistsError:
            continue
        return parent / f"{name}{suffix}"
    raise OSError(f"a hundred runs of this second lie in {parent} already")


def _write_underway(folder: Path, cells: Mapping[str, tuple[Record, Samples]]) -> None:
    if not cells:
        for name in (UNDERWAY, UNDERWAY_SAMPLES):
            (folder / name).unlink(missing_ok=True)
        return
    write_atomic(folder / UNDERWAY_SAMPLES, samples_file.npz_bytes({cell: samples for cell, (_, samples) in cells.items()}))
    write_atomic(folder / UNDERWAY, b"".join(documents.record_line(record) for record, _ in cells.values()))


def _with_underway(
    records: Mapping[str, Record], samples: Mapping[str, Samples], underway: Mapping[str, tuple[Record, Samples]]
) -> tuple[dict[str, Record], dict[str, Samples]]:
    """Records and samples by cell id: those of finished cells, then those of cells under way."""
    open_ = {cell: kept for cell, kept in underway.items() if cell not in records}
    return (
        {**records, **{cell: record for cell, (record, _) in open_.items()}},
        {**samples, **{cell: kept for cell, (_, kept) in open_.items()}},
    )


def _remove_parts(folder: Path) -> None:
    """Remove the sample parts, all of which are in samples.npz now."""
    parts = folder / SAMPLE_PARTS
    if parts.is_dir():
        for part in parts.iterdir():
            part.unlink()
        parts.rmdir()


def _bounded(path: Path) -> bytes:
    """A file's content; raises OSError, also if it is larger than any file of a run: it would fill the memory."""
    if path.stat().st_size > _MOST_BYTES:
        raise OSError(f"{path.stat().st_size:,} bytes; at most {_MOST_BYTES:,} are read")
    return path.read_bytes()


def _read_json(path: Path) -> Any:
    try:
        return documents.parsed(_bounded(path))
    except PermissionError:
        raise  # unchanged
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read as JSON: {error}. Give a run whose files are as they were written.") from None


def _read_lines(path: Path) -> tuple[list[Record], list[str]]:
    """Records of a run that did not end, and notes on lines left out, as their writing was cut off; raises BadInput."""
    records, torn = [], []
    try:
        lines = _bounded(path).splitlines() if path.is_file() else []
    except PermissionError:
        raise
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error}. Give a run whose files are as they were written.") from None
    for number, line in enumerate(lines, start=1):
        try:
            cell = documents.parsed(line)
        except (json.JSONDecodeError, UnicodeDecodeError):
            torn.append(str(number))
            continue
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}, line {number} is not a cell: {error}.") from None
        records.append(documents.record_from_document(cell, f"{path}, line {number}"))
    note = f"{path.name}: line {', '.join(torn)} was not written to its end and is left out."
    return records, [note] if torn else []


def _read_samples(folder: Path) -> tuple[dict[str, Samples], list[str]]:
    """Samples by cell id, from all files of the run, the newest counting, and a note on each file that cannot be read."""
    samples: dict[str, Samples] = {}
    notes = []
    whole = [path for path in (folder / UNDERWAY_SAMPLES, folder / SAMPLES) if path.is_file()]
    for path in (*whole, *sorted((folder / SAMPLE_PARTS).glob("*.npz"))):
        try:
            samples.update(samples_file.samples_from_npz(_bounded(path)))
        except samples_file.UNREADABLE as error:
            notes.append(f"{path.name} cannot be read ({error}): latency distributions of its cells are missing.")
    return samples, notes
