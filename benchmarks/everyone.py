"""Compare rules that merge the masks of several faces into one: the level of each person, and the noise that remains.

    python benchmarks/everyone.py RECORDING...
    python benchmarks/everyone.py --cache cache/faces --speakers id1,id2,id3

Recordings without a reference: "above" is the level in dB of the merged output relative to the output of the only
person who is detected as speaking. It is measured in half seconds in which another mouth moves that is not detected as
speaking. DNSMOS is that of the whole recording.

Scenes made of prepared clips of speakers that were not trained on: two or three people take turns and then speak at the
same time, without noise and with noise at -5 dB. Every mouth moves all the time, also while its person is silent.
"Above" is as before, with the true turns. SI-SDR is relative to the sum of all voices. "Voice" is the gain of each
voice in dB while several people speak (least squares on all voices), minus that in the person's own output.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from avse.active_speaker.detection import SPEAKING_MOTION
from avse.config import SAMPLES_PER_FRAME
from avse.data.augmentation.timing import random_segment
from avse.data.prepared_clips import find_clips
from avse.dsp import overlap_add
from avse.dsp.levels import compute_audio_stats, gain_to_db, rms, scale_to
from avse.dsp.windowing import OVERLAP_FRAMES, model_windows
from avse.enhancement import streaming
from avse.enhancement.masking import apply_mask, merge_masks
from avse.enhancement.options import Options
from avse.enhancement.pipeline import Pipeline, open_recording
from avse.evaluation.dnsmos import overall
from avse.evaluation.metrics import si_sdr
from avse.io import reader
from avse.io.ffmpeg import DEFAULT_LIMITS
from avse.models.net import SpeechNet
from avse.weights.pretrained import load_model

RATE, HALF_SECOND = 16000, 12
LEVEL_DB, QUIET_DB, NOISE_DB = -26.0, -15.0, -5.0
Rule = Callable[[Sequence[Tensor]], Tensor]


class Masks(NamedTuple):
    """Hold audio (N,) and, for each window, the masks of all faces."""

    audio: np.ndarray
    windows: list[list[Tensor]]

    def render(self, rule: Rule) -> np.ndarray:
        """Return the audio (N,) with the masks merged by a rule."""
        num_frames, hop = -(-len(self.audio) // SAMPLES_PER_FRAME), SAMPLES_PER_FRAME // 2
        shown = model_windows(iter([self.audio[:, None]]), num_frames, SAMPLES_PER_FRAME)
        pieces = (
            apply_mask(window, rule(masks), SAMPLES_PER_FRAME, hop)
            for window, masks in zip(shown, self.windows, strict=True)
        )
        joined = overlap_add.crossfade(pieces, OVERLAP_FRAMES * SAMPLES_PER_FRAME)
        return np.concatenate(list(joined))[: len(self.audio), 0]

    def own(self, face: int) -> np.ndarray:
        """Return the output (N,) of one face."""
        return self.render(lambda masks: masks[face])


def total(masks: Sequence[Tensor]) -> Tensor:
    """Return the sum of the masks, limited to 1."""
    return torch.stack([mask.abs() for mask in masks]).sum(0).clamp(max=1)


def quarter(masks: Sequence[Tensor]) -> Tensor:
    """Return the largest mask plus a quarter of the others, limited to 1."""
    largest = torch.stack([mask.abs() for mask in masks]).amax(0)
    return (largest + (sum(mask.abs() for mask in masks) - largest) / 4).clamp(max=1)


RULES: dict[str, Rule] = {"sum": total, "largest and a quarter": quarter, "largest": merge_masks}


def collect(blocks: Iterator[object], audio: np.ndarray) -> Masks:
    """Run an enhancement, and record the masks of all faces."""
    kept: list[list[Tensor]] = []

    def keep(masks: Sequence[Tensor]) -> Tensor:
        kept.append([mask.clone() for mask in masks])
        return merge_masks(masks)

    with mock.patch.object(streaming, "merge_masks", keep):
        for _ in blocks:
            pass
    return Masks(audio, kept)


def level(audio: np.ndarray) -> float:
    """Compute the level of audio in dB."""
    return gain_to_db(rms(audio))


def recording_rows(path: Path, model: str) -> Iterator[str]:
    """Yield a row of the table for each rule."""
    pipeline = Pipeline(
        load_model(model, "cpu"), open_recording(path, None, DEFAULT_LIMITS), Options(speaker="everyone")
    )
    masks = collect(pipeline.stream(), reader.load_audio(reader.probe(path), RATE)[:, 0])
    activity, faces = pipeline.selection.scene.activity, list(pipeline.selection.indices)
    assert activity is not None
    speaking = activity.speaking[faces]
    moving = (activity.motion[faces] > SPEAKING_MOTION) & activity.visible[faces]
    alone = (speaking.sum(0) == 1) & (moving & ~speaking).any(0)
    parts = [
        (face, slice(first * SAMPLES_PER_FRAME, (first + HALF_SECOND) * SAMPLES_PER_FRAME))
        for face in range(len(faces))
        for first in range(0, len(alone) - HALF_SECOND, HALF_SECOND)
        if (alone & speaking[face])[first : first + HALF_SECOND].mean() > 0.8
    ]
    parts = [(face, part) for face, part in parts if level(masks.audio[part]) > level(masks.audio) + QUIET_DB]
    own = [masks.own(face) for face in range(len(faces))]
    yield f"| {path.name} | unprocessed | | | {overall(masks.audio):.2f} |"
    for name, rule in RULES.items():
        found = masks.render(rule)
        above = [level(found[part]) - level(own[face][part]) for face, part in parts]
        yield f"| | {name} | {np.mean(above):+.1f} | {np.max(above):+.1f} | {overall(found):.2f} |"


class Scene(NamedTuple):
    """Hold the masks of a scene, its voices (K, N), and who speaks when (K, N) bool."""

    masks: Masks
    voices: np.ndarray
    turns: np.ndarray


def turns_of(num_faces: int) -> np.ndarray:
    """Return who speaks in which frame (K, V): each alone for 4 s, then the first two together for 4 s."""
    turns = np.zeros((num_faces, 100 * (num_faces + 1)), bool)
    for face in range(num_faces):
        turns[face, 100 * face : 100 * (face + 1)] = True
    turns[:2, -100:] = True
    return turns


def make_scene(net: SpeechNet, clips: dict[str, Sequence[Path]], num_faces: int, noisy: bool, seed: int) -> Scene:
    """Make a scene of different speakers, and enhance it."""
    rng, frames = np.random.default_rng(seed), turns_of(num_faces)
    people = [
        random_segment(clips[str(name)], frames.shape[1], rng) for name in rng.permutation(list(clips))[:num_faces]
    ]
    turns = np.repeat(frames, SAMPLES_PER_FRAME, axis=1)
    voices = np.stack([scale_to(person.audio, LEVEL_DB) for person in people]) * turns
    noise = scale_to(rng.standard_normal(turns.shape[1]), LEVEL_DB + NOISE_DB) if noisy else np.float32(0)
    audio = np.asarray(voices.sum(0) + noise, np.float32)
    mouths = [iter([person.lips.astype(np.float32)]) for person in people if person.lips is not None]
    faces = list(map(streaming.FaceStream, mouths))
    stats = compute_audio_stats([audio[:, None]], RATE)
    blocks = (block for (block,) in streaming.enhance_blocks(net, [audio[:, None]], RATE, stats, [faces]))
    return Scene(collect(blocks, audio), voices, turns)


def scene_row(scenes: Sequence[Scene], rule: Rule) -> str:
    """Return the table cells of a rule."""
    above, voice = [], []
    scores: dict[bool, list[float]] = {False: [], True: []}
    for masks, voices, turns in scenes:
        found, reference, together = masks.render(rule), voices.sum(0), turns.sum(0) > 1
        for several in (False, True):
            part = together == several
            scores[several].append(float(si_sdr(reference[part], found[part], RATE)))
        for face, own in enumerate(masks.own(face) for face in range(len(voices))):
            part = turns[face] & ~together
            above.append(level(found[part]) - level(own[part]))
            if turns[face][together].any():
                voice.append(gain_db(found[together], voices[:2, together], face))
                voice[-1] -= gain_db(own[together], voices[:2, together], face)
    alone, several = (f"{np.mean(scores[key]):.1f}" for key in (False, True))
    return f"{np.mean(above):+.1f} | {alone} | {several} | {np.mean(voice):+.1f} | {np.min(voice):+.1f}"


def gain_db(output: np.ndarray, voices: np.ndarray, face: int) -> float:
    """Compute the gain in dB of one of the voices (K, N) in an output (N,)."""
    return float(20 * np.log10(abs(np.linalg.lstsq(voices.T, output, rcond=None)[0][face]) + 1e-6))


def scene_rows(cache: Path, speakers: Sequence[str], model: str, items: int) -> Iterator[str]:
    """Yield a row of the table for each kind of scene and rule."""
    net, found = load_model(model, "cpu").net, find_clips(cache)
    clips = {name: found[name] for name in speakers}
    for num_faces, noisy in ((2, False), (2, True), (3, True)):
        scenes = [make_scene(net, clips, num_faces, noisy, seed) for seed in range(items)]
        for name, rule in RULES.items():
            yield f"| {num_faces} | {'-5 dB' if noisy else ''} | {name} | {scene_row(scenes, rule)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="*", metavar="RECORDING")
    parser.add_argument("--cache", type=Path, help="folder of prepared clips")
    parser.add_argument("--speakers", default="", help="at least three, separated by commas")
    parser.add_argument("--model", default="avse", help="name or checkpoint")
    parser.add_argument("--items", type=int, default=8, help="number of scenes of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.recordings:
        print("| recording | masks | above, dB | max, dB | DNSMOS |\n|---|---|---|---|---|")
    for recording in options.recordings:
        print("\n".join(recording_rows(recording, options.model)), flush=True)
    if options.cache:
        print(
            "\n| people | noise | masks | above, dB | SI-SDR in turns, dB | together, dB | voice, dB | min, dB |\n"
            + "|---" * 8
            + "|"
        )
        for row in scene_rows(options.cache, options.speakers.split(","), options.model, options.items):
            print(row, flush=True)


if __name__ == "__main__":
    main()
