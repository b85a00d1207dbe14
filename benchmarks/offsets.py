"""What an AV offset costs: gain where the video is early or late, with the offset estimated as `avse enhance` does.

    python benchmarks/offsets.py cache/faces --speakers id1,id2,id3 [--model avse] [--items 40]

Scenes of prepared clips (speakers that were not trained on): two equally loud talkers, the lips of the first moved.
Mean SI-SDR improvement in dB over all scenes of a length, the same scenes for each offset. "Worst" is the largest loss
against no offset, over offsets from -5 to +2 frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from in_time import energies, predict
from missing import enhanced

from avse.active_speaker.av_sync import estimate_av_offset
from avse.active_speaker.correlation import shift_frames
from avse.config import SAMPLE_RATE, VIDEO_FPS
from avse.data.augmentation.timing import random_segment
from avse.data.prepared_clips import find_clips
from avse.dsp.levels import scale_to
from avse.evaluation.metrics import si_sdr
from avse.weights.checkpoint import Checkpoint
from avse.weights.pretrained import load_model

LENGTHS = (3, 6, 12)
OFFSETS = tuple(range(-6, 4))
COUNTED = slice(OFFSETS.index(-5), OFFSETS.index(2) + 1)
LEVEL_DB = -23.0


def enhance(model: Checkpoint, sound: np.ndarray, mouths: np.ndarray) -> np.ndarray:
    """Return the voice (N,) in sound (N,) whose mouth is (V, H, W); the AV offset is estimated and compensated."""
    visible = np.asarray(mouths.any(axis=(1, 2)))
    offset = estimate_av_offset(predict(model.net, mouths)[:, None], energies(sound), visible[None])
    return enhanced(model, sound, shift_frames(mouths, -offset))


def scene_gains(model: Checkpoint, clips: dict[str, Sequence[Path]], seconds: int, seed: int) -> list[float]:
    """Return the SI-SDR improvement in dB of one scene for each of ``OFFSETS``."""
    rng = np.random.default_rng(seed)
    first, second = (
        random_segment(clips[str(name)], seconds * VIDEO_FPS, rng) for name in rng.permutation(list(clips))[:2]
    )
    voice, other = (scale_to(clip.sound, LEVEL_DB) for clip in (first, second))
    assert first.lips is not None
    before = si_sdr(voice, voice + other, SAMPLE_RATE)
    mouths = first.lips.astype(np.float32)
    moved = (enhance(model, voice + other, shift_frames(mouths, offset)) for offset in OFFSETS)
    return [float(si_sdr(voice, made, SAMPLE_RATE) - before) for made in moved]


def row(seconds: int, gains: np.ndarray) -> str:
    """Return a row of the table, of gains (scenes, offsets) in dB."""
    means = gains.mean(0)
    worst = means[COUNTED].min() - means[OFFSETS.index(0)]
    return f"| {seconds} s | {' | '.join(f'{mean:.2f}' for mean in means)} | {worst:+.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--speakers", required=True)
    parser.add_argument("--model", default="avse")
    parser.add_argument("--items", type=int, default=40)
    options = parser.parse_args()
    model, found = load_model(options.model, "cpu"), find_clips(options.cache)
    clips = {name: found[name] for name in options.speakers.split(",")}
    print(f"| length | {' | '.join(f'{offset:+d}' for offset in OFFSETS)} | worst |\n|{'---|' * (len(OFFSETS) + 2)}")
    for seconds in LENGTHS:
        gains = [scene_gains(model, clips, seconds, seed) for seed in range(options.items)]
        print(row(seconds, np.array(gains)), flush=True)


if __name__ == "__main__":
    main()
