"""The main job: nothing shifted, nothing lost, no seam, and a word on what could not be seen."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from recordings import coloured_noise, flash_and_click, lag, si_sdr, video_packets, write_recording

import avse
from avse.dsp import windowing
from avse.dsp.resampling import trim_to_length
from avse.enhancement.masking import apply_mask, half_hop_ensemble, processing_rate
from avse.enhancement.result import Result
from avse.errors import AvseError, InputError, UsageError
from avse.io import reader
from avse.weights.pretrained import load_model

GREY = np.full((25, 96, 128), 128, np.uint8)


def written(path: Path) -> np.ndarray:
    """Return all samples (N, C) of an audio file."""
    return np.asarray(soundfile.read(path, dtype="float64", always_2d=True)[0])


def enhance_waveform(folder: Path, waveform: np.ndarray, sample_rate: int, model: Path) -> tuple[Result, np.ndarray]:
    recording = folder / "in.wav"
    soundfile.write(recording, waveform, sample_rate, subtype="FLOAT")
    result = avse.enhance(recording, folder / "out.wav", model=str(model), force=True)
    return result, written(folder / "out.wav")


@pytest.mark.parametrize(
    ("sample_rate", "num_channels"),
    [
        (8000, 1), (11025, 1), (16000, 1), (22050, 1), (44100, 1), (48000, 1), (96000, 1),
        (44100, 2), (11025, 2), (48000, 6),
    ],
)  # fmt: skip
def test_net_that_keeps_all_gives_back_every_sample(
    tmp_path: Path, see_through: Path, sample_rate: int, num_channels: int
) -> None:
    waveform = coloured_noise(sample_rate + 1234, num_channels)
    result, output = enhance_waveform(tmp_path, waveform, sample_rate, see_through)
    assert output.shape == waveform.shape
    assert (result.sample_rate, result.num_channels) == (sample_rate, num_channels)
    for channel in range(num_channels):
        assert lag(output[:, channel], waveform[:, channel]) == 0
        inside = slice(200, -200), channel  # audio that is cut off cannot be resampled exactly at its ends
        assert si_sdr(waveform[inside], output[inside]) > 60
        assert np.abs(output - waveform)[:, channel].max() < (1e-4 if sample_rate != 11025 else 0.05)


def test_long_recording_has_no_seam(tmp_path: Path, see_through: Path) -> None:
    waveform = coloured_noise(20 * 8000 + 77)
    _, output = enhance_waveform(tmp_path, waveform, 8000, see_through)
    assert output.shape == waveform.shape
    assert np.abs(output - waveform).max() < 1e-4


def test_stitched_windows_agree_with_one(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waveform = coloured_noise(6 * 16000)
    _, whole = enhance_waveform(tmp_path, waveform, 16000, tiny_model)
    monkeypatch.setattr(windowing, "WINDOW_FRAMES", 90)
    _, stitched = enhance_waveform(tmp_path, waveform, 16000, tiny_model)
    assert si_sdr(whole[:, 0], waveform[:, 0]) < 25  # the net does something
    for interior in (slice(0, 60 * 640), slice(100 * 640, None)):  # beyond the reach of the seam
        np.testing.assert_allclose(stitched[interior], whole[interior], atol=2 / 32768)
    assert si_sdr(whole[:, 0], stitched[:, 0]) > 45
    largest_step = np.abs(np.diff(stitched[:, 0] - whole[:, 0])).max()
    assert largest_step < 0.02 * np.abs(np.diff(whole[:, 0])).max()


def test_mask_above_8_khz_is_the_gain_of_its_last_quarter() -> None:
    mask = torch.ones(2, 321, 50)
    mask[:, 280:] = 0.25
    stage = coloured_noise(48000)
    output = apply_mask(stage, mask, per_frame=1920, hop=320)
    gain = np.abs(np.fft.rfft(output[:, 0])) / np.abs(np.fft.rfft(stage[:, 0]))
    np.testing.assert_allclose(np.median(gain[1000:6500]), 1.0, atol=0.01)  # bins of 1 Hz
    np.testing.assert_allclose(np.median(gain[8500:20000]), 0.25, atol=0.01)


@pytest.mark.parametrize("per_frame", [640, 882, 1764])
def test_both_grids_cover_the_same_audio_with_equal_weight(per_frame: int) -> None:
    """The mask of each grid contributes half of the audio, to the sample; the last half hop has one grid only."""
    stage, end = coloured_noise(25 * per_frame, 2), -(per_frame // 4)
    punctual = torch.zeros(2, 321, 50)
    punctual[0] = 1.0
    kept = [apply_mask(stage, masks, per_frame, hop=320) for masks in (punctual, 1 - punctual)]
    for half, share in zip(kept, (1.0, 0.0), strict=True):
        np.testing.assert_allclose(half[:end], stage[:end] / 2, atol=1e-5)
        np.testing.assert_allclose(half[end:], stage[end:] * share, atol=1e-5)


def test_the_late_grid_is_half_a_hop_late() -> None:
    waveform = np.arange(12.0).reshape(6, 2)
    plain, late = half_hop_ensemble(waveform, 4)
    np.testing.assert_array_equal(plain, waveform)
    np.testing.assert_array_equal(late[2:], waveform[:-2])
    gate = torch.zeros(2, 321, 50)
    gate[1, :, 25:] = 1.0
    power = np.square(apply_mask(np.ones((25 * 640, 1), np.float32), gate, 640, 320)[:, 0] * 2)
    opens = int(np.argmax(power > 0.25))
    assert opens == pytest.approx(25 * 320 - 160, abs=20)


@pytest.mark.parametrize(("sample_rate", "hop", "expected"), [
    (8000, 160, 8000), (16000, 320, 16000), (22050, 320, 22050), (22050, 160, 44100), (11025, 320, 44100),
    (44100, 160, 44100), (48000, 160, 48000), (22254, 320, 44100),
])  # fmt: skip
def test_rate_at_which_video_frames_and_hops_fall_on_samples(sample_rate: int, hop: int, expected: int) -> None:
    assert processing_rate(sample_rate, hop) == expected
    assert expected % 25 == 0
    assert (expected // 25 * hop) % 640 == 0


def test_length_is_made_exact() -> None:
    blocks = [np.ones((4, 2), np.float32)] * 3
    for num_samples in (1, 4, 11, 12, 15):
        joined = np.concatenate(list(trim_to_length(iter(blocks), num_samples)))
        assert joined.shape == (num_samples, 2)
        assert joined.sum() == 2 * min(num_samples, 12)


def test_face_is_followed_and_reported_as_visible(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    result = avse.enhance(clip, tmp_path / "seen.wav", model=str(tiny_model))
    assert (result.num_faces, result.num_channels, result.sample_rate) == (1, 1, 16000)
    assert result.seen_share == 1
    assert result.duration_seconds == 1.28
    assert result.model == "tiny"
    assert result.note.startswith("Face seen 100% of the time.")
    assert result.as_dict()["real_time_factor"] == pytest.approx(result.elapsed_seconds / 1.28)
    unseen = avse.enhance(clip, tmp_path / "unseen.wav", model=str(tiny_model), use_video=False)
    assert "was ignored" in unseen.note
    assert (unseen.num_faces, unseen.seen_share) == (0, 0)
    difference = written(tmp_path / "seen.wav") - written(tmp_path / "unseen.wav")
    assert np.abs(difference).max() > 4e-4  # the video reaches the network


def test_loaded_model_does_the_same_as_its_path(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    avse.enhance(clip, tmp_path / "a.flac", model=str(tiny_model))
    avse.enhance(clip, tmp_path / "b.flac", model=load_model(tiny_model))
    np.testing.assert_array_equal(written(tmp_path / "a.flac"), written(tmp_path / "b.flac"))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_video_is_copied_and_gets_the_new_audio(clip: Path, see_through: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    avse.enhance(clip, output, model=str(see_through))
    assert video_packets(output) == video_packets(clip)
    before, after = (reader.load_audio(reader.probe(path))[:, 0] for path in (clip, output))
    assert 0 <= len(after) - len(before) < 1024
    assert lag(after, before) == 0
    assert si_sdr(before, after[: len(before)]) > (60 if suffix == ".mkv" else 15)
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize(
    ("delays", "code", "words"),
    [
        ({"audio_delay": 0.52}, "audio_starts_late", "starts 0.52 s after the video"),
        ({"video_delay": 0.52}, "audio_starts_early", "starts 0.52 s before the video"),
        ({"audio_delay": 0.09}, None, ""),
    ],
)
def test_audio_output_that_does_not_start_with_the_video_is_reported(
    see_through: Path, tmp_path: Path, delays: dict[str, float], code: str | None, words: str
) -> None:
    source = write_recording(tmp_path / "in.mkv", coloured_noise(16000), GREY, **delays)  # type: ignore[arg-type]
    result = avse.enhance(source, tmp_path / "out.wav", model=see_through)
    found = [warning.code for warning in result.warnings if warning.code.startswith("audio_starts")]
    assert found == [code] * bool(code)
    assert words in result.note
    video = avse.enhance(source, tmp_path / "out.mkv", model=see_through)
    assert "audio_starts" not in str(video.warnings)


def test_delayed_audio_keeps_its_offset_to_the_video(see_through: Path, tmp_path: Path) -> None:
    source = flash_and_click(tmp_path / "in.mkv", audio_delay=0.2)
    avse.enhance(source, tmp_path / "out.mkv", model=str(see_through))
    before, after = reader.probe(source), reader.probe(tmp_path / "out.mkv")
    assert before.audio is not None
    assert after.audio is not None
    assert after.audio.start_seconds == before.audio.start_seconds == 0.2
    assert np.argmax(reader.load_audio(after)) == np.argmax(reader.load_audio(before)) == 3200


def test_missing_video_audio_or_faces_are_reported(tiny_model: Path, tmp_path: Path) -> None:
    hum = coloured_noise(16000)
    cases = {
        "There is no video": write_recording(tmp_path / "audio.wav", hum),
        "no moving face": write_recording(tmp_path / "grey.mkv", hum, GREY),
        "silent": write_recording(tmp_path / "silence.mkv", 0 * hum, GREY),
    }
    for words, source in cases.items():
        result = avse.enhance(source, tmp_path / "out.wav", model=str(tiny_model), force=True)
        assert words in result.note
        assert (result.num_faces, result.seen_share) == (0, 0)
        assert written(tmp_path / "out.wav").shape == (16000, 1)
        assert np.isfinite(written(tmp_path / "out.wav")).all()
    assert written(tmp_path / "out.wav").any() == np.False_


@pytest.mark.parametrize(
    ("num_samples", "sample_rate"), [(1, 48000), (1, 11025), (2, 8000), (800, 8000), (4410, 44100)]
)
def test_shortest_recordings(tiny_model: Path, tmp_path: Path, num_samples: int, sample_rate: int) -> None:
    result, output = enhance_waveform(tmp_path, coloured_noise(num_samples + 5)[:num_samples], sample_rate, tiny_model)
    assert output.shape == (num_samples, 1)
    assert result.duration_seconds == num_samples / sample_rate


def test_video_longer_than_the_audio_is_unchanged(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    """A face that appears only after the end of the audio does not count."""
    frames = np.concatenate([np.full((25, 240, 320), 128), *_frames(clip)])
    source = write_recording(tmp_path / "in.mkv", coloured_noise(8000), frames)
    result = avse.enhance(source, tmp_path / "out.wav", model=str(tiny_model))
    assert "no moving face" in result.note
    assert (result.num_faces, result.seen_share) == (0, 0)
    assert len(written(tmp_path / "out.wav")) == 8000


def test_audio_longer_than_the_video_is_kept(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "in.mkv", coloured_noise(48000), np.concatenate(_frames(clip)))
    result = avse.enhance(source, tmp_path / "out.wav", model=str(tiny_model))
    assert len(written(tmp_path / "out.wav")) == 48000
    assert result.seen_share == pytest.approx(32 / 75, abs=0.05)
    assert "only the audio was used elsewhere" in result.note


def _frames(path: Path) -> list[np.ndarray]:
    return [frame[None] for frame in reader.read_frames(reader.probe(path))]


def test_progress_is_reported_for_every_stage_to_its_end(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    reported: dict[str, list[tuple[float, float]]] = {}
    avse.enhance(
        clip, tmp_path / "out.wav", model=str(tiny_model),
        on_progress=lambda stage, done, total: reported.setdefault(stage, []).append((done, total)),
    )  # fmt: skip
    assert list(reported) == ["measuring levels", "detecting faces", "analysing mouths", "enhancing"]
    for calls in reported.values():
        done = [call[0] for call in calls]
        assert done == sorted(done)
        assert done[-1] == pytest.approx(calls[-1][1], rel=0.1)


def test_video_that_cannot_hold_the_video_leaves_nothing(tiny_model: Path, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "in.mkv", coloured_noise(16000), GREY, "-c:v", "wmv2")
    reported: list[str] = []
    with pytest.raises(InputError, match=r"\.mkv"):
        avse.enhance(
            source, tmp_path / "out.mp4", model=str(tiny_model),
            on_progress=lambda stage, done, total: reported.append(stage),
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == [source]
    assert reported == []


@pytest.mark.parametrize("name", ["out.wav", "out.flac", "out.mkv"])
def test_disk_that_is_full_is_reported_and_nothing_left(see_through: Path, tmp_path: Path, name: str) -> None:
    source = write_recording(tmp_path / "in.mkv", coloured_noise(32000), GREY)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(AvseError, match="disk"):
            avse.enhance(source, tmp_path / name, model=str(see_through))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == [source]


def test_interrupted_job_leaves_the_old_output_and_nothing_else(tiny_model: Path, tmp_path: Path) -> None:
    source, output = write_recording(tmp_path / "in.wav", coloured_noise(16000)), tmp_path / "out.wav"
    output.write_bytes(b"old")

    def interrupt(stage: str, done: float, total: float) -> None:
        if stage == "enhancing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        avse.enhance(source, output, model=str(tiny_model), force=True, on_progress=interrupt)
    assert output.read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == [source, output]


def test_recording_is_never_replaced(tiny_model: Path, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "in.wav", coloured_noise(1600))
    stored = source.read_bytes()
    with pytest.raises(UsageError, match="never replaced"):
        avse.enhance(source, source, model=str(tiny_model), force=True)
    assert source.read_bytes() == stored


def test_audio_recording_cannot_become_a_video(tiny_model: Path, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "in.wav", coloured_noise(1600))
    with pytest.raises(UsageError, match="no video"):
        avse.enhance(source, tmp_path / "out.mp4", model=str(tiny_model))
    assert list(tmp_path.iterdir()) == [source]


def test_enhance_needs_neither_torchaudio_nor_librosa(
    clip: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torchaudio", "librosa"):
        monkeypatch.setitem(sys.modules, name, None)  # any import of it fails
    assert avse.enhance(clip, model=str(tiny_model), device="cpu").waveform is not None
