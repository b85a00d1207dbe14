"""The page and the picture of `benchmarks/speed.py`, from what it measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avse.progress import Stage

Found = Mapping[str, Any]
GROUPS = {
    "decode": [Stage.READ_AUDIO, Stage.READ_VIDEO],
    "find faces": [Stage.LOAD_DETECTOR, Stage.DETECT, Stage.TRACK, Stage.ACTIVITY],
    "cut mouths": [Stage.CROP],
    "lips against sound": [Stage.AV_OFFSET],
    "network": [Stage.FEATURES, Stage.LIPS, Stage.AUDIO],
    "rest": [Stage.PROBE, Stage.MEASURE, Stage.OVERLAP_ADD, Stage.WRITE],
}


def page(found: Found) -> str:
    """Markdown: stages by size, time by faces, other tools; whatever of it was measured."""
    sizes = {name: values for name, values in found.items() if "stages" in values}
    faces = {values["num_faces"]: values for values in found.values() if "one" in values}
    lines = ["# Speed", "", about(found), ""]
    lines += ["![Processing time per second of recording](images/speed.svg)", ""] if sizes and faces else []
    lines += [*size_section(sizes)] if sizes else []
    lines += [*face_section(faces)] if faces else []
    lines += [*other_section(found["others"]["ways"])] if "others" in found else []
    lines += [
        "## Reproduce", "", "```sh", "python benchmarks/speed.py --output docs/speed.md", "```", "",
        "To measure a recording on your machine, run `avse bench RECORDING`.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def about(found: Found) -> str:
    """On what it was measured."""
    every = list(found.values())
    dates = sorted({values["date"] for values in every})
    load = max(values["load_before"] for values in every)
    first = every[0]
    how = "was measured once" if first["repeat"] == 1 else f"is the fastest of {first['repeat']}"
    return (
        f"{first['seconds']:g} s of synthetic talking heads, H.264 at 25 frames/s, audio at 48 kHz; model `avse`; "
        f"threads: {first['num_threads']}, on {first['processor']}, no GPU; system load before at most {load:.1f}; "
        f"{' to '.join(dict.fromkeys([dates[0], dates[-1]]))}. Each figure {how}, in "
        "seconds per second of recording unless stated otherwise: below 1 is faster than real time."
    )


def size_section(sizes: Found) -> list[str]:
    """The whole and its stages, a column for each size."""
    every = list(sizes.values())
    rates = ", ".join(sorted({f"{values['macs_per_second'] / 1e9:.0f}" for values in every}))
    names = [name.value for name in Stage if any(name == stage["name"] for stage in every[0]["stages"])]
    return [
        "## Video resolution", "",
        "One face. Memory is that of the avse process, without ffmpeg.", "",
        header(["", *sizes]), rule(1 + len(sizes)),
        row("`avse enhance`", [f"**{values['real_time_factor']:.3f}**" for values in every]),
        row("times real time", [f"{1 / values['real_time_factor']:.1f}" for values in every]),
        row("network alone, times real time", [f"{values['net_times_real_time']:.0f}" for values in every]),
        row("peak memory", [f"{values['whole']['peak_megabytes']:.0f} MB" for values in every]),
        row("start-up", [f"{values['start']['avse_seconds']:.1f} s" for values in every]),
        row("start-up without torch", [f"{values['start']['beyond_torch_seconds']:.1f} s" for values in every]),
        "",
        "The stages are timed inside `avse enhance`; the audio is decoded more than once. In parentheses the floor: "
        "for networks their multiply-accumulates at the speed of a float32 matrix product "
        f"({rates} GMAC/s), for decoding `ffmpeg -f null` once.", "",
        header(["stage", *sizes]), rule(1 + len(sizes)),
        *(row(name, [cell(values, name) for values in every]) for name in names),
        row("all stages", [f"{values['stages_seconds'] / values['duration_seconds']:.3f}" for values in every]),
        "",
    ]  # fmt: skip


def cell(values: Found, name: str) -> str:
    """A stage's time and its floor."""
    for stage in values["stages"]:
        if stage["name"] == name:
            floor = stage["floor_per_second"]
            return f"{stage['seconds_per_second']:.3f}" + ("" if floor is None else f" ({floor:.3f})")
    return "-"


def face_section(faces: Mapping[int, Any]) -> list[str]:
    """Time against the number of faces."""
    lines = [
        "## Number of faces", "",
        "Faces of equal size in the quarters of one 640 x 360 video. \"Additional\" is what each face beyond the first "
        "adds, relative to the time with one face.", "",
        header(["faces", "one target", "additional", "`--speaker all`", "additional", "`--no-video`"]), rule(6),
    ]  # fmt: skip
    for count, values in sorted(faces.items()):
        one, each = (further(faces, count, way) for way in ("one", "all"))
        lines.append(
            row(str(count), [f"{values['one']:.3f}", one, f"{values['all']:.3f}", each, f"{values['sound']:.3f}"])
        )
    return [*lines, ""]


def further(faces: Mapping[int, Any], count: int, way: str) -> str:
    """Time of each face beyond the first, against the time with one face."""
    if count == 1 or 1 not in faces:
        return "-"
    first = faces[1][way]
    return f"{(faces[count][way] - first) / (count - 1) / first:.0%}"


def other_section(ways: Mapping[str, float]) -> list[str]:
    """Compare with audio-only tools."""
    ours = ways["avse enhance"]
    return [
        "## Other tools", "",
        "The same recording (640 x 360), file to file, in the same run. The other tools use audio only and run as "
        "their packages run them.", "",
        header(["tool", "seconds per second", "times real time", "time relative to `avse enhance`"]), rule(4),
        *(row(name, [f"{taken:.4f}", f"{1 / taken:.1f}", f"{taken / ours:.3f}"]) for name, taken in ways.items()),
        "",
    ]  # fmt: skip


def header(cells: list[str]) -> str:
    return row(cells[0], cells[1:])


def rule(count: int) -> str:
    return "|" + "---|" * count


def row(name: str, cells: list[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"


def plot(found: Found, target: Path) -> None:
    """Stages by size as stacked bars with the whole as a mark, and time by faces."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "avse"
    import matplotlib.pyplot as plt

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
    left.set(ylabel="s for a second of recording", title="stages of avse enhance")
    left.legend(fontsize=8, loc="upper left")
    for way, label in {"all": "--speaker all", "one": "one followed", "sound": "--no-video"}.items():
        right.plot(sorted(faces), [faces[count][way] for count in sorted(faces)], "o-", label=label)
    right.set(xlabel="faces", xticks=sorted(faces), title="number of faces, 640x360")
    right.set_ylim(bottom=0)
    right.legend(fontsize=8)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def group_seconds(values: Found, names: Sequence[str]) -> float:
    """Time of several stages, for a second of recording."""
    return float(sum(stage["seconds_per_second"] for stage in values["stages"] if stage["name"] in names))
