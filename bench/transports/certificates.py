"""Describe a certificate for an error message: subject, issuer and last valid day, read from its DER (RFC 5280).

Nothing is verified here.
"""

from collections.abc import Iterator

_NAMES = {b"\x55\x04\x03": "CN", b"\x55\x04\x0a": "O", b"\x55\x04\x0b": "OU", b"\x55\x04\x06": "C"}
_CONTEXT_0 = 0xA0


def described(der: bytes) -> str:
    """`subject CN=models.example, issued by O=Some Authority, valid until 2026-12-31`, or that the subject cannot be read."""
    try:
        (_, certificate), *_ = _parts(der)
        (_, content), *_ = _parts(certificate)
        fields = [value for tag, value in _parts(content) if tag != _CONTEXT_0]  # the version, which may be missing
        _, _, issuer, validity, subject, *_ = fields
        until = _day([value for _, value in _parts(validity)][-1].decode("ascii"))
        return f"subject {_name(subject)}, issued by {_name(issuer)}, valid until {until}"
    except (ValueError, IndexError):
        return "its subject cannot be read"


def _day(time: str) -> str:
    """The time `301231235959Z`, or with a four-digit year, as `2030-12-31`; a two-digit year is in 1950 to 2049."""
    digits = time if len(time) == len("20301231235959Z") else f"{'19' if time >= '50' else '20'}{time}"
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}"


def _name(content: bytes) -> str:
    words = []
    for _, relative in _parts(content):
        for _, attribute in _parts(relative):
            (_, kind), (_, value) = _parts(attribute)
            if kind in _NAMES:
                words.append(f"{_NAMES[kind]}={value.decode('utf-8', 'replace')}")
    return ", ".join(words) or "(no name)"


def _parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element; raises IndexError or ValueError if the bytes are no DER."""
    at = 0
    while at < len(content):
        tag, size, at = content[at], content[at + 1], at + 2
        if size & 0x80:
            digits = size & 0x7F
            size, at = int.from_bytes(content[at : at + digits], "big"), at + digits
        if at + size > len(content):
            raise ValueError("an element that is longer than what holds it")
        yield tag, content[at : at + size]
        at += size
