"""The exceptions of this project:

ServebenchError
├── BadInput               what a person gave is wrong: an option, a file, a backend.toml; ends the session with exit code 4
├── BackendUnavailable     a backend cannot be had here (no engine, no image, build failed): its cells are NOT_MEASURED
├── NotCarried             a protocol cannot carry a model's signature: that endpoint's cells are NOT_MEASURED
├── NodeLost               a node of the Ray cluster, what runs on it, or Ray itself does not answer any more
├── BackendFailed          a backend was had, but did not start, become ready or stay alive: its cells are FAILED
└── ExchangeError          one exchange went wrong; counted, never invented
    ├── ConnectionLost     the connection could not be opened, or ended before the answer did
    │   └── UntrustedCertificate   over TLS: nobody who is trusted vouches for the server
    ├── ExchangeTimeout    no complete answer within the deadline
    ├── ErrorStatus        an answer that says that it is an error
    │   ├── TurnedAway     it asks to come back later, and is not asked again
    │   └── RequestRefused it says that this request is wrong, whenever it is asked
    ├── AgentFailed        a load agent died, froze or fell behind, and its window could not be measured again
    └── MalformedAnswer    bytes that are not the protocol's
"""


class ServebenchError(Exception):
    """Base of all errors of this project: its text is a complete message for a person."""


class BadInput(ServebenchError):
    """What a person gave is wrong; the message names the thing, the expected, the seen and the remedy."""


class BackendUnavailable(ServebenchError):
    """A backend cannot be had on this machine; the message is the reason shown in its row."""


class NotCarried(ServebenchError):
    """A protocol has no way to say what a model takes or gives; the message is the reason shown in the cell's row."""


class BackendFailed(ServebenchError):
    """A backend did not start, did not become ready in time, or died; the message carries its log's tail."""


class NodeLost(ServebenchError):
    """A node of the Ray cluster, what runs on it, or Ray itself is gone or silent; the message says which."""


class ExchangeError(ServebenchError):
    """One exchange went wrong; `endpoint` is the name of the one that was asked, where a probe asks several."""

    endpoint = ""


class ConnectionLost(ExchangeError):
    """The connection could not be opened, or ended before the answer was complete."""


class UntrustedCertificate(ConnectionLost):
    """The certificate that the server showed is not trusted: an unknown authority, expired, of another host."""


class ExchangeTimeout(ExchangeError):
    """No complete answer within the deadline."""


class ErrorStatus(ExchangeError):
    """The answer says that it is an error (HTTP status, gRPC code)."""


class TurnedAway(ErrorStatus):
    """The server wants fewer requests (429, or 503 with Retry-After): asking on would be bad manners."""


class RequestRefused(ErrorStatus):
    """The server says that this request is wrong (a 4xx, INVALID_ARGUMENT): no waiting makes it right."""


class AgentFailed(ExchangeError):
    """A load agent did not start, died, froze or fell behind, and no other could do its work; the message names it."""


class MalformedAnswer(ExchangeError):
    """The answer's bytes are not what the protocol prescribes."""
