"""Arrays in every supported form give the same voice; unusable ones are an error before any work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from avse.enhancement.enhancer import Enhancer, load_model
from avse.errors import UsageError
from avse.io.frames import stack_frames

RATE = 16000


@pytest.fixture(scope="module")
def model(see_through: Any) -> Enhancer:
    """A network that keeps everything: what comes out must be what went in."""
    return load_model(str(see_through), "cpu")


def noise(*shape: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(shape)).clip(-0.9, 0.9).astype(np.float32)


FORMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "mono": (noise(3000), {}),
    "samples first": (noise(3000, 2), {}),
    "channels first": (noise(2, 3000), {}),
    "few samples, said": (noise(2, 50), {"channels": "first"}),
    "batch": (noise(3, 2, 1000), {}),
    "batch, samples first": (noise(3, 1000, 2), {"channels": "last"}),
    "double": (noise(3000).astype(np.float64), {}),
    "half": (noise(3000).astype(np.float16), {}),
    "16 bits": ((noise(3000) * 2**15).astype(np.int16), {}),
    "32 bits": ((noise(3000) * 2**31).astype(np.int32), {}),
    "list": (noise(1000).tolist(), {}),
    "tensor": (torch.from_numpy(noise(1, 3000)), {}),
    "brain float": (torch.from_numpy(noise(3000)).bfloat16(), {}),
    "tensor of 16 bits": (torch.from_numpy((noise(3000) * 2**15).astype(np.int16)), {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_comes_back_in_its_own_form(model: Enhancer, form: str) -> None:
    given, options = FORMS[form]
    result = model.enhance(given, RATE, **options)
    if isinstance(given, torch.Tensor):
        assert (result.dtype, result.shape) == (given.dtype, given.shape)
        given, result = given.float().numpy(), result.float().numpy()
    assert np.shape(result) == np.shape(given)
    if isinstance(given, np.ndarray):
        assert result.dtype == given.dtype
    full = np.iinfo(result.dtype).max if result.dtype.kind == "i" else 32768 if "tensor of 16" in form else 1
    np.testing.assert_allclose(np.asarray(result) / full, np.asarray(given) / full, atol=1e-3)


@pytest.mark.parametrize(
    ("waveform", "rate", "options", "said"),
    [
        (noise(40, 2), RATE, {}, "ambiguous"),
        (noise(100, 100), RATE, {}, "ambiguous"),
        (noise(2, 3000), RATE, {"channels": "middle"}, "channels is"),
        (noise(1, 2, 3, 4), RATE, {}, "dimensions"),
        (np.zeros(100, bool), RATE, {}, "bool"),
        (np.full(100, np.nan), RATE, {}, "NaN"),
        ("audio", RATE, {}, "str"),
        ([[1.0], [1.0, 2.0]], RATE, {}, "not an array"),
        (noise(3000), None, {}, "sample rate"),
        (noise(3000), "16000 Hz", {}, "sample rate"),
        (noise(3000), 44.1, {}, "sample rate"),
        (noise(3000), RATE, {"frames": np.zeros((2, 0, 8), np.uint8), "fps": 25}, "no pixels"),
        (noise(3000), RATE, {"frames": np.zeros((2, 8, 8), np.float32), "fps": 25}, "float32"),
        (noise(3000), RATE, {"frames": [np.zeros((8, 8), np.uint8), np.zeros((4, 8), np.uint8)], "fps": 25}, "shapes"),
        (noise(3000), RATE, {"frames": 5, "fps": 25}, "int"),
        (noise(3000), RATE, {"frames": np.zeros((2, 8, 8), np.uint8)}, "frame rate"),
        (noise(3000), RATE, {"frames": np.zeros((2, 8, 8), np.uint8), "fps": "25"}, "frame rate"),
        (noise(3000), RATE, {"frames": np.zeros((2, 8, 8), np.uint8), "fps": 25, "colour": "hsv"}, "colour order"),
        (noise(2, 1, 3000), RATE, {"frames": [None], "fps": 25}, "2 waveforms and 1 videos"),
    ],
)
def test_what_cannot_be_used_is_reported_in_two_lines(
    model: Enhancer, waveform: Any, rate: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as error:
        model.enhance(waveform, rate, **options)
    assert error.value.hint


def test_frames_of_every_form_are_the_same_frames() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), np.uint8)
    forms: list[tuple[Any, str]] = [
        (rgb, "rgb"),
        (rgb[..., ::-1], "bgr"),
        (list(rgb), "rgb"),
        ([Image.fromarray(frame) for frame in rgb], "rgb"),
        (torch.from_numpy(rgb), "rgb"),
        ([torch.from_numpy(frame) for frame in rgb], "rgb"),
        (np.moveaxis(rgb, 3, 1), "rgb"),
    ]
    for frames, colour in forms:
        np.testing.assert_array_equal(stack_frames(frames, colour), rgb)  # type: ignore[arg-type]
    grey = rgb[..., 0]
    for frames in (grey, grey[..., None], [Image.fromarray(frame) for frame in grey]):
        np.testing.assert_array_equal(stack_frames(frames), grey)


def test_all_faces_of_arrays_are_none_where_there_is_none(model: Enhancer) -> None:
    assert model.enhance_all(noise(3000), RATE, np.full((5, 64, 64), 90, np.uint8), 25) == []
    with pytest.raises(UsageError, match="batch"):
        model.enhance_all(noise(2, 1, 3000), RATE, np.zeros((5, 8, 8), np.uint8), 25)
