"""Answers that were judged where they arrived, by another process: here is only a digest of each, and what it was worth."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.contract.wire import Payload
from bench.verification.verify import Judged, Verification, tally

DIGEST_BYTES = 16


def digest_of(body: bytes) -> bytes:
    """What stands for an answer's body."""
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()


@dataclass(slots=True)
class Judgements:
    """Outcomes by payload index and digest of the answer, and the size of each answer's body in bytes by its digest.

    Of an answer of null, which is held against the bytes that it was given, there is no outcome.
    """

    judged: dict[tuple[int, bytes], Judged] = field(default_factory=dict)
    body_bytes: dict[bytes, int] = field(default_factory=dict)

    def verification(self, answers: Sequence[tuple[int, bytes]], payloads: Sequence[Payload], items: int) -> Verification:
        """What these (payload index, digest) together were worth; `items` is the size of the dataset."""
        return tally(answers, lambda index, digest: self.judged[index, digest], payloads, items)
