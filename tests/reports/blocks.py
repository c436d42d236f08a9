"""Looks into a report's sections as data: their texts, tables and columns."""

from reports.sections.section import Block, Items, Report, Section, Tabular, Text, walk
from reports.tables.table import Table


def section_of(report: Report, anchor: str) -> Section:
    """The section with this anchor."""
    return next(section for section in report.sections if section.anchor == anchor)


def texts_of(section: Section) -> list[str]:
    """Its paragraphs and the entries of its lists, in order."""
    return [text for block in walk(section.blocks) for text in _texts(block)]


def _texts(block: Block) -> tuple[str, ...]:
    return (block.text,) if isinstance(block, Text) else block.texts if isinstance(block, Items) else ()


def tables_of(section: Section) -> list[Table]:
    """Its tables, in order."""
    return [block.table for block in walk(section.blocks) if isinstance(block, Tabular)]


def rows_of(table: Table) -> list[tuple[str, ...]]:
    """The texts of its rows."""
    return [row.texts for row in table.rows]
