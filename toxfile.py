"""tox's inline plugin: uv makes tox's environments with pip's settings of this machine; pip does, where they are beyond uv."""

import os

from tox.plugin import impl
from tox.tox_env.register import ToxEnvRegister

from fixtures.engines.pip_settings import pip_settings, uv_settings

_SETTINGS = uv_settings(pip_settings())
_ONLY_PIP = _SETTINGS is None or bool(_SETTINGS.arguments)  # tox hands uv no argument of ours
if _SETTINGS is not None:
    os.environ.update({**_SETTINGS.env, "UV_CONSTRAINT": " ".join(_SETTINGS.constraints)})


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Called after tox-uv has made its own the default."""
    if _ONLY_PIP:
        register.default_env_runner = "virtualenv"
