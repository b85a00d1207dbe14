"""The main job: a recording in, the voice of the person one looks at out.

    file -> media -> faces -> lips -> features -> net -> overlap -> media -> file

Everything streams: sound, mouths and answer pass in windows of some seconds, whatever the length of the recording.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from avse import files, media
from avse.checkpoint import Checkpoint
from avse.choice import Choice, check_wish, choose
from avse.errors import InputError, UsageError
from avse.features import SILENT_RMS
from avse.loudness import Levels, check_loudness, normalised
from avse.output import PICTURE_FILES, SOUND_FILES, check_sound_fits, deliver
from avse.portrait import portrait
from avse.progress import Report, silent
from avse.registry import for_sound_alone, load_model
from avse.sandbox import ORDINARY, Limits, local_file
from avse.separation import BLOCK_SECONDS, Loudness, measure, separate
from avse.tracks import Track

LOUDEST = 1.12
"""Peak from which it is said that there is more than a file holds: 1 dB above full scale, as no coding alone brings."""


@dataclass(frozen=True)
class Result:
    """What was done: where the output is, how long it took, and how much of the face was seen."""

    input: Path
    output: Path | None
    model: str
    duration_seconds: float
    sample_rate: int
    num_channels: int
    num_faces: int
    seen_share: float
    elapsed_seconds: float
    note: str
    speaker: int = 0
    """Number of the face that was followed, counted from 1, as `avse faces` shows them; 0 if none was."""
    scores: dict[str, Any] = field(default_factory=dict)
    levels: Levels | None = None
    waveform: np.ndarray | None = field(default=None, repr=False, compare=False)
    """The enhanced sound, float32 (N, C), where no output was asked for."""
    seen_seconds: list[tuple[float, float]] = field(default_factory=list)
    """When the face that was followed was seen: begins and ends."""
    picture_late_seconds: float = 0.0
    """By how much the picture came later than the sound, which was put right; earlier if negative."""
    mouth_with_sound: float | None = None
    """How well the lips of an only face, seen for 20 s or more, go with the sound: a correlation, 0 by chance."""
    thumbnail: bytes | None = field(default=None, repr=False, compare=False)
    """That face as PNG, where it was asked for."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the time taken for a second of recording."""
        values = asdict(replace(self, waveform=None, thumbnail=None))
        del values["waveform"], values["thumbnail"]
        return values | {"real_time_factor": self.elapsed_seconds / max(self.duration_seconds, 1e-9)}


def enhance(
    recording: str | Path | BinaryIO,
    output: str | Path | BinaryIO | None = None,
    *,
    model: str | Path | Checkpoint = "avse",
    device: str = "auto",
    use_video: bool = True,
    speaker: str | int = "active",
    strength: float = 1.0,
    loudness_lufs: float | None = None,
    audio_track: int = 1,
    limits: Limits = ORDINARY,
    force: bool = False,
    with_thumbnail: bool = False,
    tracks: Sequence[Track] | None = None,
    on_progress: Report = silent,
) -> Result:
    """Enhance a recording into ``output``: .wav or .flac, or .mp4, .mkv or .mov with the picture copied untouched.

    The sound keeps its rate, its channels, its length to the sample and its place under the picture. One face is
    followed; where there is no picture, or no face, the sound alone must do, and ``Result.note`` says so (`avse` then
    leaves it to `avse-audio`, which only listens; ``Result.model`` says that).

    Args:
        recording: a file, or an open binary stream, which is stored in a temporary file first.
        output: a file, an open binary stream for WAV, or None for ``Result.waveform``.
        model: name of a shipped net, path of a checkpoint, or one already loaded.
        device: auto, cpu or cuda.
        use_video: False ignores the picture.
        speaker: whose voice: "active", whose mouth goes best with the sound; "largest", "left" or "right"; or the
            number of a face. For a sound of each face see `avse.each.enhance_each`.
        strength: 1 gives the enhanced voice alone; less keeps the surroundings, 20 log10(1 - strength) dB lower.
        loudness_lufs: bring the output to this integrated loudness (BS.1770), as far as true peaks of -1 dBFS allow.
        audio_track: which of several sound tracks, counted from 1.
        limits: what an untrusted recording may ask for.
        force: replace an output that exists.
        with_thumbnail: also cut out a picture of the face that was followed.
        tracks: the faces of the recording where they are known, from `avse.faces.scan`; None looks for them.
        on_progress: called with a word for the stage, and seconds of recording done and in all.

    Raises:
        UsageError: the paths make no sense. InputError: the recording cannot be read. MissingError: no such device.
    """
    started = time.perf_counter()
    target = Path(output) if isinstance(output, str | Path) else output
    check_strength(strength)
    check_loudness(loudness_lufs)
    with local_file(recording, limits) as source:
        check_paths(source, target, force)
        checkpoint = model if isinstance(model, Checkpoint) else load_model(str(model), device)
        check_wish(checkpoint.net, speaker)
        use_video = use_video and checkpoint.net.lips is not None

        tape = media.probe(source, audio_track, limits)
        check_tracks(tape, target)
        loudness = listen(tape, on_progress)
        choice = choose(tape, loudness, checkpoint.net, speaker, on_progress, tracks) if use_video else Choice()
        checkpoint = checkpoint if choice.followed else for_sound_alone(checkpoint)
        blocks = separate(checkpoint.net, tape, loudness, choice.followed, on_progress, strength)
        waveform, levels = render(tape, loudness, blocks, target, loudness_lufs)
        thumbnail = portrait(tape, choice.track) if with_thumbnail and choice.track else None

    result = summarise(tape, loudness, choice, use_video)
    told = [levels.describe()] if levels else []
    return replace(
        result, input=source if isinstance(recording, str | Path) else Path("-"),
        output=target if isinstance(target, Path) else None,
        model=str(checkpoint.about.get("name", "" if isinstance(model, Checkpoint) else model)),
        note=" ".join([result.note, *beware(tape, loudness, target is not None and levels is None), *told]),
        levels=levels, waveform=waveform, thumbnail=thumbnail, elapsed_seconds=time.perf_counter() - started,
    )  # fmt: skip


def summarise(tape: media.Media, loudness: Loudness, choice: Choice, use_video: bool) -> Result:
    """What there was to hear and to see, and who was followed; not yet what became of it."""
    assert tape.sound is not None
    crowd, index = choice.crowd, choice.index
    share = crowd.seen_share(index, loudness.num_frames)
    return Result(
        tape.path, None, "", loudness.num_samples / tape.sound.sample_rate, tape.sound.sample_rate,
        tape.sound.num_channels, len(crowd.tracks), share, 0.0,
        describe(tape, loudness, use_video, share, crowd.describe(index), choice.remarks),
        speaker=0 if index is None else index + 1, seen_seconds=crowd.seen_seconds(index, loudness.num_frames),
        picture_late_seconds=choice.late_seconds, mouth_with_sound=choice.agreement,
    )  # fmt: skip


def beware(tape: media.Media, loudness: Loudness, clips: bool) -> list[str]:
    """What is odd about the sound, a sentence each: it ends long before the file says, or is clipped when written."""
    assert tape.sound is not None
    said, found = tape.duration_seconds, []
    end = max(tape.sound.start_seconds, 0.0) + loudness.num_samples / tape.sound.sample_rate
    if tape.picture and said - end > max(1.0, 0.1 * said):  # of sounds alone the length is often guessed
        found.append(f"The file says {said:.1f} s, its sound ends at {end:.1f} s: is it whole?")
    if clips and loudness.peak > LOUDEST:
        beyond = 20 * math.log10(loudness.peak)
        found.append(f"The sound goes {beyond:.0f} dB beyond full scale, and is clipped there.")
    return found


def render(
    tape: media.Media,
    loudness: Loudness,
    blocks: Iterator[np.ndarray],
    target: Path | BinaryIO | None,
    loudness_lufs: float | None = None,
) -> tuple[np.ndarray | None, Levels | None]:
    """Put enhanced blocks where they belong, at the loudness asked for: the sound if it stays in memory, and levels."""
    assert tape.sound is not None
    folder = target.parent if isinstance(target, Path) else None
    with normalised(blocks, tape.sound.sample_rate, tape.sound.num_channels, loudness_lufs, folder) as (loud, levels):
        return deliver(target, tape, loudness.num_samples, loud), levels


def check_paths(source: Path | BinaryIO, target: Path | BinaryIO | None, force: bool) -> None:
    """UsageError, before any work, for a recording that is not there or an output that cannot be."""
    if isinstance(source, Path):
        check_recording(source)
    if not isinstance(target, Path):
        return
    if target.suffix.lower() not in SOUND_FILES | PICTURE_FILES:
        known = ", ".join(sorted(SOUND_FILES | PICTURE_FILES))
        raise UsageError(f"Cannot write '{target.suffix}' files, as asked for with {target}.", f"Use one of: {known}")
    files.check_output(target, force, [source] if isinstance(source, Path) else [])


def check_recording(source: Path) -> None:
    """UsageError for a path that names no file, InputError for an empty one."""
    if source.is_dir():
        raise UsageError(f"{source} is a folder.", "Name one recording in it.")
    if not source.exists():
        raise UsageError(f"There is no file {source}.", "Check the path.")
    if not source.is_file():
        raise UsageError(f"{source} is no file.", "Give - for the recording, and the stream on standard input.")
    if source.stat().st_size == 0:
        raise InputError(f"{source} is empty.", "Copy or download it again.")


def check_strength(strength: float) -> None:
    """UsageError for a strength that is none."""
    if not 0 <= strength <= 1:
        raise UsageError(f"A strength of {strength:g} makes no sense.", "Give a number from 0 (nothing) to 1 (all).")


def check_tracks(tape: media.Media, target: Path | BinaryIO | None) -> None:
    """InputError for sound that is not there or not fit for the output, UsageError for a video without a picture."""
    if tape.sound is None:
        raise InputError(f"{tape.path} has no sound.", "Give a recording with a sound track.")
    if not isinstance(target, Path):
        return
    suffix = target.suffix.lower()
    if suffix in PICTURE_FILES and tape.picture is None:
        raise UsageError(f"{tape.path} has no picture to put into {target}.", "Write a sound file, such as clean.wav.")
    check_sound_fits(tape.sound, suffix)
    if suffix in PICTURE_FILES:
        media.check_picture_fits(tape, target.suffix)


def listen(tape: media.Media, report: Report) -> Loudness:
    """Go through the sound once: length and level. InputError if the track is empty."""
    assert tape.sound is not None
    rate, num_channels = tape.sound.sample_rate, tape.sound.num_channels

    def told() -> Iterator[np.ndarray]:
        seconds = 0.0
        for block in media.sound_blocks(tape, BLOCK_SECONDS, rate, num_channels):
            yield block
            seconds += len(block) / rate
            tape.limits.check_seconds(tape.path, seconds)
            report("listening", seconds, tape.duration_seconds)

    loudness = measure(told(), rate)
    if loudness.num_samples == 0:
        raise InputError(f"The sound of {tape.path} is empty.", "Check that it plays.")
    if loudness.cancels:
        hint = "Turn one over: ffmpeg -i FILE -af 'pan=stereo|c0=c0|c1=-1*c1' TURNED.wav"
        raise InputError(f"The channels of {tape.path} cancel each other out.", hint)
    return loudness


def describe(
    tape: media.Media, loudness: Loudness, use_video: bool, share: float, who: str = "Face", remarks: str = ""
) -> str:
    """A sentence or two on what there was to hear and to see; ``share`` of the time that a face was seen."""
    if loudness.rms < SILENT_RMS:
        return "The recording is silent."
    if tape.picture is None:
        return "There is no picture; the sound alone was used."
    if not use_video:
        return "The picture was not looked at; the sound alone was used."
    if share == 0:
        return "There is no face in the picture, or none that moves; the sound alone was used."
    seen = f"{who} seen {share:.0%} of the time" + ("." if share > 0.995 else "; the sound alone elsewhere.")
    return seen + remarks
