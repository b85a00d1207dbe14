"""One visitor: a recording, its faces, and the enhanced voice, in a folder of their own.

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from avse.enhancement.options import Options
from avse.enhancement.pipeline import Pipeline, open_recording
from avse.enhancement.result import Result
from avse.enhancement.spooling import Spool
from avse.enhancement.validation import check_recording
from avse.errors import UsageError
from avse.io import atomic
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits
from avse.io.formats import is_video
from avse.io.writer import reraise_write_errors
from avse.progress import Report
from avse.ui.waiting_line import WaitingLine
from avse.weights.checkpoint import Checkpoint

VOICE = "voice.w64"


class CancelledError(Exception):
    """Cancel work: raised by a progress report after the visitor has cancelled or left."""


@dataclass(frozen=True)
class Studio:
    """Hold what all visitors share: model, folder for temporary files, limits on recordings, audio track to use (None:
    the default one) and waiting line."""

    checkpoint: Checkpoint
    folder: Path
    limits: Limits = DEFAULT_LIMITS
    audio_track: int | None = None
    line: WaitingLine = field(default_factory=WaitingLine)

    @property
    def served(self) -> Path:
        """Return the folder of the files that the page may load; it holds no upload under its own name."""
        path = self.folder / "served"
        path.mkdir(exist_ok=True)
        return path


@dataclass(frozen=True)
class Enhanced:
    """Hold an enhanced voice: the pipeline that made it, its result, and the audio as 32-bit floats on disk."""

    pipeline: Pipeline
    result: Result
    voice: Path


class Session:
    """Hold the work of one visitor."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.folder = Path(tempfile.mkdtemp(prefix="session-", dir=studio.folder))
        self.served = Path(tempfile.mkdtemp(prefix="session-", dir=studio.served))
        self.analysis: Pipeline | None = None
        self.enhanced: Enhanced | None = None
        self._uploads: list[Path] = []
        self._stop, self._busy, self._closed = threading.Event(), threading.Lock(), False

    def keep_upload(self, upload: Path) -> Path:
        """Return a path of an uploaded recording that lasts until a later one is opened."""
        self.check_open()
        kept = Path(tempfile.mkdtemp(prefix="recording-", dir=self.folder)) / upload.name
        self._uploads.append(kept)
        try:
            os.link(upload, kept)
        except OSError:
            shutil.copyfile(upload, kept)
        return kept

    def make_download_folder(self) -> Path:
        """Return a new folder for a file to download; the earlier one is removed."""
        self.check_open()
        for folder in self.served.glob("download-*"):
            shutil.rmtree(folder, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix="download-", dir=self.served))

    def serve_video(self) -> Path | None:
        """Return a path of the video that the page may load; None for a file that browsers cannot play."""
        assert self.analysis is not None
        recording = self.analysis.recording
        if recording.video is None or not is_video(recording.path):
            return None
        video = self.served / f"video{recording.path.suffix.lower()}"
        video.unlink(missing_ok=True)
        try:
            os.link(recording.path.resolve(), video)
        except OSError:  # another disk: only the recording that the command named can be there
            return recording.path
        return video

    def open(self, path: Path, report: Report) -> Pipeline:
        """Open a recording and find its faces.

        Raises:
            AvseError: it cannot be used. CancelledError: the visitor has cancelled.
        """
        with self._working(report) as checked:
            self.analysis = None
            self.discard()
            self._remove_uploads_before(path)
            check_recording(path)
            sees = self.studio.checkpoint.net.lips is not None
            options = Options(speaker="all" if sees else "active", measure_all=True)
            recording = open_recording(path, self.studio.audio_track, self.studio.limits)
            self.analysis = Pipeline(self.studio.checkpoint, recording, options, checked)
        return self.analysis

    def enhance(self, speaker: str | int, report: Report) -> Enhanced:
        """Enhance the voice of ``speaker``, as `avse.enhance` takes it, at full strength, and keep it on disk.

        Raises:
            AvseError: the work failed. CancelledError: the visitor has cancelled.
        """
        assert self.analysis is not None
        started = time.perf_counter()
        with self._working(report) as checked:
            self.discard()
            pipeline = self.analysis.with_speaker(speaker, checked)
            voice = self.folder / VOICE
            spool(pipeline, voice)
            result = pipeline.result(is_clipped=True).replace(
                thumbnails=pipeline.thumbnails(),
                elapsed_seconds=time.perf_counter() - started,
            )
            self.enhanced = Enhanced(pipeline, result, voice)
        return self.enhanced

    def discard(self) -> None:
        """Remove the enhanced voice, and all files that the page has of it."""
        self.enhanced = None
        (self.folder / VOICE).unlink(missing_ok=True)
        for path in self.served.glob("*"):  # none once the session is closed
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _remove_uploads_before(self, path: Path) -> None:
        """Remove the uploads before this one; a later one may wait to be opened."""
        while path in self._uploads and self._uploads[0] != path:
            shutil.rmtree(self._uploads.pop(0).parent, ignore_errors=True)

    def prepare(self) -> None:
        """Clear an earlier `cancel`, before new work is queued."""
        self._stop.clear()

    def cancel(self) -> None:
        """Stop the work that runs or waits."""
        self._stop.set()

    def check_open(self) -> None:
        """Raise UsageError after `close`: the files are gone."""
        if self._closed:
            raise UsageError("The page was closed, and its files were removed.", "Reload the page.")

    def close(self) -> None:
        """Stop the work and remove all files of the session."""
        self._closed = True
        with self._busy:
            for folder in (self.folder, self.served):
                shutil.rmtree(folder, ignore_errors=True)

    def cancellable(self, report: Report) -> Report:
        """Return a report that raises `CancelledError` once the work is to stop."""

        def checked(stage: str, done: float, total: float) -> None:
            if self._closed or self._stop.is_set():
                raise CancelledError
            report(stage, done, total)

        return checked

    @contextmanager
    def _working(self, report: Report) -> Iterator[Report]:
        """Yield a `cancellable` report; one work of all visitors at a time."""
        self.check_open()

        checked = self.cancellable(report)

        def wait(ahead: int) -> None:
            checked(f"waiting in the queue, {ahead} ahead", 0.0, 0.0)

        with self._busy, self.studio.line.turn(wait):
            checked("starting", 0.0, 0.0)
            yield checked


def spool(pipeline: Pipeline, path: Path) -> None:
    """Write the only voice (N, C) of a pipeline as 32-bit floats; the file appears when it is whole."""
    audio = pipeline.recording.audio_stream
    with (
        atomic.atomic_path(path) as partial,
        reraise_write_errors(path.parent),
        closing(Spool(partial, audio.sample_rate, audio.num_channels)) as file,
    ):
        for (block,) in pipeline.stream():
            file.write(block)
