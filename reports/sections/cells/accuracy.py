"""Accuracy: whether the servers answer as the model does, which classes the model confuses, and which servers differed."""

import math
from collections.abc import Mapping, Sequence

from bench.contract.records import Record
from bench.contract.system import Role
from reports.sections.cells import confusion
from reports.sections.section import EVERYWHERE, PAGE, Block, Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.cell_tables import accuracy_table
from reports.tables.clean_text import listed
from reports.tables.names import endpoint_name, of_kinds, title_of
from reports.tables.numbers import number, percent

KINDS = ("accuracy",)
_LEFT_OUT = "The accuracy pass was not part of this run; accuracy and agreement of the timed answers stand in the tables above."


def section(stored: StoredRun) -> Section:
    """The accuracy pass, if there was one, and the model's mistakes."""
    records, run = of_kinds(stored.records, KINDS), stored.run
    blocks: list[Block] = []
    if records:
        blocks += [Tabular(accuracy_table(records), on=EVERYWHERE), Text(accuracy_note(records, run.dataset), "note")]
    else:
        blocks.append(Text(_LEFT_OUT, on=PAGE))
    return Section("accuracy", "Accuracy", (*blocks, *confusion.blocks(run)), finding=finding(stored.records))


def finding(records: Sequence[Record]) -> str:
    """Whether all endpoints answer as the model does, and which do not, in the accuracy pass or in the timed answers."""
    servers = [record for record in records if record.role == Role.SERVER and record.agreement is not None]
    cells = of_kinds(servers, KINDS) or servers
    wrong = [f"{endpoint_name(r)} ({percent(r.agreement)}, {title_of(r).lower()})" for r in servers if r.agreement != 1]
    right = sorted({percent(r.accuracy) for r in cells if r.agreement == 1 and r.accuracy is not None})
    accuracy = f", accuracy {listed(right)}" if right else ""
    names = {endpoint_name(record) for record in cells}
    if not cells:
        return ""
    if not wrong:
        who = f"all {len(names)} endpoints say" if len(names) > 1 else f"{min(names)} says"
        return f"Answers: {who} what the model says{accuracy}."
    return f"Answers: not all what the model says, with the share that is: {listed(wrong)}."


def accuracy_note(records: Sequence[Record], dataset: Mapping[str, object]) -> str:
    """How precise an accuracy measured on so few images is; empty if that is not known."""
    shown = [r.accuracy for r in records if r.role == Role.SERVER and r.accuracy is not None]
    images = dataset.get("n")
    if not shown or not isinstance(images, int) or images < 1:
        return ""
    half_width = 1.96 * math.sqrt(max(shown) * (1 - max(shown)) / images)
    return (
        f"Of {images:,} images an accuracy is known to ± {number(100 * half_width, 2)} points: it describes the model. "
        "Whether a server is right shows in the agreement, image by image."
    )
