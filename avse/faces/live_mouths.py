"""Follow several faces in a stream of frames, with one preparation and detection of each frame for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from avse.faces.detection import Detector
from avse.faces.live_mouth import Choice, LiveMouth, grey_and_small
from avse.faces.shot_detection import ShotDetector
from avse.faces.tracking import Face


class LiveMouths:
    """Crop the mouths of several faces from frames as they come, each by a `LiveMouth`."""

    def __init__(
        self, choices: Sequence[Choice], phase: int = 0, detect: Callable[[np.ndarray], list[Face]] | None = None
    ) -> None:
        """Prepare for a stream; one of ``choices`` for each face, the others as for `LiveMouth`."""
        self._detect = detect or Detector(num_threads=1)
        self._faces: list[Face] | None = None
        self._is_cut = ShotDetector()
        self._mouths = [LiveMouth(choice, phase, self._detect_once) for choice in choices]

    def push(self, frame: np.ndarray) -> np.ndarray:
        """Add a frame, grey (H, W) or RGB (H, W, 3) uint8; return the crops (M, K, 88, 88) that are ready."""
        self._faces = None
        grey, small = grey_and_small(frame)
        begins = self._is_cut(small)
        return np.stack([mouth.add(grey, small, begins) for mouth in self._mouths], axis=1)

    def flush(self) -> np.ndarray:
        """Return the crops (M, K, 88, 88) of all pending frames."""
        return np.stack([mouth.flush() for mouth in self._mouths], axis=1)

    def keep(self, index: int) -> None:
        """Follow one of the faces alone from now on."""
        self._mouths = [self._mouths[index]]

    def _detect_once(self, frame: np.ndarray) -> list[Face]:
        """Detect the faces of the current frame once."""
        if self._faces is None:
            self._faces = self._detect(frame)
        return self._faces
