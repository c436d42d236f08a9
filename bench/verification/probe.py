"""Readiness: a real prediction was answered correctly. Also gives the null backend the answer that it has to send."""

from collections.abc import Sequence

import requests

from bench.contract.errors import ConnectionLost, ErrorStatus, ExchangeError, MalformedAnswer, NotCarried
from bench.contract.system import Role, SystemUnderTest
from bench.contract.wire import Answer, Endpoint
from bench.transports.connect import open_transport
from bench.verification.payloads import PayloadFactory, PayloadSet

_CONTROL_TIMEOUT_S = 10.0


class Probe:
    """Sends each endpoint of a backend the smallest request, from item 0 on; null's answers are for the run's `batch_sizes`."""

    def __init__(self, factory: PayloadFactory, batch_sizes: Sequence[int]) -> None:
        self._factory = factory
        signature = factory.model.signature
        self._batch_sizes = sorted(size for size in {signature.batch or 1, *batch_sizes} if signature.takes(size))

    def __call__(self, system: SystemUnderTest) -> None:
        """Return if every endpoint answered correctly; raises ExchangeError otherwise."""
        for endpoint in system.endpoints.values():
            try:
                self.ask(system, endpoint)
            except NotCarried:
                continue  # its cells report that
            except ExchangeError as error:
                error.endpoint = endpoint.name
                raise

    def ask(self, system: SystemUnderTest, endpoint: Endpoint) -> None:
        """Return if this endpoint answered correctly, or, if its backend is attached, if it answered at all.

        Raises ExchangeError otherwise, NotCarried if the endpoint cannot serve the model.
        """
        payload_set = self._factory.payload_set(endpoint, self._batch_sizes[0])
        if system.backend.role is Role.CEILING:
            self._prime(endpoint)
        transport = open_transport(system, endpoint, self._factory.model)
        try:
            transport.connect()
            body = transport.exchange(transport.prepare(payload_set.payloads[0]))
        finally:
            transport.close()
        if system.backend.attached:
            return  # correctness is checked when it is measured: there is no start to wait for
        if system.backend.role is not Role.CEILING:
            self._factory.verifier(payload_set.codec, payload_set.payloads, payload_set.expected).check(Answer(0, body))
        elif body != canned_answer(payload_set):
            raise MalformedAnswer(f"{endpoint.id}: the answer is not the one that it was given")

    def _prime(self, endpoint: Endpoint) -> None:
        for batch_size in self._batch_sizes:
            payload_set = self._factory.payload_set(endpoint, batch_size)
            path = endpoint.path.replace("{batch_size}", str(batch_size))
            url = f"http://{endpoint.host}:{endpoint.port}{path}"
            try:
                with requests.Session() as control:
                    control.trust_env = False  # ignore the environment's proxies: none belongs between us and loopback
                    reply = control.put(url, data=canned_answer(payload_set), timeout=_CONTROL_TIMEOUT_S)
            except requests.RequestException as error:
                raise ConnectionLost(f"{endpoint.id}: PUT {url}: {error}") from error
            if not reply.ok:
                raise ErrorStatus(f"{endpoint.id}: PUT {url}: HTTP status {reply.status_code}: {reply.text[:300]}")


def canned_answer(payload_set: PayloadSet) -> bytes:
    """The answer of null to every payload of this set: the correct answer to the first one, so that its size is real."""
    return payload_set.codec.encode_answer(payload_set.expected[0])
