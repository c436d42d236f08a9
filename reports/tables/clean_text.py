"""Cleans text that came from elsewhere (names, log tails) so that no terminal, XML or Markdown breaks on it."""

import re

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")

_FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
"""Control characters, marks that change the direction of the text around them, and noncharacters."""


def clean(text: str) -> str:
    """Text without terminal escapes, control characters (invalid in XML) and lone surrogates (invalid in UTF-8); lines stay."""
    text = _ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
    text = text.encode("utf-8", "replace").decode()
    return _FORBIDDEN.sub("", text).strip()


def one_line(text: str) -> str:
    """`clean` text on one line: each run of white space becomes one space."""
    return " ".join(clean(text).split())


def shortened(text: str, width: int) -> str:
    """Text of at most `width` characters; its middle is cut, since ids differ at both ends."""
    text = one_line(text)
    if len(text) <= width:
        return text
    head = width // 2
    return f"{text[:head]}…{text[len(text) - (width - head - 1) :]}"


def ends(text: str, width: int) -> str:
    """A reason of at most `width` characters, its middle cut: the beginning says what, the end, of which more is kept, why."""
    text = one_line(text)
    head = width // 3
    return text if len(text) <= width else f"{text[:head].rstrip()} … {text[len(text) - (width - head - 3) :].lstrip()}"


def cut(text: str, width: int) -> str:
    """Prose of at most `width` characters; its end is cut."""
    text = one_line(text)
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def more(count: int, what: str) -> str:
    """`1 more cell`, `2 more cells`."""
    return f"{count} more {what}{'' if count == 1 else 's'}"


def listed(names: list[str], most: int = 4) -> str:
    """`a, b and c`; with more than `most` names, the rest is only counted."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
