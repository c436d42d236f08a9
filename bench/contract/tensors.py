"""Arrays that the packages hand to each other, and the model as a function of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
"""Images [n, width], each a flat row of values, or scores [n, classes]; float32, C order."""

IntArray = npt.NDArray[np.int64]


Predictor = Callable[[FloatArray], FloatArray]
"""The model run in this process: images [n, width] float32 -> scores [n, classes] float32."""
