"""Arrays of whatever a caller gives: used as they are meant, or refused in two lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from avse.config import ModelConfig
from avse.data.mix_config import MixConfig
from avse.errors import UsageError
from avse.evaluation.metrics import score, si_sdr
from avse.io.arrays import check_sample_rate, read_audio_array
from avse.io.encoding import OutputSettings
from avse.io.frames import check_fps, stack_frames
from avse.io.limits import Limits
from avse.io.tensors import plain_array
from avse.training.config import TrainConfig

TONE = np.sin(np.arange(800) / 5).astype(np.float32)
FRAMES = np.zeros((2, 8, 8), np.uint8)
TENSOR = torch.from_numpy(TONE)


class Hostile:
    """Fails wherever it is touched."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise RuntimeError

    def __float__(self) -> float:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError


UNUSABLE: dict[str, Any] = {
    "sparse": TENSOR.to_sparse(), "meta": TENSOR.to("meta"), "complex tensor": TENSOR + 0j, "complex": TONE + 0j,
    "float8": TENSOR.to(torch.float8_e4m3fn), "quantised": torch.quantize_per_tensor(TENSOR, 0.1, 0, torch.qint8),
    "objects": np.array([object()] * 9), "object numbers": TONE.astype(object), "text": "abc", "bytes": b"abc",
    "dates": np.array(["2026-01-01"], "datetime64[D]"), "fields": np.zeros(9, [("a", "f4")]), "ragged": [[1], [1, 2]],
    "None": None, "mapping": {"a": 1}, "hostile": Hostile(), "generator": (value for value in TONE), "type": int,
}  # fmt: skip
USABLE: dict[str, Any] = {
    "needs a gradient": TENSOR.clone().requires_grad_(), "negative strides": TONE[::-1][::-1], "list": TONE.tolist(),
    "big endian": TONE.astype(">f4"), "double": TONE.astype(float),
    "lazily negated": torch.complex(TENSOR, -TENSOR).conj().imag,
    "list of tensors": list(TENSOR),
}  # fmt: skip
CALLS: dict[str, Callable[[Any], Any]] = {
    "plain_array": lambda value: plain_array(value, "It", "Give another."),
    "waveform": read_audio_array,
    "frames": stack_frames,
    "reference": lambda value: score(value, TONE, 16000),
    "estimate": lambda value: si_sdr(TONE, value, 16000),
}
NO_NUMBERS: dict[str, Any] = {
    "text": "16000", "bytes": b"1", "None": None, "bool": True, "nan": float("nan"), "infinity": float("inf"), "0": 0,
    "negative": -1, "huge": 10**400, "1e300": 1e300, "tiny": 1e-9, "list": [16000], "array": np.array([1, 2]),
    "meta": torch.zeros(2, device="meta"), "complex": 1j, "hostile": Hostile(),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_is_no_array_of_real_numbers_is_a_usage_error(kind: str, call: str) -> None:
    with pytest.raises(UsageError) as caught:
        CALLS[call](UNUSABLE[kind])
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("kind", USABLE)
def test_every_form_of_real_numbers_is_taken(kind: str) -> None:
    np.testing.assert_allclose(read_audio_array(USABLE[kind]).samples[0, :, 0], TONE, rtol=1e-6)
    assert si_sdr(TONE, USABLE[kind], 16000) > 60


@pytest.mark.parametrize("shape", [(0, 1, 800), (800, 0), (2, 2, 2, 100), ()])
def test_shapes_that_hold_no_waveform(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        read_audio_array(np.zeros(shape, np.float32))


@pytest.mark.parametrize("kind", NO_NUMBERS)
@pytest.mark.parametrize("check", [check_sample_rate, check_fps, lambda rate: score(TONE, TONE, rate)])
def test_what_is_no_rate_is_a_usage_error(kind: str, check: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError) as caught:
        check(NO_NUMBERS[kind])
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "call", [lambda order: read_audio_array(TONE, order), lambda order: stack_frames(FRAMES, order)]
)
@pytest.mark.parametrize("value", [3, None, ["first"], np.array([1, 2])], ids=str)
def test_order_that_is_no_word(call: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(UsageError):
        call(value)


@pytest.mark.parametrize("metrics", [5, [None], [["pesq"]], "pesq"], ids=str)
def test_metrics_that_are_no_list_of_names(metrics: Any) -> None:
    with pytest.raises(UsageError):
        score(TONE, TONE, 16000, metrics)


@pytest.mark.parametrize(
    "value", ["word", [object()], object(), np.array([1, 2]), Hostile(), int], ids=lambda v: type(v).__name__
)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (OutputSettings, "bitrate_kbps"), (Limits, "max_seconds"), (ModelConfig, "hop"), (ModelConfig, "fusion_depths"),
        (ModelConfig, "compression"), (MixConfig, "num_talkers"), (MixConfig, "speed"), (TrainConfig, "batch_size"),
        (TrainConfig, "model"), (TrainConfig, "weights"),
    ],
)  # fmt: skip
def test_settings_of_a_wrong_type_are_usage_errors(kind: Any, name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        kind(**{name: value})
    assert len(str(caught.value).splitlines()) == 2
