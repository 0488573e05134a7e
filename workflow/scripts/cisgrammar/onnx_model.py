"""Networks as ONNX files, which other programs run without torch and without this package."""

import logging
import warnings

import numpy as np
import onnxruntime
import onnxscript  # noqa: F401  torch.onnx.export needs it
import torch

from cisgrammar.files import atomic
from cisgrammar.log import InputError

LARGEST_DIFFERENCE = 1e-5
OPSET = 18


class Whole(torch.nn.Module):
    """A network that adds the row with the distance from the middle itself, where it was trained with one."""

    def __init__(self, network, encoding, window_bp):
        super().__init__()
        self.network = network
        distance = (2 * torch.arange(window_bp) - (window_bp - 1)).abs() / max(1, window_bp - 1)
        self.register_buffer("position", (2 * distance - 1)[None, None] if encoding["position_channel"] else None)

    def forward(self, rows):
        if self.position is not None:
            rows = torch.cat([rows, self.position.expand(rows.shape[0], -1, -1)], dim=1)
        return self.network(rows)


def export_onnx(network, description, path):
    """Write the network as ONNX and check that both score alike; returns the largest difference of logits.

    network, description: of `load_model`
    The file takes `rows`, float32 (windows, rows, bases): rows A C G T as in training (1 for the base, else 0; 0.25 less
    where `centred` is set), then the channels, scaled as model.json says; the position is added inside. It gives `logit`,
    float32 (windows, 1).
    Raises InputError when torch cannot export the architecture, or a logit differs by more than 1e-5.
    """
    encoding, window_bp = description["encoding"], description["window_bp"]
    whole = Whole(network, encoding, window_bp).eval()
    n_rows = network.channels - encoding["position_channel"]
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(7, n_rows, window_bp)).astype(np.float32)
    rows[:, :4] = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (7, window_bp))].swapaxes(1, 2)
    rows[:, :4] -= 0.25 * encoding["centred"]
    name = description["network"]["architecture"]
    with atomic(path) as temporary:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    whole,
                    (torch.from_numpy(rows[:3]),),
                    temporary,
                    input_names=["rows"],
                    output_names=["logit"],
                    dynamic_shapes={"rows": {0: torch.export.Dim.DYNAMIC}},
                    dynamo=True,
                    optimize=False,
                    external_data=False,
                    verbose=False,
                )
            session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
            found = session.run(None, {"rows": rows})[0]
        except Exception as error:  # torch and onnxruntime have many kinds, and none that says no
            logging.exception("%s could not be exported", name)
            raise InputError(f"export.onnx: torch cannot export {name}; set export.onnx: false") from error
        with torch.inference_mode():
            difference = float(np.abs(found - whole(torch.from_numpy(rows)).numpy()).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise InputError(f"export.onnx: logits of {name} differ by {difference:.2g}; set export.onnx: false")
    return difference
