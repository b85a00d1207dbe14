"""Measure how reliable three estimates are: lip/audio correlation, AV offset, and which of two faces speaks.

    python benchmarks/in_time.py cache/faces --speakers id1,id2,id3 [--model avse] [--items 60]

The scenes are made of prepared clips of at least three speakers. Their lips must be in sync with their voices, and they
should not have been trained on. The clips of one speaker are joined. The interfering voice and the mismatched lips come
from two other speakers; noise is white. The video is shifted by 2 to 5 frames, early and late. Of two faces side by
side, one speaks; the other moves its lips, but its voice is not in the audio. The speaker is the first (larger) face in
every second scene.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from avse.active_speaker import av_sync, correlation
from avse.active_speaker.detection import score_activity
from avse.active_speaker.mouth_motion import mouth_change
from avse.active_speaker.selection import MIN_CORRELATION, most_active
from avse.config import VIDEO_FPS
from avse.data.augmentation.timing import random_segment
from avse.data.online_mixing import SpeakerClips
from avse.dsp.levels import scale_to
from avse.models.net import SpeechNet
from avse.training.data import TrainingData
from avse.weights.pretrained import load_model

LENGTHS = (2, 5, 10, 20)
MOVES = (-5, -4, -3, -2, 2, 3, 4, 5)
ALONE = "another voice alone"
MIXTURES = ("clean", "and another voice as loud", "and noise as loud", ALONE)


class Scene(NamedTuple):
    """Hold the energies (V, bands) predicted from the speaker's and from mismatched lips, and those of each mixture.

    ``change`` and ``visible`` (2, V) are those of both mouths, the other person's first.
    """

    own: np.ndarray
    mismatched: np.ndarray
    energies: Mapping[str, np.ndarray]
    change: np.ndarray
    visible: np.ndarray


def scenes(net: SpeechNet, talkers: SpeakerClips, num_frames: int, num_items: int) -> list[Scene]:
    """Make scenes of each speaker in turn, with the voice of a second speaker and the lips of a third."""
    names, rng, found = list(talkers), np.random.default_rng(0), []
    for index in range(num_items):
        speaker = names[index % len(names)]
        others = rng.permutation([name for name in names if name != speaker])[:2]
        own, other, third = (random_segment(talkers[name], num_frames, rng) for name in (speaker, *others))
        voice, second = scale_to(own.audio, -20.0), scale_to(other.audio, -20.0)
        noise = scale_to(rng.standard_normal(len(voice)).astype(np.float32), -20.0)
        mixtures = (voice, voice + second, voice + noise, second)
        measured = {name: energies(audio) for name, audio in zip(MIXTURES, mixtures, strict=True)}
        assert own.lips is not None
        assert third.lips is not None
        mouths = torch.from_numpy(np.stack([third.lips, own.lips]))
        visible = mouths.flatten(2).bool().any(-1)
        change = mouth_change(mouths, visible).T.numpy()
        found.append(Scene(predict(net, own.lips), predict(net, third.lips), measured, change, visible.numpy()))
    return found


def is_chosen(scene: Scene, mixture: str, place: int) -> bool:
    """Return whether active speaker detection chooses the speaker, who is face ``place`` (0 or 1), not the other."""
    order = [1 - place, place]
    predicted = np.stack([scene.mismatched, scene.own], axis=1)[:, order]
    activity = score_activity(predicted, scene.energies[mixture], scene.change[order], scene.visible[order])
    return most_active(activity) == place


def energies(audio: np.ndarray) -> np.ndarray:
    """Compute the band energies (V, bands) of audio (N,)."""
    return correlation.mel_energies(torch.from_numpy(audio)).numpy()


def predict(net: SpeechNet, lips: np.ndarray | None) -> np.ndarray:
    """Predict the band energies (V, bands) from mouths (V, 88, 88)."""
    assert lips is not None
    return correlation.predict_bands(net, torch.from_numpy(lips.copy())[None])[:, 0].numpy()


def lag(predicted: np.ndarray, measured: np.ndarray) -> int:
    """Estimate the AV offset in video frames as `avse enhance` does."""
    return av_sync.estimate_av_offset(predicted[:, None], measured, np.ones((1, len(predicted)), bool))


def agreement_rows(length: str, found: Sequence[Scene]) -> Iterator[str]:
    """Yield a row for each mixture: own lips, mismatched lips, how often own are better, how often they are chosen."""
    seen = np.ones(len(found[0].own), bool)
    for mixture in MIXTURES[:-1]:
        own = np.array([correlation.av_correlation(scene.own, scene.energies[mixture], seen) for scene in found])
        mismatched = np.array(
            [correlation.av_correlation(scene.mismatched, scene.energies[mixture], seen) for scene in found]
        )
        both = [f"{x.mean():.2f} ± {x.std():.2f} | {np.mean(x < MIN_CORRELATION):.0%}" for x in (own, mismatched)]
        chosen = np.mean([is_chosen(scene, mixture, index % 2) for index, scene in enumerate(found)])
        yield f"| {length} | {mixture} | {' | '.join(both)} | {np.mean(own > mismatched):.0%} | {chosen:.0%} |"


def lag_rows(length: str, found: Sequence[Scene]) -> Iterator[str]:
    """Yield a row for each mixture: the estimate for video in sync, and for video that is shifted."""
    for mixture in MIXTURES:
        kept = np.mean([lag(scene.own, scene.energies[mixture]) == 0 for scene in found])
        after = np.array(
            [
                abs(move - lag(correlation.shift_frames(scene.own, move), scene.energies[mixture]))
                for scene in found
                for move in MOVES
            ]
        )
        before = np.abs(np.tile(MOVES, len(found)))
        shares = (after == 0, after == 1, (after > 1) & (after < before), after == before, after > before)
        cells = " | ".join(f"{share.mean():.0%}" for share in shares)
        yield f"| {length} | {mixture} | {kept:.0%} | {cells if mixture != ALONE else ' | | | |'} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, help="folder of prepared clips")
    parser.add_argument("--speakers", required=True, help="at least three, separated by commas")
    parser.add_argument("--model", default="avse", help="name or checkpoint")
    parser.add_argument("--items", type=int, default=60, help="number of scenes of each length")
    options = parser.parse_args()
    net = load_model(options.model, "cpu").net
    talkers = TrainingData(options.cache, validation_speakers=tuple(options.speakers.split(","))).talkers(True)
    if len(talkers) < 3 or options.items < 1:
        parser.error("it takes at least three speakers and one item")
    found = {f"{length} s": scenes(net, talkers, length * VIDEO_FPS, options.items) for length in LENGTHS}
    below = f"below {MIN_CORRELATION}"
    print(f"| length | audio | own lips | {below} | mismatched lips | {below} | own are better | speaker chosen |")
    print("|" + "---|" * 8)
    print("\n".join(row for length, part in found.items() for row in agreement_rows(length, part)))
    print("\n| length | audio | in sync: unchanged | shifted: exact | one frame off | better | as before | worse |")
    print("|" + "---|" * 8)
    print("\n".join(row for length, part in found.items() for row in lag_rows(length, part)))
    print(f"\n{options.items} scenes of each length.")


if __name__ == "__main__":
    main()
