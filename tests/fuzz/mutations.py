"""Bytes near to given ones, for hypothesis: what a coverage-guided fuzzer finds by itself, hypothesis must be led to."""

from hypothesis import strategies as st

NUMBERS = tuple(number.to_bytes(size, "little", signed=True) for size in (1, 4, 8) for number in (0, 1, -1, -4, 127, -128))
WORDS = (
    b"",
    b"\r\n",
    b"\r\n\r\n",
    b"0",
    b"-1",
    b"-6",
    b"99999999999",
    b"9" * 5000,
    b"[",
    b"NaN",
    b"1e999",
    b"{}",
    b"\0",
    b"\xff",
)


@st.composite
def near(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """One of the seeds, with up to six places overwritten, cut out, repeated or filled; or anything at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=400))
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 12))
        kind = draw(st.sampled_from(("overwrite", "replace", "cut", "repeat", "end")))
        if kind == "end":
            del data[at:]
        elif kind == "repeat":
            data[at:at] = data[at : at + length] * draw(st.integers(1, 50))
        elif kind == "cut":
            del data[at : at + length]
        else:
            piece = draw(st.one_of(st.sampled_from(NUMBERS), st.sampled_from(WORDS), st.binary(max_size=12)))
            data[at : at + (len(piece) if kind == "overwrite" else length)] = piece
    return bytes(data)
