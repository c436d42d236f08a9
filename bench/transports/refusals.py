"""What a refusal means, by its status, of HTTP or gRPC: whether to stop asking, and what would help."""

from bench.contract.errors import ErrorStatus, RequestRefused

_WANT_CREDENTIALS = ("401", "403", "407", "UNAUTHENTICATED", "PERMISSION_DENIED")
_TOO_MANY = ("429",)
_NEVER_RIGHT = (
    *("400", "401", "403", "405", "406", "411", "413", "414", "415", "422", "431", "501", "505"),
    *("INVALID_ARGUMENT", "OUT_OF_RANGE", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"),
)
"""Not 404 or NOT_FOUND, with which servers answer until they have loaded the model."""
_TOO_MANY_IF_IT_SAYS_WHEN = ("503", "RESOURCE_EXHAUSTED", "UNAVAILABLE")


def turned_away(status: str, retry_after: str) -> str:
    """How a server said that it wants fewer requests, by its status and its Retry-After; empty where it did not."""
    if status not in _TOO_MANY and not (status in _TOO_MANY_IF_IT_SAYS_WHEN and retry_after):
        return ""
    return f"it wants fewer requests, and asks to come back {f'after {retry_after[:40]}' if retry_after else 'later'}"


def error_status(status: str, text: str) -> ErrorStatus:
    """The error of an answer with this status: whether the request can become right by waiting is told by its type."""
    return (RequestRefused if status in _NEVER_RIGHT else ErrorStatus)(text)


def credentials_wanted(status: str) -> str:
    """What to do about a status that asks for credentials; empty for any other."""
    return "; the credentials that it wants are given with --header NAME=ENV:VARIABLE" if status in _WANT_CREDENTIALS else ""
