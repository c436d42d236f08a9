"""What a refusal means, by its HTTP or gRPC status: whether to stop sending requests, and what would help."""

from bench.contract.errors import ErrorStatus, RequestRefused

_WANT_CREDENTIALS = ("401", "403", "407", "UNAUTHENTICATED", "PERMISSION_DENIED")
_TOO_MANY = ("429",)
_NEVER_RIGHT = (
    *("400", "401", "403", "405", "406", "411", "413", "414", "415", "422", "431", "501", "505"),
    *("INVALID_ARGUMENT", "OUT_OF_RANGE", "PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"),
)
"""Without 404 and NOT_FOUND, which servers answer until they have loaded the model."""
_TOO_MANY_IF_IT_SAYS_WHEN = ("503", "RESOURCE_EXHAUSTED", "UNAVAILABLE")


def turned_away(status: str, retry_after: str) -> str:
    """Text for an error if a server wants fewer requests, by its status and its Retry-After; empty if it does not."""
    if status not in _TOO_MANY and not (status in _TOO_MANY_IF_IT_SAYS_WHEN and retry_after):
        return ""
    return f"it wants fewer requests, and asks to come back {f'after {retry_after[:40]}' if retry_after else 'later'}"


def error_status(status: str, text: str) -> ErrorStatus:
    """The error of an answer with this status: RequestRefused if the request will never be accepted, else ErrorStatus."""
    return (RequestRefused if status in _NEVER_RIGHT else ErrorStatus)(text)


def credentials_wanted(status: str) -> str:
    """Advice for a status that asks for credentials; empty for any other."""
    return "; the credentials that it wants are given with --header NAME=ENV:VARIABLE" if status in _WANT_CREDENTIALS else ""
