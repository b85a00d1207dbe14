"""The main job: a recording in, the voice of the person one looks at out.

    file -> media -> faces -> lips -> features -> net -> overlap -> media -> file

Everything streams: sound, mouths and answer pass in windows of some seconds, whatever the length of the recording.

Legend: `B` batch, `C` channels, `F` frequency bins, `T` STFT frames, `N` samples, `V` video frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from avse import faces, features, files, lips, media, overlap
from avse.audio import istft, stft
from avse.checkpoint import Checkpoint
from avse.config import SAMPLE_RATE, SAMPLES_PER_FRAME, VIDEO_FPS
from avse.errors import AvseError, InputError, UsageError
from avse.models.net import SpeechNet
from avse.registry import load_model

WINDOW_FRAMES = 200
OVERLAP_FRAMES = 25
BLOCK_SECONDS = 4.0
SOUND_FILES = frozenset({".wav", ".flac"})
PICTURE_FILES = frozenset({".mp4", ".mkv", ".mov"})

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Loudness:
    """What a first look at the sound tells: its length in samples at its own rate and in video frames, and its RMS."""

    num_samples: int
    num_frames: int
    rms: float


@dataclass(frozen=True)
class Result:
    """What was done: where the output is, how long it took, and how much of the face was seen."""

    input: Path
    output: Path
    model: str
    duration_seconds: float
    sample_rate: int
    num_channels: int
    num_faces: int
    seen_share: float
    elapsed_seconds: float
    note: str
    scores: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the time taken for a second of recording."""
        return asdict(self) | {"real_time_factor": self.elapsed_seconds / max(self.duration_seconds, 1e-9)}


def enhance(
    recording: str | Path,
    output: str | Path,
    *,
    model: str | Checkpoint = "avse",
    device: str = "auto",
    use_video: bool = True,
    force: bool = False,
    on_progress: Progress | None = None,
) -> Result:
    """Enhance a recording into ``output``: .wav or .flac, or .mp4, .mkv or .mov with the picture copied untouched.

    The sound keeps its rate, its channels, its length to the sample and its place under the picture. The largest face
    is followed; where there is no picture, or no face, the sound alone must do, and ``Result.note`` says so.

    Args:
        model: name of a shipped net, path of a checkpoint, or one already loaded.
        device: auto, cpu or cuda.
        use_video: False ignores the picture.
        force: replace an output that exists.
        on_progress: called with a word for the stage, and seconds of recording done and in all.

    Raises:
        UsageError: the paths make no sense. InputError: the recording cannot be read. MissingError: no such device.
    """
    started = time.perf_counter()
    report = on_progress or (lambda stage, done, total: None)
    source, target = Path(recording), Path(output)
    check_paths(source, target, force)
    checkpoint = load_model(model, device) if isinstance(model, str) else model
    use_video = use_video and checkpoint.net.lips is not None

    tape = media.probe(source)
    check_tracks(tape, target)
    loudness = listen(tape, report)
    tracks = look(tape, loudness.num_frames, report) if use_video else []
    track = tracks[0] if tracks else None
    with files.whole(target) as partial:
        write(partial, tape, separate(checkpoint.net, tape, loudness, track, report))

    assert tape.sound is not None
    share = float(lips.pose(track, loudness.num_frames).seen.mean()) if track else 0.0
    return Result(
        source, target, str(checkpoint.about.get("name", model if isinstance(model, str) else "")),
        loudness.num_samples / tape.sound.sample_rate, tape.sound.sample_rate, tape.sound.num_channels,
        len(tracks), share, time.perf_counter() - started, describe(tape, loudness, use_video, share),
    )  # fmt: skip


def check_paths(source: Path, target: Path, force: bool) -> None:
    """UsageError, before any work, for a recording that is not there or an output that cannot be."""
    if source.is_dir():
        raise UsageError(f"{source} is a folder.", "Name one recording in it.")
    if not source.exists():
        raise UsageError(f"There is no file {source}.", "Check the path.")
    if source.stat().st_size == 0:
        raise InputError(f"{source} is empty.", "Copy or download it again.")
    if target.suffix.lower() not in SOUND_FILES | PICTURE_FILES:
        known = ", ".join(sorted(SOUND_FILES | PICTURE_FILES))
        raise UsageError(f"Cannot write '{target.suffix}' files, as asked for with {target}.", f"Use one of: {known}")
    files.check_output(target, force, [source])


def check_tracks(tape: media.Media, target: Path) -> None:
    """InputError for a recording without sound, UsageError if a video is asked for where there is no picture."""
    if tape.sound is None:
        raise InputError(f"{tape.path} has no sound.", "Give a recording with a sound track.")
    if target.suffix.lower() in PICTURE_FILES and tape.picture is None:
        raise UsageError(f"{tape.path} has no picture to put into {target}.", "Write a sound file, such as clean.wav.")


def listen(tape: media.Media, report: Progress) -> Loudness:
    """Go through the sound once: length and level. InputError if the track is empty."""
    assert tape.sound is not None
    num_samples, energy = 0, 0.0
    for block in media.sound_blocks(tape, BLOCK_SECONDS, tape.sound.sample_rate, tape.sound.num_channels):
        num_samples += len(block)
        energy += float(np.square(block.mean(1, dtype=np.float64)).sum())
        report("listening", num_samples / tape.sound.sample_rate, tape.duration_seconds)
    if num_samples == 0:
        raise InputError(f"The sound of {tape.path} is empty.", "Check that it plays.")
    num_frames = -(-num_samples * VIDEO_FPS // tape.sound.sample_rate)
    return Loudness(num_samples, num_frames, float(np.sqrt(energy / num_samples)))


def look(tape: media.Media, num_frames: int, report: Progress) -> list[faces.Track]:
    """Find the faces in as many video frames as there is sound, largest first."""
    if tape.picture is None:
        return []

    def on_frame(index: int) -> None:
        report("looking for faces", index / VIDEO_FPS, num_frames / VIDEO_FPS)

    return faces.scan(tape, faces.Detector(torch.get_num_threads()), on_frame, num_frames)


def separate(
    net: SpeechNet, tape: media.Media, loudness: Loudness, track: faces.Track | None, report: Progress
) -> Iterator[np.ndarray]:
    """Enhanced sound, float32 blocks (N, C) at the recording's own rate, as many samples in all as it has."""
    assert tape.sound is not None
    rate, num_channels = working_rate(tape.sound.sample_rate, net.config.hop), tape.sound.num_channels
    per_frame = rate // VIDEO_FPS
    heard = windows(media.sound_blocks(tape, BLOCK_SECONDS, SAMPLE_RATE, 1), loudness.num_frames, SAMPLES_PER_FRAME)
    stage = windows(media.sound_blocks(tape, BLOCK_SECONDS, rate, num_channels), loudness.num_frames, per_frame)
    mouths = lips.crops(tape, track, loudness.num_frames) if track else lips.no_crops(loudness.num_frames)

    pieces = (
        apply_mask(full, compute_mask(net, mono[:, 0], crops, loudness.rms), per_frame, net.config.hop)
        for mono, full, crops in zip(heard, stage, windows(mouths, loudness.num_frames, 1), strict=True)
    )
    joined = overlap.crossfade(pieces, OVERLAP_FRAMES * per_frame)
    done = 0
    for block in exactly(resampled(joined, rate, tape.sound), loudness.num_samples):
        yield block
        done += len(block)
        report("enhancing", done, loudness.num_samples)


def windows(blocks: Iterator[np.ndarray], num_frames: int, rows_per_frame: int) -> Iterator[np.ndarray]:
    """Cut a stream that has so many rows for each video frame into the windows that the net sees."""
    step = WINDOW_FRAMES - OVERLAP_FRAMES
    return overlap.windows(blocks, num_frames * rows_per_frame, WINDOW_FRAMES * rows_per_frame, step * rows_per_frame)


@torch.inference_mode()
def compute_mask(net: SpeechNet, heard: np.ndarray, crops: np.ndarray, rms: float) -> Tensor:
    """The net's mask (F, T) for sound (N,) at 16 kHz and mouths (V, 88, 88) of a recording with that level."""
    device = next(net.parameters()).device
    waveform, pictures, seen = (torch.from_numpy(values.copy())[None] for values in (heard, crops, lips.seen(crops)))
    level = torch.tensor([rms], device=device)
    inputs = features.prepare(waveform.to(device), pictures.to(device), seen.to(device), level, net.config)
    return net(inputs).mask[0].cpu()


@torch.inference_mode()
def apply_mask(stage: np.ndarray, mask: Tensor, per_frame: int, hop: int) -> np.ndarray:
    """Sound (N, C) at its own rate under a mask made at 16 kHz: their bins have the same width, 25 Hz.

    Above 8 kHz the gain is the mean gain of the octave's last quarter, 7 to 8 kHz (ours).
    """
    own_hop = per_frame * hop // SAMPLES_PER_FRAME
    spectrum = stft(torch.from_numpy(stage.T.copy()), per_frame, own_hop)  # (C, F', T)
    missing = spectrum.shape[-2] - mask.shape[-2]
    if missing > 0:
        above = mask[-41:].abs().mean(0, keepdim=True).expand(missing, -1)
        mask = torch.cat([mask, above.to(mask)])
    return istft(spectrum * mask[: spectrum.shape[-2]], per_frame, own_hop).numpy().T


def working_rate(sample_rate: int, hop: int) -> int:
    """The recording's own rate, or 44.1 kHz where video frames and STFT hops do not fall on its samples."""
    fits = sample_rate % VIDEO_FPS == 0 and (sample_rate // VIDEO_FPS * hop) % SAMPLES_PER_FRAME == 0
    return sample_rate if fits else 44100


def resampled(blocks: Iterator[np.ndarray], rate: int, sound: media.Sound) -> Iterator[np.ndarray]:
    """Blocks (N, C) at ``rate`` brought to the recording's own rate."""
    if rate == sound.sample_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, sound.sample_rate, sound.num_channels, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(np.ascontiguousarray(block, np.float32))
    yield stream.resample_chunk(np.zeros((0, sound.num_channels), np.float32), last=True)


def exactly(blocks: Iterator[np.ndarray], num_samples: int) -> Iterator[np.ndarray]:
    """Blocks (N, C) cut, or at most a few samples filled up, to ``num_samples`` in all."""
    missing, num_channels = num_samples, 1
    for block in blocks:
        num_channels = block.shape[1]
        yield block[:missing]
        missing -= len(block[:missing])
    if missing:
        yield np.zeros((missing, num_channels), np.float32)


def write(target: Path, tape: media.Media, blocks: Iterator[np.ndarray]) -> None:
    """Write sound blocks to a sound file, or under the copied picture of the recording. AvseError if that fails."""
    assert tape.sound is not None
    is_sound = target.suffix.lower() in SOUND_FILES
    sound_file = target if is_sound else target.with_suffix(".wav")
    try:
        with soundfile.SoundFile(sound_file, "w", tape.sound.sample_rate, tape.sound.num_channels, "PCM_16") as file:
            for block in blocks:
                file.write(np.clip(block, -1.0, 1.0))
        if not is_sound:
            media.replace_sound(tape, sound_file, target)
    except soundfile.SoundFileError as error:
        raise AvseError(f"The sound cannot be written: {error}", "See that there is space on the disk.") from error
    finally:
        if not is_sound:
            sound_file.unlink(missing_ok=True)


def describe(tape: media.Media, loudness: Loudness, use_video: bool, share: float) -> str:
    """One sentence on what there was to hear and to see; ``share`` of the time that a face was seen."""
    if loudness.rms < 1e-5:
        return "The recording is silent."
    if tape.picture is None:
        return "There is no picture; the sound alone was used."
    if not use_video:
        return "The picture was not looked at; the sound alone was used."
    if share == 0:
        return "There is no face in the picture; the sound alone was used."
    return f"Face seen {share:.0%} of the time" + ("." if share > 0.995 else "; the sound alone elsewhere.")
