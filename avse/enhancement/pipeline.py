"""The pipeline: analyse a recording, select the target speakers, stream their enhanced voices, write them.

Files, arrays, all faces and the benchmark go through the same `Pipeline`. Everything streams in windows of some
seconds, so that memory does not grow with the length of the recording.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from avse.active_speaker.scene import Scene
from avse.active_speaker.selection import Selection, check_speaker, choose_targets, select_targets
from avse.active_speaker.speaker_choice import parse_speaker
from avse.enhancement.arguments import (
    as_audio_track,
    as_background,
    as_output,
    as_source,
    check_face_tracks,
    check_flags,
    check_helpers,
)
from avse.enhancement.audio_measurement import measure_audio
from avse.enhancement.background import with_background
from avse.enhancement.loudness import Levels, normalised
from avse.enhancement.options import Options
from avse.enhancement.result import Result, build_result, notice_audio_start
from avse.enhancement.spooling import spooled
from avse.enhancement.streaming import enhance_streams
from avse.enhancement.validation import check_background, check_background_fits, check_paths, check_tracks
from avse.enhancement.visual_reliability import VisualReliability
from avse.faces.thumbnail import face_thumbnails
from avse.faces.tracking import Track
from avse.io import atomic, reader
from avse.io.encoding import DEFAULT_SETTINGS, OutputSettings, clips, output_subtype
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits, local_file
from avse.io.formats import VIDEO_OUTPUTS
from avse.io.messages import Message
from avse.io.writer import write_file, write_output
from avse.progress import Report, Stage, silent, span
from avse.weights.checkpoint import Checkpoint
from avse.weights.pretrained import for_audio_only, load_model

Output = Path | BinaryIO | None


class Pipeline:
    """Run the pipeline on one open recording.

    Attributes:
        recording: the recording, which has audio.
        stats: length and level of its audio.
        selection: its faces, and the target speakers among them.
        checkpoint: the network that is used: the audio-only one where there is no target speaker.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        recording: reader.Recording,
        options: Options,
        report: Report = silent,
        tracks: Sequence[Track] | None = None,
    ) -> None:
        """Open the recording: analyse it and select the target speakers.

        Raises:
            UsageError: there is no such speaker, or a net on a GPU is used in a forked process.
            InputError: the audio is missing, empty or cancels out.
        """
        checkpoint.check_process()
        check_speaker(checkpoint.net, options.speaker)
        self.recording, self.options, self._report, self._given = recording, options, report, checkpoint
        self.stats = measure_audio(recording, report)
        self.uses_video = options.use_video and checkpoint.net.lips is not None
        selection = Selection()
        if self.uses_video:
            selection = select_targets(
                recording, self.stats, checkpoint.net, options.speaker, report, tracks, options.measure_all
            )
        self._follow(selection)

    def with_speaker(self, speaker: str | int, report: Report = silent) -> Pipeline:
        """Return a pipeline for other speakers of the same recording, not analysed again. UsageError if unknown."""
        net, scene = self._given.net, self.selection.scene
        options = replace(self.options, speaker=speaker, measure_all=False)
        check_speaker(net, options.speaker)
        if len(scene.tracks) == 1:  # as if the activity of a single face had not been measured
            scene = Scene(scene.tracks, crops=scene.crops)
        other = copy.copy(self)
        other.options, other._report = options, report
        selection = Selection()
        if self.uses_video:
            selection = choose_targets(scene, self.recording, self.stats, net, options.speaker, report)
        other._follow(selection)
        return other

    def _follow(self, selection: Selection) -> None:
        self.selection, self.reliability = selection, VisualReliability()
        self.checkpoint = self._given if selection.targets else for_audio_only(self._given)

    @property
    def num_outputs(self) -> int:
        """Return the number of blocks that `stream` yields at a time, without the background."""
        return max(len(self.selection.targets), 1) if self.options.speaker == "all" else 1

    def stream(self, stored_as: str = "FLOAT") -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the enhanced audio in blocks (N, C): one of each output at a time, then one of the background.

        The background includes the rounding errors of voices that are ``stored_as``, for example, PCM_16.
        """
        voices = enhance_streams(
            self.checkpoint.net, self.recording, self.stats, self.selection.targets, self.selection.scene.crops,
            self._report, self.options.strength, together=self.num_outputs == 1, reliability=self.reliability,
            audio_net=for_audio_only(self._given).net,
        )  # fmt: skip
        return with_background(voices, self.recording, stored_as) if self.options.with_background else voices

    def write(self, outputs: Sequence[Output]) -> list[Written]:
        """Write every output to a file or a stream, or keep it as an array; one for each block of `stream`.

        Files appear when all of them are whole. The loudness of the background is never changed.
        """
        if any(not isinstance(output, Path) or output.suffix.lower() not in VIDEO_OUTPUTS for output in outputs):
            notice_audio_start(self.recording)
        folder = next((output.parent for output in outputs if isinstance(output, Path)), None)
        with contextlib.ExitStack() as stack, span(Stage.WRITE):
            partials = [stack.enter_context(_partial(output)) for output in outputs]
            streams: list[Iterator[np.ndarray]] = [(block for (block,) in self.stream())]
            if len(outputs) > 1:
                audio = self.recording.audio_stream
                form = len(outputs), audio.sample_rate, audio.num_channels
                steps = self.stream(output_subtype(audio, outputs[0]))
                streams = [spool.blocks() for spool in stack.enter_context(spooled(steps, *form, folder))]
            return [
                self._write_one(partial, blocks, folder, is_voice=index < self.num_outputs)
                for index, (partial, blocks) in enumerate(zip(partials, streams, strict=True))
            ]

    def _write_one(self, output: Output, blocks: Iterator[np.ndarray], folder: Path | None, is_voice: bool) -> Written:
        audio = self.recording.audio_stream
        target_lufs = self.options.loudness_lufs if is_voice else None
        with normalised(blocks, audio, target_lufs, folder) as (loud, levels):
            if isinstance(output, Path):
                write_file(output, self.recording, self.stats.num_samples, loud, self.options.settings)
                return Written(None, levels)
            return Written(write_output(output, self.recording, self.stats.num_samples, loud), levels)

    def thumbnails(self) -> dict[int, bytes]:
        """Return a thumbnail (PNG) of each person whose voice is kept or removed, by the number of the face."""
        faces = sorted({*self.selection.indices, *self.selection.removed})
        thumbnails = face_thumbnails(self.recording, [self.selection.scene.tracks[k] for k in faces])
        return {k + 1: thumbnail for k, thumbnail in zip(faces, thumbnails, strict=True) if thumbnail}

    def result(self, levels: Levels | None = None, is_clipped: bool = False) -> Result:
        """Return the result; the caller sets paths, audio and time."""
        name = str(self.checkpoint.about.get("name", ""))
        result = build_result(self.recording, self.stats, self.selection, self.uses_video, name, levels, is_clipped)
        doubts = [Message("unreliable_video", text) for text in self.reliability.warnings]
        note = " ".join([result.note, *(doubt.text for doubt in doubts)])
        return result.replace(note=note, warnings=[*result.warnings, *doubts])


class Written(NamedTuple):
    """Hold an output that stays in memory, (N, C), and its loudness, if it was normalised."""

    waveform: np.ndarray | None
    levels: Levels | None


@contextlib.contextmanager
def _partial(output: Output) -> Iterator[Output]:
    """Yield a temporary file that replaces the given file at the end; yield anything else unchanged."""
    if not isinstance(output, Path):
        yield output
        return
    with atomic.atomic_path(output) as partial:
        yield partial


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
    audio_track: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    background: str | Path | bool = False,
    settings: OutputSettings = DEFAULT_SETTINGS,
    force: bool = False,
    with_thumbnail: bool = False,
    tracks: Sequence[Track] | None = None,
    on_progress: Report = silent,
) -> Result:
    """Enhance the voice of one person, or of everyone, and write it to ``output``; a video keeps its frames.

    The audio keeps sample rate, channels, length to the sample, and alignment with the video. Without video
    or a face only the audio is used, which ``Result.note`` reports. The model `avse` is then replaced by
    `avse-audio`, which ``Result.model`` reports.

    Args:
        recording: a file, or an open binary stream, which is stored in a temporary file first.
        output: a file (.wav, .flac, .mp3, .m4a, .ogg, .opus; .mp4, .mkv or .mov for a video), an open binary stream
            for WAV, or None for ``Result.waveform``.
        model: name of a shipped model, path of a checkpoint, or a checkpoint already loaded.
        device: auto, cpu or cuda.
        use_video: False ignores the video.
        speaker: "active" for the face whose lips correlate best with the audio; "largest", "left" or "right"; the
            number of a face; several faces as "1,3", or "everyone" for all visible people, in one output. For one file
            per person, see `avse.enhancement.all_speakers.enhance_all`.
        strength: 1 keeps only the voice. Lower values mix in the original: nothing is attenuated by more than
            -20 log10(1 - strength) dB.
        loudness_lufs: target integrated loudness (BS.1770), reached as far as true peaks of -1 dBFS allow.
        audio_track: which of several audio tracks, counted from 1; None takes the one flagged as default.
        limits: bounds on what an untrusted recording may cost: duration, size, memory and time.
        background: a file for the removed audio, or True for ``Result.background``. Voice and background add up to
            the recording, before loudness normalisation.
        settings: bit rate of a lossy output, and whether the other audio tracks are copied into a video.
        force: replace an existing output.
        with_thumbnail: also return thumbnails of the people whose voices were kept or removed.
        tracks: the face tracks if they are known, from `avse.faces.face_tracker.track_faces`; None detects them.
        on_progress: called with the stage, the amount done and the total. An exception that it raises cancels the
            work; no incomplete file is left.

    Raises:
        UsageError: an option or path cannot be used. InputError: the recording cannot be read.
        MissingError: the device is missing.
    """
    started = time.perf_counter()
    given, target = as_source(recording), as_output(output)
    removed, audio_track = as_background(background), as_audio_track(audio_track)
    check_helpers(limits, on_progress, settings)
    check_face_tracks(tracks)
    check_flags(use_video=use_video, force=force, with_thumbnail=with_thumbnail)
    with_background = background is True or removed is not None
    options = Options(use_video, parse_speaker(speaker), strength, loudness_lufs, with_background, settings=settings)
    with local_file(given, limits) as source, atomic.never_replacing([target, removed], force):
        check_paths(source, target, force)
        check_background(source, target, removed, force)
        checkpoint = model if isinstance(model, Checkpoint) else load_model(model, device)
        opened = open_recording(source, audio_track, limits, target, settings)
        check_background_fits(opened, removed, settings)
        pipeline = Pipeline(checkpoint, opened, options, on_progress, tracks)
        voice, *rest = pipeline.write([target, removed] if with_background else [target])
        thumbnails = pipeline.thumbnails() if with_thumbnail else {}
    is_clipped = target is not None and voice.levels is None and clips(opened.audio_stream, target)
    result = pipeline.result(voice.levels, is_clipped)
    return result.replace(
        input=source if isinstance(given, Path) else Path("-"),
        output=target if isinstance(target, Path) else None,
        model=result.model or ("" if isinstance(model, Checkpoint) else str(model)),
        waveform=voice.waveform,
        background=rest[0].waveform if rest else None,
        thumbnails=thumbnails,
        elapsed_seconds=time.perf_counter() - started,
    )


def open_recording(
    path: Path,
    audio_track: int | None,
    limits: Limits,
    output: Output = None,
    settings: OutputSettings = DEFAULT_SETTINGS,
) -> reader.Recording:
    """Open a recording that has audio, and check that ``output`` can hold it. InputError or UsageError if not."""
    with span(Stage.PROBE):
        recording = reader.probe(path, audio_track, limits)
        check_tracks(recording, output, settings)
    return recording
