"""What servers say of their models, against the run's signature: what differs is named, what says nothing is no difference."""

import pytest

from bench.contract.tensors import FREE, Signature, TensorSpec
from bench.verification.told_signature import disagreement, told_tensors

OURS = Signature(
    (TensorSpec("ids", "int64", (FREE, 128)), TensorSpec("mask", "int64", (FREE, FREE))),
    (TensorSpec("y", "float32", (FREE, 3)),),
)
IDS, MASK, Y = "ids INT64 [-1, 128]", "mask DT_INT64 [-1, -1]", "y FP32 [-1, 3]"


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([IDS, MASK], [Y]),
        ([MASK, "ids INT64 [-1, -1]"], ["y FP32 [3]", "z FP32 [-1, 9]"]),
        (None, None),
        ([], []),
        (["ids BYTES [-1]"], ["y ? ?"]),
    ],
    ids=["the same", "free lengths, one output more, a shape without items", "silent", "none", "unreadable"],
)
def test_what_does_not_differ(inputs: list[str] | None, outputs: list[str] | None) -> None:
    """The model's own signature, in any order and with lengths left open; and what cannot be read says nothing."""
    assert disagreement({"inputs": inputs, "outputs": outputs}, OURS) == ""


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ([IDS], [Y], "no 'mask'"),
        ([IDS, MASK, "extra FP32 [-1]"], [Y], "'extra' as well"),
        (["ids INT32 [-1, 128]", MASK], [Y], "'ids' is int32"),
        (["ids INT64 [-1, 64]", MASK], [Y], "'ids' has other lengths"),
        ([IDS, MASK], ["logits FP32 [-1, 3]"], "no 'y'"),
    ],
)
def test_what_differs_is_named_with_both(inputs: list[str], outputs: list[str], words: str) -> None:
    """Both signatures, the first difference, and what to give."""
    told = disagreement({"inputs": inputs, "outputs": outputs}, OURS)
    assert words in told
    assert str(OURS) in told
    assert ", ".join(map(str, told_tensors(inputs))) in told
    assert "--model=FILE.onnx" in told
