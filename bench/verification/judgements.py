"""Answers that were judged by the process that received them: here are only a digest of each, and its outcome."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.contract.wire import Payload
from bench.verification.verify import Judged, Verification, tally

DIGEST_BYTES = 16


def digest_of(body: bytes) -> bytes:
    """The digest that identifies an answer's body, DIGEST_BYTES bytes."""
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()


@dataclass(slots=True)
class Judgements:
    """Outcomes by payload index and digest of the answer, and the size of each answer's body in bytes by its digest.

    An answer of null has no outcome: it is compared with the bytes that null was given.
    """

    judged: dict[tuple[int, bytes], Judged] = field(default_factory=dict)
    body_bytes: dict[bytes, int] = field(default_factory=dict)

    def verification(self, answers: Sequence[tuple[int, bytes]], payloads: Sequence[Payload], items: int) -> Verification:
        """The summed-up outcomes of `answers`, each (payload index, digest); `items` is the size of the dataset."""
        return tally(answers, lambda index, digest: self.judged[index, digest], payloads, items)
