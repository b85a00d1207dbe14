"""Synthetic recordings: a talking head whose lips match its speech, with another talker or noise added.

They need only this library and scikit-image's photograph, so tests, demonstrations and users can make them
anywhere. The same seed gives the same frames and the same audio. Legend: ``N`` samples, ``V`` frames, ``H W`` pixels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from avse.config import SAMPLE_RATE, VIDEO_FPS
from avse.data.synthetic.face import talking_head
from avse.data.synthetic.speech import speak
from avse.dsp.levels import db_to_gain
from avse.errors import UsageError
from avse.io import atomic, ffmpeg, reader
from avse.io.disk import make_folder
from avse.io.folders import check_folder

# A whole number of video frames and of AAC frames (1024 samples): nothing is padded at the end.
SAMPLE_SECONDS = 6.08

_Waveform = NDArray[np.float32]


def make_clip(
    path: Path,
    seconds: float = 2.0,
    seed: int = 0,
    *,
    size: tuple[int, int] = (240, 320),
    background: _Waveform | None = None,
    background_db: float = 0.0,
) -> _Waveform:
    """Write a talking head with its speech as ``path`` (H.264, AAC at 16 kHz), and return the speech alone, `(N,)`.

    ``background`` (`(N,)`, at least as long) is added at ``background_db`` relative to the speech (mean powers); the
    returned speech has the level that it has inside the clip. ``size`` is (height, width), both even.
    """
    speech = speak(seconds, SAMPLE_RATE, seed, pitch_hz=205.0, tract_scale=1.15)
    clean, audio = speech.waveform, speech.waveform
    if background is not None:
        clean, audio = mix(clean, background[: len(clean)], background_db)
    write_video(path, talking_head(speech.opening, size, seed), audio, SAMPLE_RATE)
    return clean


def mix(target: _Waveform, background: _Waveform, background_db: float) -> tuple[_Waveform, _Waveform]:
    """Return target and mixture, `(N,)` each, with one common gain that keeps the mixture within -0.9..0.9."""
    if target.shape != background.shape:
        raise UsageError(
            f"A background of {len(background)} samples does not cover a target of {len(target)}.",
            "Use a background at least as long as the target.",
        )
    ratio = np.sqrt(np.mean(target**2) / np.mean(background**2)) * db_to_gain(background_db)
    mixture = target + ratio * background
    gain = min(1.0, 0.9 / float(np.abs(mixture).max()))
    return (gain * target).astype(np.float32), (gain * mixture).astype(np.float32)


def street_noise(seconds: float, seed: int = 0) -> _Waveform:
    """Synthesise four talkers far away, rumble and an electric hum at 16 kHz, `(N,)`."""
    rng = np.random.default_rng(seed)
    num_samples = round(seconds * SAMPLE_RATE)
    babble = np.zeros(num_samples)
    for voice_seed in rng.integers(2**31, size=4):
        voice = speak(seconds, SAMPLE_RATE, int(voice_seed), rng.uniform(95, 230), rng.uniform(0.95, 1.2))
        babble += voice.waveform / 0.14
    seconds_passed = np.arange(num_samples) / SAMPLE_RATE
    overtones = np.arange(1, 9)[:, None]
    waves = np.sin(2 * np.pi * (100.0 * overtones * seconds_passed + rng.uniform(0, 1, (8, 1)))) / overtones
    noise = babble + 0.7 * _pink_noise(num_samples, rng) + 0.3 * waves.sum(axis=0)
    return (0.05 * noise).astype(np.float32)


def _pink_noise(num_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Synthesise noise whose power falls by 3 dB per octave from 80 Hz on, with nothing below."""
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    frequency_hz = np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE)
    spectrum *= np.where(frequency_hz >= 80, 1 / np.sqrt(np.maximum(frequency_hz, 1)), 0)
    noise = np.fft.irfft(spectrum, num_samples)
    return noise / noise.std()


def make_samples(folder: Path, seed: int = 0, force: bool = False) -> list[Path]:
    """Write two clips of 6 s with a clean reference each, and return the paths.

    One has a second talker as loud as the first, one has noise 5 dB below. A reference is 16-bit WAV at 16 kHz, exactly
    as long as the audio decoded from its clip. UsageError where one of them exists and ``force`` is off.
    """
    names = ("talker-with-second-talker", "talker-with-noise")
    paths = [folder / f"{name}{suffix}" for name in names for suffix in (".mp4", ".reference.wav")]
    check_folder(folder)
    _check_free(folder, paths, force)
    make_folder(folder)
    second_talker = speak(SAMPLE_SECONDS, SAMPLE_RATE, seed + 1, pitch_hz=112.0).waveform
    backgrounds = (second_talker, 0.0), (street_noise(SAMPLE_SECONDS, seed + 2), -5.0)
    for clip, reference, (background, background_db) in zip(paths[::2], paths[1::2], backgrounds, strict=True):
        clean = make_clip(clip, SAMPLE_SECONDS, seed, background=background, background_db=background_db)
        num_samples = len(reader.load_audio(reader.probe(clip)))
        clean = np.pad(clean, (0, max(0, num_samples - len(clean))))[:num_samples]
        with atomic.atomic_path(reference) as part:
            soundfile.write(part, clean, SAMPLE_RATE, subtype="PCM_16")
    return paths


def _check_free(folder: Path, paths: list[Path], force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder.", "Choose a folder for the samples.")
    taken = [path for path in paths if path.exists()]
    if taken and not force:
        raise UsageError(f"{taken[0]} already exists.", "Use --force to overwrite it, or choose another folder.")


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], waveform: _Waveform, sample_rate: int) -> None:
    """Write RGB frames `(H, W, 3)`, H and W even, at 25 frames/s and mono audio `(N,)`; no partial file appears."""
    with atomic.atomic_path(path) as part, tempfile.TemporaryDirectory() as scratch:
        audio = Path(scratch, "sound.wav")
        soundfile.write(audio, waveform, sample_rate, subtype="FLOAT")
        frames = iter(frames)
        first = next(frames)
        arguments = _encoding(first.shape[1], first.shape[0], audio, part)
        ffmpeg.feed(arguments, (frame.tobytes() for frame in chain([first], frames)), f"{path} cannot be written.")


def _encoding(width: int, height: int, audio_file: Path, output: Path) -> list[str]:
    video_input = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(VIDEO_FPS)]
    video = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "22", "-pix_fmt", "yuv420p", "-threads", "1"]
    audio = ["-c:a", "aac", "-b:a", "64k"]
    # Bit-exact: no version or date in the file, so that the same seed gives the same bytes with the same ffmpeg.
    exact = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]
    return [*video_input, "-i", "-", "-i", f"file:{audio_file}", *video, *audio, *exact, "-y", f"file:{output}"]
