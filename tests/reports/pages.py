"""Reads reports back as a reader would: tables of an HTML page, tables of a Markdown text."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from markdown_it import MarkdownIt
from markdown_it.token import Token

_VOID = {"meta", "link", "br", "hr", "img", "input", "path", "rect", "use", "line", "circle"}


@dataclass
class PageTable:
    """Texts of the head, and of each row with its `data-cell`."""

    head: list[str] = field(default_factory=list)
    rows: list[tuple[str | None, list[str]]] = field(default_factory=list)


class Page(HTMLParser):
    """Tables, ids, references and the balance of tags; texts of class `why` (reasons, protocols) are kept apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[PageTable] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.open_tags: list[str] = []
        self.all_text = ""
        self._cell: list[str] | None = None
        self._why_depth = 0
        self._in_head = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [str(given["id"])] if "id" in given else []
        self.references += [str(given[name]) for name in ("src", "href", "xlink:href", "srcset", "action") if name in given]
        if tag not in _VOID:
            self.open_tags.append(tag)
        if tag == "table":
            self.tables.append(PageTable())
        elif tag == "thead":
            self._in_head = True
        elif tag == "tr" and not self._in_head:
            self.tables[-1].rows.append((given.get("data-cell"), []))
        elif tag in ("td", "th"):
            self._cell = []
        elif tag == "span" and given.get("class") == "why":
            self._why_depth = len(self.open_tags)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open_tags.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self.open_tags, f"</{tag}> closes nothing"
        assert self.open_tags[-1] == tag, f"</{tag}> while {self.open_tags[-1]} is open"
        if len(self.open_tags) == self._why_depth:
            self._why_depth = 0
        self.open_tags.pop()
        if tag == "thead":
            self._in_head = False
        elif tag in ("td", "th") and self._cell is not None:
            text = "".join(self._cell).strip()
            (self.tables[-1].head if self._in_head else self.tables[-1].rows[-1][1]).append(text)
            self._cell = None

    def handle_data(self, data: str) -> None:
        self.all_text += data
        if self._cell is not None and not self._why_depth:
            self._cell.append(data)


def markdown_tokens(text: str) -> list[Token]:
    """As GitHub reads it: CommonMark with tables, raw HTML allowed."""
    return MarkdownIt("commonmark").enable("table").parse(text)


def markdown_tables(text: str) -> Iterator[list[list[str]]]:
    """Each table as rows of texts, head first, markup resolved."""
    rows: list[list[str]] = []
    for token in markdown_tokens(text):
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and token.level >= 4 and rows:
            rows[-1].append("".join(child.content for child in token.children or []))
        elif token.type == "table_close":
            yield rows
            rows = []
