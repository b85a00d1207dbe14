"""Where the time of `enhance` goes: its stages, the whole, what the machine could do at best, memory and start-up.

The stages are those of `avse.profiling.stages`. Their sum is not the whole: `enhance` goes through the sound more
than once, and may do several things at once.
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
from avse.io import reader
from avse.io.ffmpeg import build_command, file_url, open_input, stream_output
from avse.models.inputs import Inputs
from avse.models.net import SpeechNet
from avse.profiling import roofline, stages
from avse.profiling.process import Start, Whole, run_start, run_whole
from avse.progress import Report, silent
from avse.weights.checkpoint import Checkpoint
from avse.weights.pretrained import load_model


@dataclass(frozen=True)
class Stage:
    """Seconds that a stage takes, and would take at best if ``floor_seconds`` is known; ``floor`` says why."""

    name: str
    seconds: float
    floor_seconds: float | None = None
    floor: str = ""

    def as_dict(self, duration_seconds: float, whole_seconds: float) -> dict[str, Any]:
        """Plain values, with the time for a second of recording and the share of the whole."""
        floor = None if self.floor_seconds is None else self.floor_seconds / duration_seconds
        return {
            **asdict(self),
            "seconds_per_second": self.seconds / duration_seconds,
            "floor_per_second": floor,
            "share_of_whole": self.seconds / whole_seconds,
        }


@dataclass(frozen=True)
class Bench:
    """All that was measured on one recording; ``picture`` is (width, height) in pixels, if there is one."""

    recording: str
    duration_seconds: float
    picture: tuple[int, int] | None
    num_faces: int
    model: str
    device: str
    num_threads: int
    repeat: int
    macs_per_second: float
    stages: list[Stage]
    net_seconds: float
    whole: Whole
    start: Start

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with what follows from them."""
        return {
            **asdict(self),
            "stages": [stage.as_dict(self.duration_seconds, self.whole.seconds) for stage in self.stages],
            "stages_seconds": sum(stage.seconds for stage in self.stages),
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
    """Measure `enhance` and its stages on the first ``seconds`` of a recording; the least of ``repeat`` times counts.

    Stages for which there is no picture, no face or no lip stream are missing. It uses as many threads as torch does.

    Raises:
        UsageError: there is no such file or model. InputError: it cannot be read, or has no sound.
    """
    if repeat < 1 or seconds <= 0:
        raise UsageError("Nothing would be measured.", "Give --repeat of 1 or more, and --seconds above 0.")
    check_recording(Path(recording))
    opened = reader.probe(recording)
    check_tracks(opened, None)
    checkpoint = load_model(model, device)
    report = _counted(on_progress, repeat + 2)
    num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory(prefix="avse-bench-") as scratch:
        folder = Path(scratch)
        path = beginning(opened, seconds, folder)
        walked, clock = _walk(checkpoint, path, folder, repeat, report)
        rate = roofline.macs_per_second(clock.device)
        least = _floors(walked, rate, repeat)
        report()
        whole = run_whole(path, folder, model, device, num_threads, repeat)
        report()
    start = run_start(model, device, num_threads, repeat)
    picture = walked.recording.video
    return Bench(
        str(recording), walked.duration_seconds, (picture.width, picture.height) if picture else None,
        walked.num_faces, str(walked.checkpoint.about.get("name", model)), _name(clock.device), num_threads, repeat,
        rate, [Stage(name, taken, *least.get(name, (None, ""))) for name, taken in clock.stages().items()],
        clock.seconds[stages.FEATURES] + clock.seconds[stages.NET], whole, start,
    )  # fmt: skip


def beginning(recording: reader.Recording, seconds: float, folder: Path) -> Path:
    """The recording itself if it says that it is no longer than that, or its beginning, copied as it is stored."""
    import ffmpeg

    if 0 < recording.duration_seconds <= seconds:
        return recording.path
    target = folder / "beginning.mkv"
    stored = open_input(recording.path, recording.limits, t=seconds)
    tracks = [stored[f"a:{recording.audio_track - 1}"], *([stored["V:0"]] if recording.video else [])]
    copied = ffmpeg.output(*tracks, file_url(target), codec="copy", progress="pipe:1")
    failure = f"The first {seconds:g} s of {recording.path} cannot be cut off"
    with stream_output(
        build_command(copied, "-loglevel", "error"), recording.limits, failure, "Give a recording cut before."
    ) as told:
        told.read()
    return target


def _walk(
    checkpoint: Checkpoint, path: Path, folder: Path, repeat: int, report: Callable[[], None]
) -> tuple[stages.ProfiledRun, stages.Clock]:
    clock = stages.Clock(next(checkpoint.net.parameters()).device)
    for _ in range(repeat + (clock.device.type == "cuda")):  # a GPU is slow at first
        (folder / stages.ANSWER).unlink(missing_ok=True)
        walked = stages.walk(checkpoint, path, folder, clock)
        report()
    return walked, clock


def _floors(walked: stages.ProfiledRun, rate: float, repeat: int) -> dict[str, tuple[float, str]]:
    """For each stage that has one the seconds that it would take at best, and by what reckoning."""
    recording, net = walked.recording, walked.checkpoint.net

    def decoding(track: str) -> tuple[float, str]:
        return min(roofline.decode_seconds(recording, track) for _ in range(repeat)), "ffmpeg -f null"

    def computing(macs: float, rate: float = rate) -> tuple[float, str]:
        return macs / rate, f"{macs / walked.duration_seconds / 1e9:.2g} GMAC/s of recording"

    found = {stages.SOUND: decoding("a:0")}
    if walked.detected_shapes:
        found |= dict.fromkeys((stages.SMALL, stages.NEAR), decoding("V:0"))
        macs = sum(roofline.num_detector_macs(*shape) for shape in walked.detected_shapes)
        found[stages.DETECT] = computing(macs, roofline.macs_per_second(torch.device("cpu")))  # where it always runs
    return found | {name: computing(macs) for name, macs in _net_macs(net, walked.inputs).items()}


def _net_macs(net: SpeechNet, inputs: Sequence[Inputs]) -> dict[str, float]:
    """MACs of the net's streams for all windows, from those for the first."""
    times = sum(given.seen.shape[1] for given in inputs) / inputs[0].seen.shape[1]
    both = times * roofline.num_macs(net, inputs[0])
    if net.lips is None:
        return {stages.AUDIO: both}
    seen = times * roofline.num_macs(net.lips, inputs[0].lips)
    return {stages.LIPS: seen, stages.AUDIO: both - seen}


def _name(device: torch.device) -> str:
    """What the GPU is called, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _counted(on_progress: Report, total: int) -> Callable[[], None]:
    """A function to call after each of so many steps."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        on_progress("measuring", done, total)

    return step
