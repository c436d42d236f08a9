"""The exceptions of this project:

ServebenchError
├── BadInput               invalid user input: an option, a file, a backend.toml; ends the session with exit code 4
├── BackendUnavailable     a backend is not available here (no engine, no image, build failed): its cells are NOT_MEASURED
├── NotCarried             a protocol cannot carry a model's signature: that endpoint's cells are NOT_MEASURED
├── NodeLost               a node of the Ray cluster, a process on it, or Ray itself does not answer any more
├── BackendFailed          a backend was available, but did not start, become ready or stay alive: its cells are FAILED
└── ExchangeError          one exchange failed; it is counted as an error, never replaced
    ├── ConnectionLost     the connection could not be opened, or ended before the answer did
    │   └── UntrustedCertificate   the certificate that the server showed over TLS is not trusted
    ├── ExchangeTimeout    no complete answer within the deadline
    ├── ErrorStatus        an answer whose status is an error
    │   ├── TurnedAway     the server asks for fewer requests, and gets no more
    │   └── RequestRefused the server says that this request is wrong, whenever it is sent
    ├── AgentFailed        a load agent died, froze or fell behind, and its window could not be measured again
    └── MalformedAnswer    bytes that do not follow the protocol
"""


class ServebenchError(Exception):
    """Base of all errors of this project: its text is a complete message for the user."""


class BadInput(ServebenchError):
    """Invalid user input; the message names the input, what was expected, what was seen and the remedy."""


class BackendUnavailable(ServebenchError):
    """A backend is not available on this machine; the message is the reason shown in its row."""


class NotCarried(ServebenchError):
    """A protocol cannot carry a model's inputs or outputs; the message is the reason shown in the cell's row."""


class BackendFailed(ServebenchError):
    """A backend did not start, did not become ready in time, or died; the message includes the tail of its log."""


class NodeLost(ServebenchError):
    """A node of the Ray cluster, a process on it, or Ray itself is gone or silent; the message says which."""


class ExchangeError(ServebenchError):
    """One exchange failed; `endpoint` names the endpoint if a probe asked several, else it is empty."""

    endpoint = ""


class ConnectionLost(ExchangeError):
    """The connection could not be opened, or ended before the answer was complete."""


class UntrustedCertificate(ConnectionLost):
    """The certificate that the server showed is not trusted: an unknown authority, expired, of another host."""


class ExchangeTimeout(ExchangeError):
    """No complete answer within the deadline."""


class ErrorStatus(ExchangeError):
    """The answer's status is an error (HTTP status, gRPC code)."""


class TurnedAway(ErrorStatus):
    """The server wants fewer requests (429, or 503 with Retry-After), so no more are sent to it."""


class RequestRefused(ErrorStatus):
    """The server says that this request is wrong (a 4xx, INVALID_ARGUMENT): a later retry would not help."""


class AgentFailed(ExchangeError):
    """A load agent did not start, died, froze or fell behind, and no other could do its work; the message names it."""


class MalformedAnswer(ExchangeError):
    """The answer's bytes do not follow the protocol."""
