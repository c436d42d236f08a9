"""Protocol `in-process`: no wire at all; arrays pass as bytes so that one campaign can carry them like any other."""

from bench.protocols._framing import FramedCodec

CODEC = FramedCodec(name="in-process", transport="in-process")
