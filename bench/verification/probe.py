"""Readiness: a real prediction was answered rightly. Also gives the null backend the answer that it has to send."""

from collections.abc import Sequence

import requests

from bench.contract.errors import ConnectionLost, ErrorStatus, ExchangeError, MalformedAnswer, NotCarried
from bench.contract.system import Role, SystemUnderTest
from bench.contract.wire import Answer, Endpoint
from bench.transports.connect import open_transport
from bench.verification.payloads import PayloadFactory, PayloadSet

_CONTROL_TIMEOUT_S = 10.0


class Probe:
    """Asks every endpoint of a backend for the first item; `batch_sizes` are those of the run, for null's answers."""

    def __init__(self, factory: PayloadFactory, batch_sizes: Sequence[int]) -> None:
        self._factory = factory
        signature = factory.model.signature
        self._batch_sizes = sorted(size for size in {signature.batch or 1, *batch_sizes} if signature.takes(size))

    def __call__(self, system: SystemUnderTest) -> None:
        """Return if every endpoint answered rightly; raises ExchangeError otherwise."""
        for endpoint in system.endpoints.values():
            try:
                self.ask(system, endpoint)
            except NotCarried:
                continue  # its cells say so
            except ExchangeError as error:
                error.endpoint = endpoint.name
                raise

    def ask(self, system: SystemUnderTest, endpoint: Endpoint) -> None:
        """Return if this endpoint answered rightly, of an attached one if it answered.

        Raises ExchangeError otherwise, NotCarried where it cannot be asked about the model.
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
            return  # whether it is right shows when it is measured: there is no start to wait for
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
                    control.trust_env = False  # a proxy of the environment has no business between us and loopback
                    reply = control.put(url, data=canned_answer(payload_set), timeout=_CONTROL_TIMEOUT_S)
            except requests.RequestException as error:
                raise ConnectionLost(f"{endpoint.id}: PUT {url}: {error}") from error
            if not reply.ok:
                raise ErrorStatus(f"{endpoint.id}: PUT {url}: HTTP status {reply.status_code}: {reply.text[:300]}")


def canned_answer(payload_set: PayloadSet) -> bytes:
    """What null answers to every payload of this set: the right answer to the first one, so that the size is real."""
    return payload_set.codec.encode_answer(payload_set.expected[0])
