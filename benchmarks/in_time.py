"""Do these lips match this audio, what is their AV offset, which of two faces speaks? How reliable the estimates are.

    python benchmarks/in_time.py cache/faces --speakers id1,id2,id3 [--model avse] [--items 60]

Prepared clips of the speakers named (three at least, whose lips are in time with their voices, and who should not have
been trained on), those of one speaker joined. Another voice and strange lips are those of two others of them; noise is
white. A picture is moved by 2 to 5 frames, early and late. Of two faces side by side one speaks; the other is that of a
third person, speaking without sound.
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
SOUNDS = ("clean", "and another voice as loud", "and noise as loud", ALONE)


class Scene(NamedTuple):
    """Energies (V, bands) predicted from the speaker's lips, from another person's, and those of each sound.

    ``change`` and ``visible`` (2, V) are those of both mouths, the other person's first.
    """

    own: np.ndarray
    strange: np.ndarray
    energies: Mapping[str, np.ndarray]
    change: np.ndarray
    visible: np.ndarray


def scenes(net: SpeechNet, talkers: SpeakerClips, num_frames: int, num_items: int) -> list[Scene]:
    """Each speaker in turn, with another one's voice and a third one's lips."""
    names, rng, found = list(talkers), np.random.default_rng(0), []
    for index in range(num_items):
        speaker = names[index % len(names)]
        others = rng.permutation([name for name in names if name != speaker])[:2]
        own, other, third = (random_segment(talkers[name], num_frames, rng) for name in (speaker, *others))
        voice, second = scale_to(own.sound, -20.0), scale_to(other.sound, -20.0)
        noise = scale_to(rng.standard_normal(len(voice)).astype(np.float32), -20.0)
        sounds = (voice, voice + second, voice + noise, second)
        measured = {name: energies(sound) for name, sound in zip(SOUNDS, sounds, strict=True)}
        assert own.lips is not None
        assert third.lips is not None
        mouths = torch.from_numpy(np.stack([third.lips, own.lips]))
        visible = mouths.flatten(2).bool().any(-1)
        change = mouth_change(mouths, visible).T.numpy()
        found.append(Scene(predict(net, own.lips), predict(net, third.lips), measured, change, visible.numpy()))
    return found


def is_chosen(scene: Scene, sound: str) -> bool:
    """Return whether active speaker detection takes the speaker, not the other person beside."""
    predicted = np.stack([scene.strange, scene.own], axis=1)
    return most_active(score_activity(predicted, scene.energies[sound], scene.change, scene.visible)) == 1


def energies(sound: np.ndarray) -> np.ndarray:
    """Band energies (V, bands) of sound (N,)."""
    return correlation.mel_energies(torch.from_numpy(sound)).numpy()


def predict(net: SpeechNet, lips: np.ndarray | None) -> np.ndarray:
    """Energies (V, bands) predicted from mouths (V, 88, 88)."""
    assert lips is not None
    return correlation.predict_bands(net, torch.from_numpy(lips.copy())[None])[:, 0].numpy()


def lag(predicted: np.ndarray, measured: np.ndarray) -> int:
    """AV offset in video frames, as `avse enhance` estimates it."""
    return av_sync.estimate_av_offset(predicted[:, None], measured, np.ones((1, len(predicted)), bool))


def agreement_rows(length: str, found: Sequence[Scene]) -> Iterator[str]:
    """One's own lips, strange ones, how often one's own match better, how often the speaker is chosen of the two."""
    seen = np.ones(len(found[0].own), bool)
    for sound in SOUNDS[:-1]:
        own = np.array([correlation.av_correlation(scene.own, scene.energies[sound], seen) for scene in found])
        strange = np.array([correlation.av_correlation(scene.strange, scene.energies[sound], seen) for scene in found])
        both = [f"{x.mean():.2f} ± {x.std():.2f} | {np.mean(x < MIN_CORRELATION):.0%}" for x in (own, strange)]
        chosen = np.mean([is_chosen(scene, sound) for scene in found])
        yield f"| {length} | {sound} | {' | '.join(both)} | {np.mean(own > strange):.0%} | {chosen:.0%} |"


def lag_rows(length: str, found: Sequence[Scene]) -> Iterator[str]:
    """What becomes of a picture that is in time, and of one that is moved."""
    for sound in SOUNDS:
        kept = np.mean([lag(scene.own, scene.energies[sound]) == 0 for scene in found])
        after = np.array(
            [
                abs(move - lag(correlation.shift_frames(scene.own, move), scene.energies[sound]))
                for scene in found
                for move in MOVES
            ]
        )
        before = np.abs(np.tile(MOVES, len(found)))
        shares = (after == 0, after == 1, (after > 1) & (after < before), after == before, after > before)
        cells = " | ".join(f"{share.mean():.0%}" for share in shares)
        yield f"| {length} | {sound} | {kept:.0%} | {cells if sound != ALONE else ' | | | |'} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--speakers", required=True)
    parser.add_argument("--model", default="avse")
    parser.add_argument("--items", type=int, default=60)
    options = parser.parse_args()
    net = load_model(options.model, "cpu").net
    talkers = TrainingData(options.cache, validation_speakers=tuple(options.speakers.split(","))).talkers(True)
    if len(talkers) < 3 or options.items < 1:
        parser.error("three speakers, and one item, are the least")
    found = {f"{length} s": scenes(net, talkers, length * VIDEO_FPS, options.items) for length in LENGTHS}
    below = f"below {MIN_CORRELATION}"
    print(f"| length | sound | own lips | {below} | strange lips | {below} | own are better | speaker chosen |")
    print("|" + "---|" * 8)
    print("\n".join(row for length, part in found.items() for row in agreement_rows(length, part)))
    print("\n| length | sound | in time: left alone | moved: found | one frame off | better | as it was | worse |")
    print("|" + "---|" * 8)
    print("\n".join(row for length, part in found.items() for row in lag_rows(length, part)))
    print(f"\n{options.items} scenes of each length.")


if __name__ == "__main__":
    main()
