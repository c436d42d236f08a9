"""Protocol `raw-float32`: images and scores as plain float32 over HTTP, in the framing of `_framing`.

POST <path>, Content-Type: application/octet-stream
request   uint32 n, n * width float32        answer   uint32 n, n * classes float32
"""

from bench.protocols._framing import FramedCodec

CODEC = FramedCodec(name="raw-float32", transport="http")
