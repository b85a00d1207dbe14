"""Measure the loss from an AV offset: gain with early or late video; the offset is estimated as in `avse enhance`.

    python benchmarks/offsets.py cache/faces --speakers id1,id2,id3 [--model avse] [--items 40]

The scenes are made of prepared clips: two talkers at equal level, with the lips of the first one shifted. The speakers
should not have been trained on. The table has the mean SI-SDR improvement in dB over all scenes of a length; the scenes
are the same for each offset in frames. "Worst" is the largest loss compared with no offset, from -5 to +2 frames.
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


def enhance(model: Checkpoint, audio: np.ndarray, mouths: np.ndarray) -> np.ndarray:
    """Enhance audio (N,) for the mouth crops (V, H, W); the AV offset is estimated and compensated."""
    visible = np.asarray(mouths.any(axis=(1, 2)))
    offset = estimate_av_offset(predict(model.net, mouths)[:, None], energies(audio), visible[None])
    return enhanced(model, audio, shift_frames(mouths, -offset))


def scene_gains(model: Checkpoint, clips: dict[str, Sequence[Path]], seconds: int, seed: int) -> list[float]:
    """Compute the SI-SDR improvement in dB of one scene for each of ``OFFSETS``."""
    rng = np.random.default_rng(seed)
    first, second = (
        random_segment(clips[str(name)], seconds * VIDEO_FPS, rng) for name in rng.permutation(list(clips))[:2]
    )
    voice, other = (scale_to(clip.audio, LEVEL_DB) for clip in (first, second))
    assert first.lips is not None
    before = si_sdr(voice, voice + other, SAMPLE_RATE)
    mouths = first.lips.astype(np.float32)
    moved = (enhance(model, voice + other, shift_frames(mouths, offset)) for offset in OFFSETS)
    return [float(si_sdr(voice, made, SAMPLE_RATE) - before) for made in moved]


def row(seconds: int, gains: np.ndarray) -> str:
    """Return a row of the table from gains (scenes, offsets) in dB."""
    means = gains.mean(0)
    worst = means[COUNTED].min() - means[OFFSETS.index(0)]
    return f"| {seconds} s | {' | '.join(f'{mean:.2f}' for mean in means)} | {worst:+.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, help="folder of prepared clips")
    parser.add_argument("--speakers", required=True, help="at least two, separated by commas")
    parser.add_argument("--model", default="avse", help="name or checkpoint")
    parser.add_argument("--items", type=int, default=40, help="number of scenes of each length")
    options = parser.parse_args()
    model, found = load_model(options.model, "cpu"), find_clips(options.cache)
    clips = {name: found[name] for name in options.speakers.split(",")}
    print(f"| length | {' | '.join(f'{offset:+d}' for offset in OFFSETS)} | worst |\n|{'---|' * (len(OFFSETS) + 2)}")
    for seconds in LENGTHS:
        gains = [scene_gains(model, clips, seconds, seed) for seed in range(options.items)]
        print(row(seconds, np.array(gains)), flush=True)


if __name__ == "__main__":
    main()
