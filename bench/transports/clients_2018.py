"""The clients of the 2018 study: they use `requests`, and encode and decode inside the clock."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import requests

from bench.contract.errors import ConnectionLost, ErrorStatus, ExchangeTimeout
from bench.contract.system import Model
from bench.contract.tensors import FloatArray, Signature
from bench.contract.wire import Codec, Endpoint, Payload
from bench.protocols import codec

_NO_PROXIES = {"http": "", "all": ""}  # ignore the environment's proxies: none belongs between us and the server
_SCORES = "in-process"  # protocol that keeps the scores until they are verified, if a client returns an array


def fits_2018(signature: Signature) -> bool:
    """Whether the study's clients can send requests to such a model: one float32 array of items in, scores of classes out."""
    kinds = [(spec.dtype, spec.batched) for spec in (*signature.inputs, *signature.outputs)]
    return kinds == [("float32", True)] * 2 and bool(signature.scores) and signature.batch == 0


def client_of_2018(endpoint: Endpoint, model: Model, images: FloatArray, *, kept: bool) -> JsonClient | GraphPipeClient:
    """The study's client for this endpoint, a `Transport[FloatArray]`; `kept`: one connection instead of one per request."""
    if endpoint.protocol == "graphpipe":
        return GraphPipeClient(endpoint, model, images, kept=kept)
    return JsonClient(endpoint, images, kept=kept)


class _RequestsClient:
    """Base of both clients: a `Transport[FloatArray]` on `requests` that encodes and decodes inside `exchange`."""

    def __init__(self, endpoint: Endpoint, images: FloatArray, *, kept: bool) -> None:
        self._endpoint = endpoint
        self._images = images
        self._kept = kept
        self._session: requests.Session | None = None
        self._url = f"http://{endpoint.host}:{endpoint.port}{endpoint.path}"
        self.spent = False

    def prepare(self, payload: Payload) -> FloatArray:
        """The images themselves: in 2018 everything else was timed."""
        return self._images[list(payload.indices)]

    def connect(self) -> None:
        """Make a session if the connection is kept; it connects with the first request."""
        if self._kept:
            self._session = requests.Session()
            self._session.trust_env = False

    def ensure_connected(self) -> bool:
        """Make a session if one is needed and missing; an existing one reconnects by itself, inside the clock."""
        if self._kept and self._session is None:
            self.connect()
        return False

    def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def _post(self, body: bytes | str, content_type: str) -> requests.Response:
        post = self._session.post if self._session is not None else requests.post
        with self._errors_told():
            headers = {"Content-Type": content_type}
            reply = post(self._url, data=body, headers=headers, timeout=self._endpoint.deadline_s, proxies=_NO_PROXIES)
        if not reply.ok:
            raise ErrorStatus(f"{self._endpoint.id}: HTTP status {reply.status_code}: {reply.text[:300]}")
        return reply

    @contextlib.contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except requests.Timeout as error:
            raise ExchangeTimeout(f"{self._endpoint.id}: no answer within {self._endpoint.deadline_s:g} s: {error}") from error
        except requests.RequestException as error:
            raise ConnectionLost(f"{self._endpoint.id}: {error}") from error


class JsonClient(_RequestsClient):
    """The study's JSON client: lists of floats, `json.dumps`, `requests.post`, `.json()`."""

    name = "requests, json"

    def exchange(self, request: FloatArray) -> bytes:
        """Do all that the study timed; returns the answer's bytes for verification."""
        reply = self._post(json.dumps({"instances": request.tolist()}), "application/json")
        with contextlib.suppress(ValueError):  # verification says what is wrong with it
            reply.json()
        return reply.content


class GraphPipeClient(_RequestsClient):
    """The stock client `graphpipe.remote.execute`, which connects for each call; if `kept`, the same steps by hand."""

    name = "graphpipe.remote"

    def __init__(self, endpoint: Endpoint, model: Model, images: FloatArray, *, kept: bool) -> None:
        super().__init__(endpoint, images, kept=kept)
        self._codec = codec(endpoint.protocol, model.signature)
        self._scores = codec(_SCORES, model.signature)
        self._input, self._output = model.signature.inputs[0].name, model.signature.outputs[0].name
        self._execute = None if kept else _stock_client()
        if self._execute is None:
            self.name = "requests, flatbuffers"

    @property
    def decoder(self) -> Codec:
        """The codec that reads the bytes that `exchange` returns."""
        return self._scores

    def exchange(self, request: FloatArray) -> bytes:
        """Do all that the study timed; returns the scores, encoded for verification."""
        if self._execute is None:
            body, content_type, _ = self._codec.encode({self._input: request})
            return self._scores.encode_answer(self._codec.decode(self._post(body, content_type).content))
        try:
            with self._errors_told():
                scores = self._execute(self._url, request)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:  # what it raises on error answers
            raise ErrorStatus(f"{self._endpoint.id}: the stock client failed: {error!r}") from error
        return self._scores.encode_answer({self._output: np.asarray(scores, dtype=np.float32)})


def _stock_client() -> Callable[[str, FloatArray], Any] | None:
    """`graphpipe.remote.execute` if that package is installed, else None; its pins keep it out of all dependency groups."""
    try:
        from graphpipe import remote
    except ImportError:
        return None
    execute: Callable[[str, FloatArray], Any] = remote.execute
    return execute
