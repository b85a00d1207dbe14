"""Windows in which no mouth is visible are enhanced by the network for the audio alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avse.config import SAMPLES_PER_FRAME
from avse.data.synthetic.clips import make_clip
from avse.dsp import windowing
from avse.dsp.levels import compute_audio_stats
from avse.dsp.rolling import RollingPlan
from avse.enhancement import pipeline, stream_enhancer, streaming
from avse.enhancement.enhancer import Enhancer, load_model
from avse.enhancement.rolling import RollingEnhancer
from avse.enhancement.stream_enhancer import StreamEnhancer
from avse.models.inputs import Inputs
from avse.models.net import Output, SpeechNet

RATE = 16000
WINDOW, OVERLAP, STEP = 20, 5, 15


class Silences(SpeechNet):
    """A network for the audio alone that leaves a tenth."""

    def forward(self, inputs: Inputs) -> Output:
        assert not bool(inputs.seen.any())
        mask = torch.full(inputs.spectrum.shape, 0.1)
        return Output(inputs.spectrum * mask, mask, None)


class Keeps(SpeechNet):
    """A network with lips that leaves all."""

    def forward(self, inputs: Inputs) -> Output:
        mask = torch.ones(inputs.spectrum.shape)
        return Output(inputs.spectrum, mask, None)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Enhancer:
    return load_model(str(tiny_model), "cpu")


@pytest.fixture
def nets(model: Enhancer) -> tuple[SpeechNet, SpeechNet]:
    return Keeps(model.net.config).eval(), Silences(model.net.config).eval()


def noise(num_frames: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal((num_frames * SAMPLES_PER_FRAME, 1))).astype(np.float32)


def leaving_mouth(num_frames: int, first_gone: int) -> np.ndarray:
    mouths = np.random.default_rng(1).integers(1, 255, (num_frames, 88, 88)).astype(np.uint8)
    mouths[first_gone:] = 0
    return mouths


def level(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.square(waveform).mean()))


def test_of_a_file(nets: tuple[SpeechNet, SpeechNet], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windowing, "WINDOW_FRAMES", WINDOW)
    for module in (windowing, streaming):
        monkeypatch.setattr(module, "OVERLAP_FRAMES", OVERLAP)
    audio, mouths = noise(80), leaving_mouth(80, first_gone=10)
    stats = compute_audio_stats([audio], RATE)

    def enhanced(audio_net: SpeechNet | None) -> np.ndarray:
        faces = [[streaming.FaceStream(iter(mouths[:, None]))]]
        steps = streaming.enhance_blocks(nets[0], [audio], RATE, stats, faces, audio_net=audio_net)
        return np.concatenate([block for (block,) in steps])

    np.testing.assert_allclose(enhanced(None), audio, atol=1e-5)
    found, joint = enhanced(nets[1]), STEP * SAMPLES_PER_FRAME
    np.testing.assert_allclose(found[:joint], audio[:joint], atol=1e-5)
    rest = joint + OVERLAP * SAMPLES_PER_FRAME
    np.testing.assert_allclose(found[rest:], 0.1 * audio[rest:], atol=1e-5)


def test_of_a_stream(nets: tuple[SpeechNet, SpeechNet]) -> None:
    audio, mouths = noise(80), leaving_mouth(80, first_gone=10)
    stream = RollingEnhancer(
        nets[0], RATE, 1, RollingPlan(WINDOW, 5, 2, 0), uses_video=True, level=0.1, audio_net=nets[1]
    )
    found = np.concatenate([stream.push(audio, mouths), stream.flush()])
    first, last = slice(0, 20 * SAMPLES_PER_FRAME), slice(60 * SAMPLES_PER_FRAME, None)
    assert level(found[first]) == pytest.approx(level(audio[first]), rel=1e-4)
    assert level(found[last]) == pytest.approx(0.1 * level(audio[last]), rel=1e-3)


def test_files_and_streams_use_the_one_that_belongs_to_the_model(
    model: Enhancer, see_through: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio_only, used = load_model(str(see_through), "cpu"), []
    for module in (pipeline, stream_enhancer):
        monkeypatch.setattr(module, "for_audio_only", lambda given: audio_only)
    clip = tmp_path / "clip.mp4"
    make_clip(clip, seconds=1.0)
    original = pipeline.enhance_streams

    def noted(*args: object, audio_net: SpeechNet, **named: object) -> object:
        used.append(audio_net)
        return original(*args, audio_net=audio_net, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "enhance_streams", noted)
    pipeline.enhance(clip, model=model)
    assert used == [audio_only.net]
    stream = StreamEnhancer(RATE, 25, model=model)
    stream.push(noise(5)[:, 0])
    assert stream._rolling is not None
    assert stream._rolling._audio_net is audio_only.net
