"""The stages of `enhance`, one after the other, each timed by itself on what the one before it gave.

What stages hand on is held in memory here, where `enhance` streams.

Legend: `F` frequency bins, `T` STFT frames, `H W` pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from avse.active_speaker import av_sync, correlation, selection
from avse.active_speaker import detection as active_speaker_detection
from avse.config import SAMPLES_PER_FRAME, VIDEO_FPS
from avse.dsp import levels, overlap_add, resampling, windowing
from avse.dsp.levels import AudioStats
from avse.dsp.windowing import BLOCK_SECONDS, OVERLAP_FRAMES
from avse.enhancement import masking
from avse.faces import detection, face_tracker, mouth_roi
from avse.faces.tracking import Face, Track
from avse.io import reader, writer
from avse.models.inputs import Inputs
from avse.models.net import SpeechNet
from avse.weights.checkpoint import Checkpoint
from avse.weights.pretrained import for_audio_only

PROBE, SOUND, LEVEL, WRITE = "probe", "decode sound", "measure level", "write"
SMALL, LOAD, DETECT, TRACK = "decode picture for faces", "load detector", "detect", "track"
WATCH, NEAR, CROP, SYNC = "watch several mouths", "decode picture for mouths", "crop", "lips against sound"
FEATURES, LIPS, AUDIO, STITCH = "features", "lip stream", "audio stream and fusion", "stitch"
NET = "both streams"
ANSWER = "stages.wav"
ORDER = [
    PROBE, SOUND, LEVEL, SMALL, LOAD, DETECT, TRACK, WATCH, NEAR, CROP, SYNC, FEATURES, LIPS, AUDIO, STITCH, WRITE,
]  # fmt: skip

Result = TypeVar("Result")


class Clock:
    """Seconds of named stages: the least, where a stage is timed more than once."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    def time(self, name: str, work: Callable[[], Result]) -> Result:
        """Do the work, and wait for what a GPU still has to do before it and after it."""
        synchronise(self.device)
        began = time.perf_counter()
        result = work()
        synchronise(self.device)
        self.note(name, time.perf_counter() - began)
        return result

    def note(self, name: str, seconds: float) -> None:
        """One more time of a stage."""
        self.seconds[name] = min(seconds, self.seconds.get(name, float("inf")))

    def stages(self) -> dict[str, float]:
        """Seconds of all stages that there were, in the order of the work; of the net's two streams by themselves."""
        audio = max(self.seconds[NET] - self.seconds.get(LIPS, 0.0), 0.0)
        times = self.seconds | {AUDIO: audio}
        return {name: times[name] for name in ORDER if name in times}


class TimedDetector:
    """A face detector that keeps the time: ``seconds`` in all, ``shapes`` (H, W) of the pictures that it was given."""

    def __init__(self, detect: Callable[[np.ndarray], list[Face]]) -> None:
        self._detect = detect
        self.seconds = 0.0
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, frame: np.ndarray) -> list[Face]:
        began = time.perf_counter()
        found = self._detect(frame)
        self.seconds += time.perf_counter() - began
        self.shapes.append(frame.shape)
        return found


@dataclass(frozen=True)
class ProfiledRun:
    """What there was on the way: the recording, its length, its faces, what the detector and the net were given, and
    which net that was."""

    recording: reader.Recording
    stats: AudioStats
    num_faces: int
    detected_shapes: list[tuple[int, ...]]
    inputs: list[Inputs]
    checkpoint: Checkpoint

    @property
    def duration_seconds(self) -> float:
        """Of its sound."""
        assert self.recording.audio is not None
        return self.stats.num_samples / self.recording.audio.sample_rate


@torch.inference_mode()
def walk(checkpoint: Checkpoint, path: Path, folder: Path, clock: Clock) -> ProfiledRun:
    """All stages that this recording and this net need, once. The answer is left in ``folder``."""
    net = checkpoint.net
    recording = clock.time(PROBE, lambda: reader.probe(path))
    assert recording.audio is not None
    rate, num_channels = recording.audio.sample_rate, recording.audio.num_channels
    blocks = clock.time(SOUND, lambda: list(reader.read_audio(recording, BLOCK_SECONDS, rate, num_channels)))
    stats = clock.time(LEVEL, lambda: levels.compute_audio_stats(blocks, rate))

    tracks, shapes = find_faces(recording, stats.num_frames, clock) if net.lips and recording.video else ([], [])
    number = choose_face(net, recording, tracks, stats, clock)
    mouths = list(mouth_roi.blank_crops(stats.num_frames))
    if number is not None:
        mouths = cut_mouths(recording, tracks[number], stats.num_frames, clock)
    else:
        checkpoint = for_audio_only(checkpoint)
        net = checkpoint.net
    if len(tracks) == 1:
        clock.time(SYNC, lambda: compare(net, blocks, rate, mouths))
    inputs = clock.time(FEATURES, lambda: prepare(net, blocks, rate, mouths, stats))
    masks = answer(net, inputs, clock)
    enhanced = clock.time(STITCH, lambda: stitch(net, blocks, rate, masks, stats))
    clock.time(WRITE, lambda: writer.write_output(folder / ANSWER, recording, stats.num_samples, iter(enhanced)))
    return ProfiledRun(recording, stats, len(tracks), shapes, inputs, checkpoint)


def find_faces(recording: reader.Recording, num_frames: int, clock: Clock) -> tuple[list[Track], list[tuple[int, ...]]]:
    """The faces that count, and the shapes of the pictures in which the detector looked for them."""
    small = clock.time(
        SMALL, lambda: list(islice(reader.read_frames(recording, max_side=detection.DETECT_SIDE), num_frames))
    )
    detect = TimedDetector(clock.time(LOAD, lambda: detection.Detector(torch.get_num_threads())))
    began = time.perf_counter()
    found = face_tracker.track_faces(held(recording, small), detect, num_frames=num_frames)  # type: ignore[arg-type]
    tracks = selection.relevant_tracks(found, num_frames)
    clock.note(TRACK, time.perf_counter() - began - detect.seconds)
    clock.note(DETECT, detect.seconds)
    return tracks, detect.shapes


def choose_face(
    net: SpeechNet, recording: reader.Recording, tracks: Sequence[Track], stats: AudioStats, clock: Clock
) -> int | None:  # fmt: skip
    """The one who speaks; where there are several, their mouths are watched, which takes one more pass over all."""
    activity = None
    if len(tracks) > 1:
        activity = clock.time(
            WATCH, lambda: active_speaker_detection.detect_activity(net, recording, tracks, stats, lambda index: None)
        )
    return selection.select_face(tracks, "active", activity)


def cut_mouths(recording: reader.Recording, track: Track, num_frames: int, clock: Clock) -> list[np.ndarray]:
    """The mouths of a face, uint8 (1, 88, 88) each, from as much of the picture as the face needs."""
    assert recording.video is not None
    box = around(track, recording.video)
    near = clock.time(NEAR, lambda: list(islice(reader.read_frames(recording, crop=box), num_frames)))
    window = replace(recording, video=reader.VideoStream(box[2], box[3], recording.video.start_seconds))
    return clock.time(CROP, lambda: list(mouth_roi.crop_track(held(window, near), moved(track, box), num_frames)))


def compare(net: SpeechNet, blocks: list[np.ndarray], sample_rate: int, mouths: list[np.ndarray]) -> int:
    """By how many frames the picture of an only face is late; of several faces this is known from watching them."""
    num_frames = min(len(mouths), av_sync.LOOK_FRAMES)
    size, per_frame = windowing.WINDOW_FRAMES, SAMPLES_PER_FRAME
    heard = overlap_add.sliding_windows(
        resampling.to_model_rate(blocks, sample_rate), num_frames * per_frame, size * per_frame, size * per_frame
    )
    crops = overlap_add.sliding_windows(mouths, num_frames, size, size)
    told, energies = [], []
    for mono, window in zip(heard, crops, strict=True):
        told.append(correlation.predict_bands(net, torch.from_numpy(window.copy())[None]).numpy())
        energies.append(correlation.mel_energies(torch.from_numpy(mono[:, 0].copy())).numpy())
    seen = mouth_roi.visible(np.concatenate(mouths[:num_frames]))[None]
    return av_sync.estimate_av_offset(np.concatenate(told), np.concatenate(energies), seen)


def prepare(
    net: SpeechNet, blocks: list[np.ndarray], sample_rate: int, mouths: list[np.ndarray], stats: AudioStats
) -> list[Inputs]:
    """What the net is given, window by window."""
    heard = windowing.model_windows(resampling.to_model_rate(blocks, sample_rate), stats.num_frames, SAMPLES_PER_FRAME)
    mouthed = windowing.model_windows(iter(mouths), stats.num_frames, 1)
    return [
        masking.prepare_window(net, masking.half_hop_ensemble(mono[:, 0], net.config.hop), crops, stats.rms)
        for mono, crops in zip(heard, mouthed, strict=True)
    ]


def answer(net: SpeechNet, inputs: list[Inputs], clock: Clock) -> list[Tensor]:
    """The masks (2, F, T). The lip stream also runs by itself; what the net takes beyond that is sound and fusion."""
    masks = clock.time(NET, lambda: [net(each).mask.cpu() for each in inputs])
    if (lip_stream := net.lips) is not None:
        clock.time(LIPS, lambda: [lip_stream(each.lips) for each in inputs])
    return masks


def stitch(
    net: SpeechNet, blocks: list[np.ndarray], sample_rate: int, masks: list[Tensor], stats: AudioStats
) -> list[np.ndarray]:
    """The masks laid on the sound at its own rate, back in time, faded into each other."""
    hop = net.config.hop
    rate = masking.processing_rate(sample_rate, hop)
    per_frame = rate // VIDEO_FPS
    stage = windowing.model_windows(resampling.resample(blocks, sample_rate, rate), stats.num_frames, per_frame)
    pieces = (masking.apply_mask(full, mask, per_frame, hop) for full, mask in zip(stage, masks, strict=True))
    joined = overlap_add.crossfade(pieces, OVERLAP_FRAMES * per_frame)
    return list(resampling.trim_to_length(resampling.resample(joined, rate, sample_rate), stats.num_samples))


def held(recording: reader.Recording, frames: list[np.ndarray]) -> reader.InMemoryRecording:
    """A recording whose picture is in memory; ``tape.picture`` may be larger, as what it shows is."""
    pixels = np.stack(frames) if frames else np.zeros((0, 2, 2), np.uint8)
    return reader.InMemoryRecording(
        recording.path,
        recording.duration_seconds,
        recording.audio,
        recording.video,
        pixels=pixels,
        order=np.arange(len(pixels)),
    )


def around(track: Track, picture: reader.VideoStream) -> tuple[int, int, int, int]:
    """The part of the picture (left, top, width, height) in which a face stays, with room for its mouth's crop."""
    boxes = np.stack([face.box for face in track.faces])
    reach = 0.25 * (boxes[:, 2:] - boxes[:, :2]).max(0)
    size = np.array([picture.width, picture.height])
    low = np.clip(np.floor(boxes[:, :2].min(0) - reach), 0, size - 2).astype(int)
    high = np.clip(np.ceil(boxes[:, 2:].max(0) + reach), low + 2, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def moved(track: Track, box: tuple[int, int, int, int]) -> Track:
    """A face as it is seen in a part of the picture."""
    corner = np.array(box[:2])
    faces = [replace(f, box=f.box - np.tile(corner, 2), landmarks=f.landmarks - corner) for f in track.faces]
    return replace(track, faces=faces)


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what it was given; a CPU has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
