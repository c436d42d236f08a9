"""What a refusal means, by its status, of HTTP or gRPC: whether to stop asking, and what would help."""

from __future__ import annotations

_WANT_CREDENTIALS = ("401", "403", "407", "UNAUTHENTICATED", "PERMISSION_DENIED")
_TOO_MANY = ("429",)
_TOO_MANY_IF_IT_SAYS_WHEN = ("503", "RESOURCE_EXHAUSTED", "UNAVAILABLE")


def turned_away(status: str, retry_after: str) -> str:
    """How a server said that it wants fewer requests, by its status and its Retry-After; empty where it did not."""
    if status not in _TOO_MANY and not (status in _TOO_MANY_IF_IT_SAYS_WHEN and retry_after):
        return ""
    return f"it wants fewer requests, and asks to come back {f'after {retry_after[:40]}' if retry_after else 'later'}"


def credentials_wanted(status: str) -> str:
    """What to do about a status that asks for credentials; empty for any other."""
    return "; the credentials that it wants are given with --header NAME=ENV:VARIABLE" if status in _WANT_CREDENTIALS else ""
