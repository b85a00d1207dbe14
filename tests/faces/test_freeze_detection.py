"""Frozen video is distinguished from a face at rest."""

from __future__ import annotations

import numpy as np

from avse.faces.freeze_detection import changed_pixels, is_frozen
from avse.faces.tracking import Face


def test_a_face_beyond_the_edge_is_compared_with_what_is_there() -> None:
    face = Face(np.array([-30.0, 90.0, 400.0, 200.0]), np.zeros((5, 2)), 0.9)
    frame = np.full((100, 200), 7, np.uint8)
    assert is_frozen(face, changed_pixels(frame, frame + 2))
    assert not is_frozen(face, changed_pixels(frame, frame + 3))
    assert not is_frozen(face, changed_pixels(None, frame))


def test_a_face_at_rest_is_frozen_only_where_the_whole_frame_is() -> None:
    face = Face(np.array([20.0, 36.0, 44.0, 60.0]), np.zeros((5, 2)), 0.9)
    frame = np.full((100, 200), 7, np.uint8)
    elsewhere, mouth = frame.copy(), frame.copy()
    elsewhere[80:84, 150:160] += 9  # 0.2 % of the frame
    mouth[50:56, 30:36] += 9  # less of the frame, but more of the face
    assert not is_frozen(face, changed_pixels(frame, elsewhere))
    assert not is_frozen(face, changed_pixels(frame, mouth))
