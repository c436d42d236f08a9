"""Serves the page that recognises characters, on this machine only: `python -m tools.web [MODEL.onnx] [--port 8000]`."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.contract.errors import BadInput
from bench.contract.options import given_path, whole_number

DEFAULT_MODEL = Path(__file__).parents[1] / "fixtures" / "model" / "emnist-mlp.onnx"


def main(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C; exit code 2: wrong arguments, or a file that is no model; 3: the port cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m tools.web", description="Recognise characters in a browser.")
    parser.add_argument("model", nargs="?", default=str(DEFAULT_MODEL), help="an ONNX classifier of 28 x 28 images")
    parser.add_argument("--port", default="8000", help="of 127.0.0.1, where the page is (default: 8000)")
    options = parser.parse_args(arguments)
    port = whole_number(options.port, 1, 65_535)
    if port is None:
        parser.error(f"--port {options.port[:200]}: expected a port from 1 to 65535")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded: hence the imports here
    from werkzeug.serving import make_server

    from fixtures.engines.base import signature_text
    from fixtures.model.load import load_model
    from fixtures.serving.flask_app import create_app
    from fixtures.serving.onnx_model import OnnxModel
    from fixtures.serving.signature import Signature

    try:
        model = load_model(given_path("MODEL", options.model, Path()))
    except BadInput as error:
        parser.error(str(error))
    told = Signature.read(signature_text(model.signature))
    try:
        server = make_server("127.0.0.1", port, create_app(OnnxModel(model.path, told)), threaded=True)
    except (OSError, SystemExit) as error:  # werkzeug exits by itself if the port is taken
        print(f"python -m tools.web: --port {port} cannot be had: {error}; give another", file=sys.stderr)
        return 3
    print(f"http://127.0.0.1:{port}/ (Ctrl-C ends it)", flush=True)
    with contextlib.closing(server.socket), contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
