"""Recordings for tests, made by ffmpeg from arrays, and what can be measured on them."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from avse.io import ffmpeg as io_ffmpeg
from avse.io import reader


def ffmpeg(*arguments: str | Path) -> str:
    """Run ffmpeg and return what it writes to its standard output."""
    command = [io_ffmpeg.ffmpeg_exe(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_recording(
    path: Path,
    waveform: np.ndarray | None = None,
    frames: np.ndarray | None = None,
    *options: str,
    sample_rate: int = 16000,
    fps: int = 25,
    audio_delay: float = 0.0,
    video_delay: float = 0.0,
) -> Path:
    """Write audio (N,) or (N, C) and grey frames (V, H, W), each of which may begin later on the file's clock."""
    with tempfile.TemporaryDirectory() as scratch:
        inputs: list[str] = []
        if frames is not None:
            raw = Path(scratch, "frames.raw")
            raw.write_bytes(frames.astype(np.uint8).tobytes())
            size = f"{frames.shape[2]}x{frames.shape[1]}"
            inputs += ["-itsoffset", str(video_delay), "-f", "rawvideo", "-pix_fmt", "gray", "-s", size]
            inputs += ["-framerate", str(fps), "-i", str(raw)]
            if "-c:v" not in options:
                options = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", *options)
        if waveform is not None:
            wave = Path(scratch, "audio.wav")
            soundfile.write(wave, waveform, sample_rate, subtype="FLOAT")
            inputs += ["-itsoffset", str(audio_delay), "-i", str(wave)]
            if path.suffix == ".mkv" and "-c:a" not in options:
                options = ("-c:a", "pcm_s16le", *options)
        ffmpeg(*inputs, *options, f"file:{path}")
    return path


def turned(source: Path, path: Path, degrees: int) -> Path:
    """A copy that is to be shown turned counter-clockwise; by the older way where ffmpeg is older than 6.0."""
    try:
        ffmpeg("-display_rotation", str(degrees), "-i", source, "-c", "copy", path)
    except AssertionError:
        ffmpeg("-i", source, "-c", "copy", "-metadata:s:v:0", f"rotate={degrees % 360}", path)
    return path


def flash_and_click(path: Path, *, start: float = 0.4, seconds: float = 1.0, **settings: float) -> Path:
    """Write dark video, lit for one frame, and a click in silence, both ``start`` seconds into the file's clock."""
    fps = int(settings.get("fps", 25))
    waveform = np.zeros(round(seconds * 16000), np.float32)
    waveform[round((start - settings.get("audio_delay", 0.0)) * 16000)] = 0.9
    frames = np.zeros((round(seconds * fps), 48, 64), np.uint8)
    frames[round((start - settings.get("video_delay", 0.0)) * fps)] = 255
    return write_recording(path, waveform, frames, **settings)  # type: ignore[arg-type]


def flash_frame(path: Path) -> int:
    """Index of the brightest frame, which is far brighter than its neighbours."""
    levels = np.array([frame.mean() for frame in reader.read_frames(reader.probe(path))])
    assert np.sort(levels)[-1] > 4 * np.sort(levels)[-2] + 20
    return int(np.argmax(levels))


def click_sample(path: Path) -> int:
    return int(np.argmax(np.abs(reader.load_audio(reader.probe(path))[:, 0])))


def video_packets(path: Path) -> list[tuple[str, ...]]:
    """Return size and checksum of every video packet, as stored."""
    lines = ffmpeg("-i", f"file:{path}", "-map", "0:V:0", "-c", "copy", "-f", "framecrc", "-").splitlines()
    return [tuple(line.replace(" ", "").split(",")[4:6]) for line in lines if not line.startswith("#")]


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """In dB, of equally long signals; not that of the library."""
    target = (estimate @ reference) / (reference @ reference) * reference
    return float(10 * np.log10((target @ target) / max(((estimate - target) ** 2).sum(), 1e-30)))


def lag(later: np.ndarray, earlier: np.ndarray) -> int:
    """Samples by which one signal comes later than the other."""
    size = len(later) + len(earlier)
    products = np.fft.irfft(np.fft.rfft(later, size) * np.fft.rfft(earlier, size).conj(), size)
    return int((np.argmax(products) + size // 2) % size - size // 2)


def coloured_noise(num_samples: int, num_channels: int = 1, top: float = 0.85) -> np.ndarray:
    """Noise (N, C), another in every channel, that fades towards ``top`` of the band, with a level that changes."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal((num_samples, num_channels)), axis=0)
    place = np.linspace(0, 1, len(spectrum))[:, None]
    spectrum *= np.clip((top - place) / 0.1, 0, 1) / (1 + 10 * place)
    noise = np.fft.irfft(spectrum, num_samples, axis=0)
    swell = 1 + 0.5 * np.sin(np.arange(num_samples) / num_samples * 20)[:, None]
    return (0.07 * noise / noise.std() * swell).astype(np.float32)
