"""Draw the figure on the first page: spectrograms of a recording before and after, and the target's face.

    python benchmarks/picture.py samples/talker-with-noise.mp4 samples/talker-with-noise.reference.wav \
        -o docs/images/before-after.png --audio docs/examples/noise

It runs `avse enhance`. With ``--audio`` it also writes docs/examples/noise-before.mp3, -after.mp3 and -clean.mp3.
The text is light on a dark background, so that it is readable on light and on dark pages.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import librosa
import matplotlib.pyplot as plt
import numpy as np
import soundfile
from PIL import Image

import avse
from avse.evaluation.reference import compare_files, read_reference
from avse.faces.detection import Detector
from avse.io import reader

CARD, INK, FAINT, FACE = "#11161d", "#e8edf4", "#8d99a8", "#4fd1a5"
FACE_FRAME = 40
LOWEST_DB, HIGHEST_DB = -70.0, 0.0


def decibels(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Compute the power spectrogram (F, T) in dB, with bins of 25 Hz and a hop of 10 ms."""
    spectrum = librosa.stft(audio, n_fft=sample_rate // 25, hop_length=sample_rate // 100)
    return np.asarray(librosa.amplitude_to_db(np.abs(spectrum), ref=1.0))


def draw(path: Path, output: Path, scores: dict[str, Any], target: Path) -> None:
    """Write the figure."""
    recording = reader.probe(path)
    assert recording.audio is not None
    rate = recording.audio.sample_rate
    blocks = {
        "before": reader.load_audio(recording, rate)[:, 0],
        "after": reader.load_audio(reader.probe(output), rate)[:, 0],
    }
    loudest = decibels(blocks["before"], rate).max()
    figure = plt.figure(figsize=(10.4, 4.3), facecolor=CARD)
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 2.35), left=0.02, right=0.985, top=0.92, bottom=0.115)
    draw_face(figure.add_subplot(grid[:, 0]), recording)
    for row, (name, audio) in enumerate(blocks.items()):
        axes = figure.add_subplot(grid[row, 1])
        draw_spectrogram(axes, decibels(audio, rate) - loudest, len(audio) / rate, rate, is_last=row == 1)
        found = scores[name]
        axes.set_title(name, color=INK, loc="left", fontsize=12, fontweight="bold")
        words = f"SI-SDR {found['si_sdr']:.1f} dB    PESQ {found['pesq']:.2f}    STOI {found['stoi']:.2f}"
        axes.set_title(words, color=FAINT, loc="right", fontsize=10)
    figure.subplots_adjust(wspace=0.13, hspace=0.26)
    figure.savefig(target, dpi=140, facecolor=CARD)
    Image.open(target).convert("RGB").quantize(256).save(target, optimize=True)


def draw_face(axes: Any, recording: reader.Recording) -> None:
    """Draw one frame with the bounding box of the face and the mouth ROI."""
    frame = next(islice(reader.read_frames(recording), FACE_FRAME, None))
    face = max(Detector(1)(frame), key=lambda found: found.score)
    left, top, right, bottom = face.box
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    half = 0.62 * (bottom - top)
    axes.imshow(frame, cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    axes.set_xlim(middle[0] - half * 0.8, middle[0] + half * 0.8)
    axes.set_ylim(middle[1] + half, middle[1] - half)
    box = {"fill": False, "edgecolor": FACE, "linewidth": 2}
    axes.add_patch(plt.Rectangle((left, top), right - left, bottom - top, **box))
    corners = face.landmarks[3:]
    mouth = corners.mean(0)
    side = 1.4 * np.linalg.norm(face.landmarks[:2].mean(0) - mouth)
    axes.add_patch(plt.Rectangle(mouth - side / 2, side, side, **box, linestyle=(0, (3, 2))))
    axes.set_title("the target's face", color=INK, loc="left", fontsize=12, fontweight="bold")
    axes.axis("off")


def draw_spectrogram(axes: Any, power_db: np.ndarray, seconds: float, sample_rate: int, is_last: bool) -> None:
    """Draw a spectrogram: frequency in kHz over time in seconds."""
    extent = (0.0, seconds, 0.0, sample_rate / 2000)
    look = {"cmap": "magma", "vmin": LOWEST_DB, "vmax": HIGHEST_DB, "aspect": "auto", "origin": "lower"}
    axes.imshow(power_db, extent=extent, interpolation="bilinear", **look)
    axes.set_yticks([0, 2, 4, 6, 8])
    axes.set_ylabel("kHz", color=FAINT, fontsize=10)
    axes.tick_params(colors=FAINT, labelsize=9, labelbottom=is_last)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if is_last:
        axes.set_xlabel("seconds", color=FAINT, fontsize=10)


def write_audio(prefix: str, recording: Path, reference: Path, output: Path) -> None:
    """Write the audio before, after and clean as ``PREFIX-before.mp3`` and so on."""
    for name, path in (("before", recording), ("after", output), ("clean", reference)):
        audio = reader.load_audio(reader.probe(path))
        soundfile.write(f"{prefix}-{name}.mp3", audio, 16000, bitrate_mode="CONSTANT", compression_level=0.6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images/before-after.png"))
    parser.add_argument("--audio", metavar="PREFIX", help="also write PREFIX-before.mp3, -after.mp3 and -clean.mp3")
    parser.add_argument("--sounds", dest="audio", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # former name
    given = parser.parse_args()
    clean = read_reference(given.reference, given.recording)
    with tempfile.TemporaryDirectory() as folder:
        enhanced = Path(folder) / "clean.wav"
        avse.enhance(given.recording, enhanced)
        draw(given.recording, enhanced, compare_files(clean, given.recording, enhanced), given.output)
        if given.audio:
            write_audio(given.audio, given.recording, given.reference, enhanced)
    print(given.output)


if __name__ == "__main__":
    main()
