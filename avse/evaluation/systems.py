"""The systems to compare: the unprocessed mixture, models of this project, and external commands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avse.config import SAMPLE_RATE, SAMPLES_PER_FRAME
from avse.errors import AvseError, MissingError, UsageError
from avse.evaluation.corpora.corpus import Item, Recipe
from avse.io import atomic, audio_files, reader, remux

if TYPE_CHECKING:
    from avse.faces.tracking import Track
    from avse.weights.checkpoint import Checkpoint

UNPROCESSED = "mixed"
NO_VIDEO = ":no-video"
EXTERNAL = "external:"
PATIENCE_SECONDS = 60.0
"""Time limit for an external command, and again for each second of audio."""


@dataclass(frozen=True)
class System:
    """Describe one system: its label, and either ``model`` or ``command``; neither for the unprocessed mixture."""

    label: str
    spec: str
    model: str = ""
    use_video: bool = True
    command: tuple[str, ...] = ()
    sha256: str | None = None
    """Return the network that runs: the audio-only one where the video is ignored."""
    sha256_without_face: str | None = None
    """SHA-256 of the weights that are used if no face is visible."""


def parse_systems(specs: Sequence[str]) -> list[System]:
    """Parse the systems as typed; the unprocessed mixture always comes first.

    ``mixed``; a shipped model or PATH.safetensors, with ``:no-video`` to ignore the video; or ``external:COMMAND``
    with ``{in}`` or ``{wav}``, and ``{out}``. ``NAME=`` before any of these names it.
    """
    methods = [System(UNPROCESSED, UNPROCESSED), *(_parse(spec) for spec in specs if spec != UNPROCESSED)]
    labels = [method.label for method in methods]
    if doubled := [label for label in labels if labels.count(label) > 1]:
        raise UsageError(f"Two methods are called {doubled[0]!r}.", f"Rename one of them: --method other={doubled[0]}")
    return methods


def _parse(spec: str) -> System:
    named = re.fullmatch(r"([A-Za-z0-9][\w .-]*)=(.+)", spec, re.DOTALL)
    label, what = named.groups() if named else ("", spec)
    if what.startswith(EXTERNAL):
        command = _split(what.removeprefix(EXTERNAL))
        _check_command(command)
        return System(label or EXTERNAL + Path(command[0]).name, what, command=tuple(command))
    from avse.weights import pretrained  # loads torch, which takes seconds and is only needed for networks
    from avse.weights.checkpoint import load_checkpoint

    model, use_video = what.removesuffix(NO_VIDEO), not what.endswith(NO_VIDEO)
    checkpoint = load_checkpoint(pretrained.find(model))
    listener = pretrained.for_audio_only(checkpoint).sha256
    sha256 = checkpoint.sha256 if use_video else listener
    return System(label or what, what, model, use_video, sha256=sha256, sha256_without_face=listener)


def _split(typed: str) -> list[str]:
    try:
        return shlex.split(typed)
    except ValueError as error:
        raise UsageError(f"The command '{typed}' cannot be read: {error}.", "Close the quotation marks.") from error


def _check_command(command: Sequence[str]) -> None:
    words = " ".join(command)
    if "{out}" not in words or ("{in}" not in words and "{wav}" not in words):
        raise UsageError(
            f"The command '{words}' does not name its input and output files.",
            'Use for example: external:"denoise {wav} {out}"; {in} is the video, {wav} the mixture as 16 kHz WAV.',
        )
    if shutil.which(command[0]) is None:
        raise MissingError(f"The program {command[0]} was not found.", "Install it, or use its full path.")


class Case:
    """Provide the files of one item in the forms that systems need, made on first use."""

    def __init__(self, item: Item, scratch: Path, made_mixture: Path) -> None:
        self.item, self._scratch, self._made_mixture = item, scratch, made_mixture

    @cached_property
    def mixture(self) -> Path:
        """Return the mixture's file, making it if it exists only as a recipe."""
        if not isinstance(self.item.mixture, Recipe):
            return self.item.mixture
        audio_files.write_audio_file(self._made_mixture, self.item.mixture.make())
        return self._made_mixture

    @cached_property
    def audio(self) -> np.ndarray:
        """Return the mixture (N,) at 16 kHz."""
        return audio_files.read_audio_file(self.mixture)

    @property
    def seconds(self) -> float:
        """Return the length of the mixture."""
        return len(self.audio) / SAMPLE_RATE

    @cached_property
    def wav(self) -> Path:
        """Return the mixture as mono WAV at 16 kHz."""
        path = self._scratch / "mixture.wav"
        audio_files.write_audio_file(path, self.audio)
        return path

    @cached_property
    def recording(self) -> Path:
        """Return the target's video with the mixture as its audio, or the mixture alone where there is no video."""
        video = self.item.video
        if video is None or video == self.item.mixture:
            return self.mixture
        if self.item.is_dubbed:
            return video
        path = self._scratch / "recording.mkv"
        remux.mux_audio_under_video(video, self.wav, path)
        return path

    @cached_property
    def tracks(self) -> list[Track]:
        """Return the face tracks of the video, found once for all models."""
        import torch

        from avse.faces import detection, face_tracker

        num_frames = -(-len(self.audio) // SAMPLES_PER_FRAME)
        return face_tracker.track_faces(
            reader.probe(self.recording), detection.Detector(torch.get_num_threads()), num_frames=num_frames
        )


class Runner:
    """Run systems on items; models are loaded once, and faces are detected once, in the time of the first model."""

    def __init__(self, methods: Sequence[System], device: str, num_threads: int) -> None:
        self._nets: dict[str, Checkpoint] = {}
        for name in dict.fromkeys(method.model for method in methods if method.model):
            import torch

            from avse.weights.pretrained import load_model

            torch.set_num_threads(num_threads)
            self._nets[name] = load_model(name, device)

    def run(self, method: System, case: Case, estimate: Path) -> None:
        """Write a system's estimate as ``estimate`` (.wav); AvseError gives the reason if it cannot."""
        estimate.parent.mkdir(parents=True, exist_ok=True)
        if method.model:
            from avse.enhancement.pipeline import enhance

            net = self._nets[method.model]
            tracks = case.tracks if method.use_video and net.net.lips is not None else None
            enhance(case.recording, estimate, model=net, use_video=method.use_video, tracks=tracks, force=True)
        else:
            with atomic.atomic_path(estimate) as partial:
                _run_command(method.command, case, partial)


def _run_command(command: Sequence[str], case: Case, output: Path) -> None:
    """Run an external command; AvseError with its last line if it fails, hangs or writes nothing."""
    output.unlink()  # some programs refuse to overwrite a file
    values = {"{out}": str(output)}
    for name, form in (("{in}", "recording"), ("{wav}", "wav")):
        if any(name in word for word in command):
            values[name] = str(getattr(case, form))
    typed = [re.sub(r"\{(in|wav|out)\}", lambda found: values[found[0]], word) for word in command]
    hint = f"Run it yourself: {shlex.join(typed)}"
    process = subprocess.Popen(
        typed, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    time_limit = PATIENCE_SECONDS * (1 + case.seconds)
    try:
        words = process.communicate(timeout=time_limit)[0].decode(errors="replace").split("\n")
    except subprocess.TimeoutExpired:
        raise AvseError(f"{command[0]} did not finish within {time_limit:.0f} s", hint) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        last = next((line.strip() for line in reversed(words) if line.strip()), "it printed nothing")
        raise AvseError(f"{command[0]} failed with exit code {process.returncode}: {last[:200]}", hint)
    if not output.is_file():
        raise AvseError(f"{command[0]} wrote nothing to {{out}}", hint)
