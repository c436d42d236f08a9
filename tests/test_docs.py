"""README and docs/: short enough to be read, and every link leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """As hosts of Markdown make them of headings."""
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken(page: Path) -> list[str]:
    """Links of a page that lead nowhere; addresses on the web are not asked."""
    wrong = []
    for link in LINK.findall(page.read_text("utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file that is there, and to a heading of it."""
    assert broken(page) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    """The test itself can fail: a file, and a heading, that are not there."""
    page = tmp_path / "page.md"
    page.write_text("# One head\n[a](#one-head) [b](#two) [c](no.md) [d](https://nowhere.example/)\n")
    assert broken(page) == ["#two", "no.md"]


def test_readme_is_short_and_the_index_complete() -> None:
    """Eight kilobytes, and no page of docs/ that its index does not lead to."""
    assert (ROOT / "README.md").stat().st_size <= 8192
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    assert [
        page.name for page in PAGES if page.parent.name == "docs" and page.name != "README.md" and page.name not in index
    ] == []


def test_no_command_and_no_sentence_stands_in_two_pages() -> None:
    """One place for one fact: what README says the other pages do not say again."""
    first: dict[str, str] = {}
    twice = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
        said = {*re.findall(r"`((?:pytest|tox) [^`]{30,})`", text), *re.findall(r"[A-Z][^.|`]{50,}\.", text)}
        twice += [f"{first[each]}, {page.name}: {each}" for each in said if each in first]
        first |= dict.fromkeys(said, page.name)
    assert twice == []
