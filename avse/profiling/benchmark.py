"""Measure the time of `enhance`: its stages, the total, the roofline of each, memory and start-up.

The stages are spans inside the real pipeline (`avse.progress.Stage`). The total is measured without them, in a
separate process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from avse.enhancement.validation import check_recording, check_tracks
from avse.errors import UsageError
from avse.faces.detection import DETECT_SIDE
from avse.io import reader
from avse.io.ffmpeg import build_command, file_url, open_input, stream_output
from avse.models.inputs import Inputs
from avse.models.net import SpeechNet
from avse.profiling import roofline
from avse.profiling.process import Start, Whole, run_start, run_whole
from avse.profiling.spans import ProfiledRun, profile
from avse.progress import Report, Stage, silent
from avse.weights.checkpoint import Checkpoint
from avse.weights.pretrained import load_model


@dataclass(frozen=True)
class StageTime:
    """Hold the time of a stage in seconds, and its minimum on this machine if known; ``bound`` names what sets it."""

    name: str
    seconds: float
    minimum_seconds: float | None = None
    bound: str = ""

    def as_dict(self, duration_seconds: float, whole_seconds: float) -> dict[str, Any]:
        """Return plain values, with the time per second of recording and the share of the whole.

        ``floor``, ``floor_seconds`` and ``floor_per_second`` are former names that will be removed.
        """
        minimum = None if self.minimum_seconds is None else self.minimum_seconds / duration_seconds
        return {
            **asdict(self),
            "seconds_per_second": self.seconds / duration_seconds,
            "minimum_per_second": minimum,
            "share_of_whole": self.seconds / whole_seconds,
            "floor": self.bound,
            "floor_seconds": self.minimum_seconds,
            "floor_per_second": minimum,
        }


@dataclass(frozen=True)
class Bench:
    """Hold all measurements on one recording; ``video_size``: width and height in pixels, None without video."""

    recording: str
    duration_seconds: float
    video_size: tuple[int, int] | None
    num_faces: int
    model: str
    device: str
    num_threads: int
    repeat: int
    macs_per_second: float
    stages: list[StageTime]
    net_seconds: float
    whole: Whole
    start: Start

    @property
    def minimum_seconds(self) -> float:
        """Return the sum of all minima in seconds: the stages one after the other, with all threads."""
        return sum(stage.minimum_seconds or 0.0 for stage in self.stages)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, with derived ones.

        ``picture``, ``floors_seconds`` and ``times_floors`` are former names.
        """
        minimum = self.minimum_seconds
        return {
            **asdict(self),
            "picture": self.video_size,
            "stages": [stage.as_dict(self.duration_seconds, self.whole.seconds) for stage in self.stages],
            "stages_seconds": sum(stage.seconds for stage in self.stages),
            "minimum_seconds": minimum,
            "times_minimum": self.whole.seconds / minimum,
            "floors_seconds": minimum,
            "times_floors": self.whole.seconds / minimum,
            "real_time_factor": self.whole.seconds / self.duration_seconds,
            "net_times_real_time": self.duration_seconds / self.net_seconds,
            "start": {**asdict(self.start), "beyond_torch_seconds": self.start.beyond_torch_seconds},
        }


def bench(
    recording: str | Path,
    *,
    model: str = "avse",
    device: str = "auto",
    repeat: int = 3,
    seconds: float = 20.0,
    on_progress: Report = silent,
) -> Bench:
    """Measure `enhance` and its stages on the first ``seconds`` of a recording; the minimum of ``repeat`` runs counts.

    Stages that the recording or the model does not need are missing. It uses as many threads as torch does.

    Raises:
        UsageError: there is no such file or model. InputError: it cannot be read, or has no audio.
    """
    if repeat < 1 or seconds <= 0:
        raise UsageError("Nothing would be measured.", "Use --repeat of 1 or more, and --seconds above 0.")
    check_recording(Path(recording))
    opened = reader.probe(recording)
    check_tracks(opened, None)
    checkpoint = load_model(model, device)
    torch_device = next(checkpoint.net.parameters()).device
    report = _counted(on_progress, repeat + 2)
    num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory(prefix="avse-bench-") as scratch:
        folder = Path(scratch)
        path = beginning(opened, seconds, folder)
        run, taken = _profile(checkpoint, path, folder, repeat, report)
        rate = roofline.macs_per_second(torch_device)
        least = _rooflines(run, reader.probe(path), rate, repeat)
        report()
        whole = run_whole(path, folder, model, device, num_threads, repeat)
        report()
    return Bench(
        recording=str(recording),
        duration_seconds=run.result.duration_seconds,
        video_size=(opened.video.width, opened.video.height) if opened.video else None,
        num_faces=run.result.num_faces,
        model=run.result.model or model,
        device=_name(torch_device),
        num_threads=num_threads,
        repeat=repeat,
        macs_per_second=rate,
        stages=[StageTime(name.value, spent, *least.get(name, (None, ""))) for name, spent in taken.items()],
        net_seconds=sum(taken.get(name, 0.0) for name in (Stage.FEATURES, Stage.LIPS, Stage.AUDIO)),
        whole=whole,
        start=run_start(model, device, num_threads, repeat),
    )


def beginning(recording: reader.Recording, seconds: float, folder: Path) -> Path:
    """Return the recording if its header claims no more than that duration, else its beginning, stream-copied."""
    import ffmpeg

    if 0 < recording.duration_seconds <= seconds:
        return recording.path
    target = folder / "beginning.mkv"
    stored = open_input(recording.path, recording.limits, t=seconds)
    tracks = [stored[f"a:{recording.audio_track - 1}"], *([stored["V:0"]] if recording.video else [])]
    copied = ffmpeg.output(*tracks, file_url(target), codec="copy", progress="pipe:1")
    failure = f"The first {seconds:g} s of {recording.path} cannot be extracted"
    with stream_output(
        build_command(copied, "-loglevel", "error"),
        recording.limits,
        failure,
        "Use a recording that is already trimmed.",
    ) as output:
        output.read()
    return target


def _profile(
    checkpoint: Checkpoint, path: Path, folder: Path, repeat: int, report: Callable[[], None]
) -> tuple[ProfiledRun, dict[Stage, float]]:
    """Run the profiler several times; return the last run, and the minimum of each stage in order."""
    is_gpu = next(checkpoint.net.parameters()).device.type == "cuda"
    runs = []
    for _ in range(repeat + is_gpu):  # the first run on a GPU is slow
        runs.append(profile(checkpoint, path, folder / "profiled.wav"))
        report()
    taken = {stage: min(run.seconds[stage] for run in runs) for stage in Stage if stage in runs[-1].seconds}
    return runs[-1], taken


def _rooflines(
    run: ProfiledRun, recording: reader.Recording, rate: float, repeat: int
) -> dict[Stage, tuple[float, str]]:
    """Return the theoretical minimum of each stage that has one, in seconds, and how it was calculated."""

    def decoding(track: str) -> tuple[float, str]:
        return min(roofline.decode_seconds(recording, track) for _ in range(repeat)), "ffmpeg -f null"

    def computing(macs: float, rate: float = rate) -> tuple[float, str]:
        return macs / rate, f"{macs / run.result.duration_seconds / 1e9:.2g} GMAC per s of recording"

    found = {Stage.READ_AUDIO: decoding("a:0")}
    if frames := run.counts.get(Stage.DETECT):
        found[Stage.READ_VIDEO] = decoding("V:0")
        shape = next(reader.read_frames(recording, max_side=DETECT_SIDE)).shape
        on_cpu = roofline.macs_per_second(torch.device("cpu"))  # where the detector always runs
        found[Stage.DETECT] = computing(frames * roofline.num_detector_macs(*shape), on_cpu)
    return found | {stage: computing(macs) for stage, macs in _net_macs(run.net, run.inputs).items()}


def _net_macs(net: SpeechNet, inputs: Sequence[Inputs]) -> dict[Stage, float]:
    """Return the MACs of the network's streams for all windows, from those for the first."""
    times = sum(given.seen.shape[1] for given in inputs) / inputs[0].seen.shape[1]
    both = times * roofline.num_macs(net, inputs[0])
    if net.lips is None:
        return {Stage.AUDIO: both}
    seen = times * roofline.num_macs(net.lips, inputs[0].lips)
    return {Stage.LIPS: seen, Stage.AUDIO: both - seen}


def _name(device: torch.device) -> str:
    """Return the name of the GPU, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _counted(on_progress: Report, total: int) -> Callable[[], None]:
    """Return a function to call after each of ``total`` steps."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        on_progress("measuring", done, total)

    return step
