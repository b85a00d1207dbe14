"""Measure the cost of each fusion in the network: parameters, multiply-accumulates, real-time factor, as Markdown.

python benchmarks/fusions.py --output docs/experiments/fusions-table.md
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from avse import __version__
from avse.config import SAMPLES_PER_FRAME, VIDEO_FPS, ModelConfig
from avse.dsp.windowing import WINDOW_FRAMES
from avse.models.fusion import FUSIONS
from avse.models.inputs import Inputs
from avse.models.net import SpeechNet

SECONDS = WINDOW_FRAMES / VIDEO_FPS


@dataclass(frozen=True)
class Cost:
    """Hold the cost of one network: its parameters and those of its fusions; MACs and seconds per second of video."""

    fusion: str
    num_parameters: int
    num_fusion_parameters: int
    macs_per_second: float
    real_time_factor: float


def made_inputs(config: ModelConfig) -> Inputs:
    """Make one window of noise, of the size in `avse enhance`."""
    num_steps = WINDOW_FRAMES * SAMPLES_PER_FRAME // config.hop
    spectrum = torch.randn(1, SAMPLES_PER_FRAME // 2 + 1, num_steps, dtype=torch.complex64)
    return Inputs(
        spectrum, torch.randn(1, WINDOW_FRAMES, config.lip_side, config.lip_side), torch.ones(1, WINDOW_FRAMES)
    )


def count_macs(net: SpeechNet, inputs: Inputs) -> int:
    """Count the multiply-accumulates of convolutions and matrix products in one pass."""
    with FlopCounterMode(display=False) as counter:
        net(inputs)
    return counter.get_total_flops() // 2


def pass_seconds(nets: list[SpeechNet], inputs: Inputs, num_runs: int) -> list[float]:
    """Measure the median time in seconds of one pass of each network; they take turns to share the load."""
    times: list[list[float]] = [[] for _ in nets]
    for _ in range(num_runs + 1):
        for net, own in zip(nets, times, strict=True):
            started = time.perf_counter()
            net(inputs)
            own.append(time.perf_counter() - started)
    return [statistics.median(own[1:]) for own in times]


@torch.no_grad()
def measure(num_runs: int) -> list[Cost]:
    """Measure the cost of the network with each fusion; all other settings are the defaults."""
    nets = [SpeechNet(ModelConfig(fusion=name)).eval() for name in FUSIONS]
    inputs = made_inputs(ModelConfig())
    return [
        Cost(
            net.config.fusion,
            sum(parameter.numel() for parameter in net.parameters()),
            sum(parameter.numel() for parameter in net.fusions.parameters()),
            count_macs(net, inputs) / SECONDS,
            seconds / SECONDS,
        )
        for net, seconds in zip(nets, pass_seconds(nets, inputs, num_runs), strict=True)
    ]


def to_markdown(costs: list[Cost], num_runs: int, note: str) -> str:
    """Return the page: the table, and where and when it was measured."""
    rows = [
        f"| {cost.fusion} | {cost.num_parameters / 1e6:.3f} | {cost.num_fusion_parameters / 1e3:.1f} "
        f"| {cost.macs_per_second / 1e9:.3f} | {cost.real_time_factor:.3f} |"
        for cost in costs
    ]
    default = ModelConfig()
    return "\n".join(
        [
            "# Cost of each fusion",
            "",
            "Made by `python benchmarks/fusions.py --output docs/experiments/fusions-table.md`. The fusions:",
            "[Fusion blocks](../fusion.md).",
            "",
            "| fusion | parameters, million | of these in the fusion, thousand | 10^9 multiply-accumulates per second "
            "of video | seconds per second of video |",
            "|---|---:|---:|---:|---:|",
            *rows,
            "",
            f"The whole network with default settings (hop {default.hop}, mouth crops of {default.lip_side} pixels) on "
            f"windows of {SECONDS:g} s,",
            "without decoding, face detection and STFT. Multiply-accumulates are those of convolutions and matrix",
            f"products. Times: {torch.get_num_threads()} threads, median of {num_runs} passes, networks interleaved.",
            "",
            f"Measured {date.today().isoformat()} on {processor()} with avse {__version__}, torch {torch.__version__}, "
            f"Python {platform.python_version()}.",
            *([note] if note else []),
            "",
        ]
    )


def processor() -> str:
    """Return the name of the processor and the number of cores."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()} ({len(names) or 'unknown'} cores)"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/experiments/fusions-table.md"), help="Markdown page")
    parser.add_argument("--runs", type=int, default=9, help="number of passes")
    parser.add_argument("--threads", type=int, default=2, help="number of threads")
    parser.add_argument("--note", default="", help="sentence about the conditions, for the page")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    page = to_markdown(measure(options.runs), options.runs, options.note)
    options.output.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
