"""A synthetic talking head: a public-domain photograph whose mouth opens and closes as specified.

Legend: ``V`` video frames, ``H W`` pixels. Positions on the photograph are (row, column) in its own pixels.
The photograph is ``skimage.data.astronaut()`` (NASA portrait of Eileen Collins, no known copyright restrictions).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image
from scipy import ndimage

from avse.config import VIDEO_FPS
from avse.errors import MissingError, UsageError

_Array: TypeAlias = np.ndarray

# Where the face is on the photograph: traced by eye on an enlargement.
_VIEW_CENTRE = (112.0, 224.0)
_VIEW_HEIGHT = 196.0
_PATCH_ROWS, _PATCH_COLUMNS = (0, 226), (50, 400)
_LIP_COLUMNS = (203, 207, 211, 215, 219, 223, 228, 232, 236, 240, 245)
_UPPER_LIP_ROWS = (139.8, 141.2, 142.0, 142.9, 143.8, 144.2, 144.3, 143.8, 143.0, 141.8, 141.1)
_LOWER_LIP_ROWS = (139.8, 144.4, 147.4, 149.2, 149.8, 150.0, 149.3, 148.4, 146.3, 144.1, 141.1)
_NOSE_ROW, _CHIN_ROW, _COLLAR_ROW = 131.0, 178.0, 206.0
_JAW_HALF_WIDTH = 46.0

_WIDEST_GAP = 15.0
_JAW_SHARE = 0.6
_ENLARGEMENT = 2
_THROAT_RGB = np.array([52.0, 16.0, 18.0], np.float32)
_TONGUE_RGB = np.array([128.0, 58.0, 58.0], np.float32)


class _Pose(NamedTuple):
    row: float
    column: float
    angle: float
    zoom: float


class _Lips(NamedTuple):
    """Hold per pixel the lip edges on the photograph and on the frame, and how far the jaw has dropped below it."""

    upper: _Array
    lower: _Array
    new_upper: _Array
    new_lower: _Array
    jaw: _Array


def talking_head(opening: _Array, size: tuple[int, int] = (240, 320), seed: int = 0) -> Iterator[_Array]:
    """Yield one RGB frame `(H, W, 3)` per entry of ``opening``, at 25 frames/s.

    ``opening``: `(V,)`, 0 is lips closed, 1 is wide open. ``size`` is (height, width) in pixels. ``seed`` draws the
    small movement of the head (shift, tilt, distance). UsageError where ``opening`` leaves 0..1 or ``size`` is not
    that of a landscape or square frame.
    """
    height, width = size
    if not 0 < height <= width <= 1.6 * height:
        raise UsageError(
            f"A talking head cannot have {width}x{height} pixels.", "Use a width of 1 to 1.6 times the height."
        )
    opening = np.asarray(opening, np.float32)
    if opening.ndim != 1 or not np.all((opening >= 0) & (opening <= 1)):
        raise UsageError("The mouth opening must be one row of numbers from 0 to 1.", "Clip it to 0..1.")
    for degree, pose in zip(opening.tolist(), _head_movement(len(opening), seed), strict=True):
        yield _frame(degree, pose, height, width)


def _frame(degree: float, pose: _Pose, height: int, width: int) -> _Array:
    matrix, origin = _camera(pose, height, width)
    frame = np.array(_background(matrix, origin, height, width))
    window = _jaw_window(matrix, origin, height, width)
    pixels = np.indices((height, width), np.float32, sparse=True)
    down, right = pixels[0][window[0]], pixels[1][:, window[1]]
    rows = (matrix[0, 0] * down + matrix[0, 1] * right + origin[0]).astype(np.float32)
    columns = (matrix[1, 0] * down + matrix[1, 1] * right + origin[1]).astype(np.float32)
    frame[window] = _jaw(rows, columns, degree, pixels_per_row=height / _VIEW_HEIGHT)
    return frame


def _jaw(rows: _Array, columns: _Array, degree: float, pixels_per_row: float) -> _Array:
    """Draw nose to collar at photograph positions ``rows``, ``columns`` `(h, w)`: moved skin, and the open mouth."""
    lips = _move_lips(columns, degree)
    image = _sample(_unwarp(rows, lips), columns)
    inside = np.minimum(rows - lips.new_upper, lips.new_lower - rows) * pixels_per_row + 0.5
    mouth = (inside > 0) & (columns > _LIP_COLUMNS[0]) & (columns < _LIP_COLUMNS[-1])
    opacity = np.clip(inside[mouth], 0, 1)[:, None]
    image[mouth] += opacity * (_interior(rows[mouth], columns[mouth], lips, mouth, degree) - image[mouth])
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _head_movement(num_frames: int, seed: int) -> Iterator[_Pose]:
    """Return the slow sways of a seated talker: each coordinate is the sum of three slow sines with seeded phases."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(num_frames)[:, None, None] / VIDEO_FPS
    rates_hz = rng.uniform(0.08, 0.5, (3, 4))
    sway = np.sin(2 * np.pi * (rates_hz * seconds + rng.uniform(0, 1, (3, 4)))).mean(1)
    for row, column, angle, zoom in (sway * (2.5, 5.0, np.radians(2.5), 0.03)).tolist():
        yield _Pose(row, column, angle, 1 + zoom)


def _camera(pose: _Pose, height: int, width: int) -> tuple[_Array, _Array]:
    """Return matrix `(2, 2)` and origin `(2,)` that map a pixel (row, column) to the photograph at rest."""
    scale = _VIEW_HEIGHT / height * pose.zoom
    cosine, sine = scale * np.cos(pose.angle), scale * np.sin(pose.angle)
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    middle = np.array([height - 1, width - 1]) / 2
    return matrix, np.add(_VIEW_CENTRE, (pose.row, pose.column)) - matrix @ middle


def _background(matrix: _Array, origin: _Array, height: int, width: int) -> Image.Image:
    """Warp the photograph at rest. Pillow counts from the corner of a pixel and in (x, y), the rest from its middle."""
    photograph = Image.fromarray(_photograph())
    matrix, origin = matrix * _ENLARGEMENT, (origin - (_PATCH_ROWS[0], _PATCH_COLUMNS[0])) * _ENLARGEMENT
    origin = origin + 0.5 - matrix @ (0.5, 0.5)
    coefficients = (matrix[1, 1], matrix[1, 0], origin[1], matrix[0, 1], matrix[0, 0], origin[0])
    affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return photograph.transform((width, height), affine, coefficients, bilinear)


def _jaw_window(matrix: _Array, origin: _Array, height: int, width: int) -> tuple[slice, slice]:
    """Return the part of the frame that the motion of the mouth changes."""
    middle = (_LIP_COLUMNS[0] + _LIP_COLUMNS[-1]) / 2
    reach = (middle - _JAW_HALF_WIDTH, middle + _JAW_HALF_WIDTH)
    corners = np.array([(row, column) for row in (_NOSE_ROW, _COLLAR_ROW) for column in reach])
    pixels = np.linalg.solve(matrix, (corners - origin).T)
    first, last = np.floor(pixels.min(axis=1)), np.ceil(pixels.max(axis=1)) + 1
    (top, left), (bottom, right) = first.clip(0).astype(int), np.minimum(last, (height, width)).astype(int)
    return slice(top, bottom), slice(left, right)


def _move_lips(columns: _Array, degree: float) -> _Lips:
    upper = np.interp(columns, _LIP_COLUMNS, _UPPER_LIP_ROWS).astype(np.float32)
    lower = np.interp(columns, _LIP_COLUMNS, _LOWER_LIP_ROWS).astype(np.float32)
    middle = (_LIP_COLUMNS[0] + _LIP_COLUMNS[-1]) / 2
    across = (columns - middle) / (_LIP_COLUMNS[-1] - middle)
    arch = np.clip(1 - across**2, 0, None) ** 0.8
    new_upper = upper + (1.8 - 2.8 * degree) * arch
    # Beyond the corners both edges are one line, so that the cheeks stay where they are.
    new_lower = np.where(arch > 0, new_upper + _WIDEST_GAP * degree * arch, lower).astype(np.float32)
    from_middle = np.clip(np.abs(columns - middle) / _JAW_HALF_WIDTH, 0, 1)
    jaw = _JAW_SHARE * (_WIDEST_GAP * degree - 4.0) * (0.5 + 0.5 * np.cos(np.pi * from_middle))
    return _Lips(upper, lower, new_upper, new_lower, jaw.astype(np.float32))


def _unwarp(rows: _Array, lips: _Lips) -> _Array:
    """Return the photograph row whose skin is seen at ``rows``: linear between nose, lips, chin and collar."""

    def stretch(start: _Array | float, end: _Array | float, to_start: _Array | float, to_end: _Array | float) -> _Array:
        return to_start + (rows - start) / (end - start) * (to_end - to_start)

    new_chin = _CHIN_ROW + lips.jaw
    seam = (lips.new_upper + lips.new_lower) / 2
    zones = [rows < _NOSE_ROW, rows < seam, rows < new_chin, rows < _COLLAR_ROW]
    # The blend with the mouth's interior reaches half a pixel beyond the lips: there, repeat the lip, not the teeth.
    margin = np.clip(lips.lower - lips.upper, 0, 0.8)
    sources = [
        rows,
        np.minimum(stretch(_NOSE_ROW, lips.new_upper, _NOSE_ROW, lips.upper), lips.upper - margin),
        np.maximum(stretch(lips.new_lower, new_chin, lips.lower, _CHIN_ROW), lips.lower + margin),
        stretch(new_chin, _COLLAR_ROW, _CHIN_ROW, _COLLAR_ROW),
    ]
    return np.select(zones, sources, rows)


def _interior(rows: _Array, columns: _Array, lips: _Lips, mouth: _Array, degree: float) -> _Array:
    """Return colours `(pixels, 3)` between the lips: the upper teeth hang from the upper lip, dark and tongue below."""
    depth = rows - lips.new_upper[mouth]
    teeth_length = (lips.lower - lips.upper)[mouth]
    behind = np.clip(depth - teeth_length + 1.2, 0, 1)[:, None]
    towards_tongue = np.clip(depth / _WIDEST_GAP, 0, 1)[:, None] ** 2
    dark = _THROAT_RGB + towards_tongue * (_TONGUE_RGB - _THROAT_RGB)
    # Nearly closed lips throw their shadow on the teeth: what is left is the dark line between them.
    light = np.clip(_WIDEST_GAP * degree / 5.0, 0.1, 0.9)
    teeth = _sample(np.clip(lips.upper[mouth] + depth, None, lips.lower[mouth]), columns)
    teeth = _THROAT_RGB + light * (teeth - _THROAT_RGB)
    return teeth + behind * (dark - teeth)


@lru_cache(maxsize=1)
def _photograph() -> _Array:
    """Return the part of the photograph that frames can show, `(H, W, 3)`, enlarged for sharp linear sampling."""
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise MissingError("A talking head needs scikit-image.", "Type: pip install scikit-image") from error

    patch = astronaut()[slice(*_PATCH_ROWS), slice(*_PATCH_COLUMNS)].astype(np.float32)
    height, width = patch.shape[:2]
    last = ((height - 1) * _ENLARGEMENT + 1, (width - 1) * _ENLARGEMENT + 1)
    enlarged = ndimage.zoom(patch, (last[0] / height, last[1] / width, 1), order=3)
    return np.clip(np.rint(enlarged), 0, 255).astype(np.uint8)


def _sample(rows: _Array, columns: _Array) -> _Array:
    """Sample colours `(..., 3)` of the photograph at fractional positions."""
    places = np.stack([(rows - _PATCH_ROWS[0]) * _ENLARGEMENT, (columns - _PATCH_COLUMNS[0]) * _ENLARGEMENT])
    photograph = _photograph()
    channels = [
        ndimage.map_coordinates(photograph[..., channel], places, np.float32, order=1, mode="nearest")
        for channel in range(3)
    ]
    return np.stack(channels, axis=-1)
