"""TensorFlow Serving's program, as far as its command line is ours: serves the model behind a base path of versions."""

import json
import os
import sys
import threading
from pathlib import Path

import numpy as np

from fixtures.model.reference import OnnxPredictor
from tests.standins.tfserving import INPUT, OUTPUT, ServedModel, tfserving

ROOT = Path(__file__).parents[2]
VERSION = "TensorFlow ModelServer: 2.19.1-stand-in"


def install(folder: Path) -> Path:
    """Put the program into a folder for the PATH; returns where it writes down what it was started with."""
    folder.mkdir()
    program = folder / "tensorflow_model_server"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests.standins.tensorflow_model_server import main\nmain(sys.argv[1:], {str(folder)!r})\n"
    )
    program.chmod(0o755)
    return folder / "started.json"


def main(arguments: list[str], folder: str) -> None:
    """Serve until a signal comes; the model itself is the ONNX file of MODEL_PATH, for TensorFlow would be needed otherwise."""
    if arguments == ["--version"]:
        print(f"{VERSION}\nTensorFlow Library: 2.19.1")
        return
    options = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    base = Path(options["model_base_path"])
    versions = [path.name for path in base.iterdir() if path.name.isdigit()]
    files = sorted(path.name for path in (base / max(versions, key=int)).iterdir())
    Path(folder, "started.json").write_text(json.dumps({"arguments": arguments, "versions": versions, "files": files}))
    itself = OnnxPredictor(Path(os.environ["MODEL_PATH"]))
    model = ServedModel(lambda images: np.asarray(itself({INPUT: images})[OUTPUT]), 784, name=options["model_name"])
    with tfserving(model, int(options["rest_api_port"]), int(options["port"])):
        threading.Event().wait()
