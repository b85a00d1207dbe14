"""The page of `benchmarks/speed.py`, from its measurements."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from speed_plots import LISTS, NAMES

from avse.progress import Stage

Found = Mapping[str, Any]
FORMER_NAMES = {"avse without picture": "avse without video"}
"""Methods in tables of earlier versions, and their names now."""


def read_part(path: Path) -> dict[str, Any]:
    """Read what was measured; the time with audio only has the key ``audio``, also if it was written as ``sound``."""
    values: dict[str, Any] = json.loads(path.read_text())
    return values | ({"audio": values["sound"]} if "sound" in values else {})


def mean_gains(tables: Iterable[Path]) -> dict[str, dict[str, float]]:
    """Return the mean SI-SDR gain in dB by list and method, from the tables of `benchmarks/mixtures.py`."""
    found: dict[str, dict[str, list[float]]] = {}
    for table in tables:
        for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines()):
            if row["si_sdr_improvement"]:
                name = FORMER_NAMES.get(row["method"], row["method"])
                found.setdefault(row["subset"], {}).setdefault(name, []).append(float(row["si_sdr_improvement"]))
    return {subset: {name: mean(gains) for name, gains in methods.items()} for subset, methods in found.items()}


def page(found: Found) -> str:
    """Return the page: stages by size, time by faces, other tools; parts that were not measured are left out."""
    sizes = {name: values for name, values in found.items() if "stages" in values}
    faces = {values["num_faces"]: values for values in found.values() if "one" in values}
    lines = ["# Speed", "", about(found), ""]
    lines += ["![Processing time per second of recording](images/speed.svg)", ""] if sizes and faces else []
    lines += [*size_section(sizes)] if sizes else []
    lines += [*face_section(faces)] if faces else []
    lines += [*folder_section(found["folder"])] if "folder" in found else []
    lines += [*other_section(found["others"]["ways"])] if "others" in found else []
    lines += [*gain_section(found["others"])] if "others" in found else []
    lines += [*earlier_section(found["earlier"])] if "earlier" in found else []
    compared = " --earlier CHECKOUT" if "earlier" in found else ""
    command = f"python benchmarks/speed.py --output docs/speed.md{compared}"
    lines += [
        "## Reproduce", "", "The variable sets how threads wait; the command line sets it itself.", "",
        "```sh", "export OMP_WAIT_POLICY=passive", command, "```", "",
        "To measure a recording on your machine, run `avse bench RECORDING`.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def about(found: Found) -> str:
    """Return the conditions of the measurement."""
    every = list(found.values())
    dates = sorted({values["date"] for values in every})
    load = max(values["load_before"] for values in every)
    first = every[0]
    how = "was measured once" if first["repeat"] == 1 else f"is the fastest of {first['repeat']}"
    return (
        f"{first['seconds']:g} s of synthetic talking heads, H.264 at 25 frames/s, audio at 48 kHz; model `avse`; "
        f"threads: {first['num_threads']}, on {first['processor']}, no GPU; system load before at most {load:.1f}; "
        f"{' to '.join(dict.fromkeys([dates[0], dates[-1]]))}. Each figure {how}, in "
        "seconds per second of recording unless stated otherwise: below 1 is faster than real time. The sections were "
        "measured one after the other; other programs on the machine change the times, so compare within a section."
    )


def size_section(sizes: Found) -> list[str]:
    """Return the total time and that of its stages, with a column for each size."""
    every = list(sizes.values())
    rates = ", ".join(f"{values['macs_per_second'] / 1e9:.0f}" for values in every)
    names = [name.value for name in Stage if any(name == stage["name"] for stage in every[0]["stages"])]
    return [
        "## Video resolution", "",
        "One face. Memory is that of the avse process, without ffmpeg.", "",
        header(["", *sizes]), rule(1 + len(sizes)),
        row("`avse enhance`", [f"**{values['real_time_factor']:.3f}**" for values in every]),
        row("times real time", [f"{1 / values['real_time_factor']:.1f}" for values in every]),
        row("sum of all minima", [f"{values['minimum_seconds'] / values['duration_seconds']:.3f}" for values in every]),
        row("times the sum of minima", [f"**{values['times_minimum']:.2f}**" for values in every]),
        row("network alone, times real time", [f"{values['net_times_real_time']:.0f}" for values in every]),
        row("peak memory", [f"{values['whole']['peak_megabytes']:.0f} MB" for values in every]),
        row("start-up", [f"{values['start']['avse_seconds']:.1f} s" for values in every]),
        row("start-up without torch", [f"{values['start']['beyond_torch_seconds']:.1f} s" for values in every]),
        "",
        "The stages are timed inside `avse enhance`. Face detection runs in threads beside decoding and cropping; its "
        "figure is the time for which these wait, so it can be below its minimum, the time of the whole detection. The "
        "theoretical minimum is in parentheses. For networks it is their multiply-accumulates at the speed of a "
        f"float32 matrix product ({rates} GMAC/s at these sizes); for decoding it is the time of one "
        "`ffmpeg -f null`.", "",
        header(["stage", *sizes]), rule(1 + len(sizes)),
        *(row(name, [cell(values, name) for values in every]) for name in names),
        row("all stages", [f"{values['stages_seconds'] / values['duration_seconds']:.3f}" for values in every]),
        "",
        "![Time against video resolution, with the minimum of each stage](images/speed-roofline.svg)", "",
    ]  # fmt: skip


def cell(values: Found, name: str) -> str:
    """Return a stage's time and its minimum."""
    for stage in values["stages"]:
        if stage["name"] == name:
            minimum = stage["minimum_per_second"]
            return f"{stage['seconds_per_second']:.3f}" + ("" if minimum is None else f" ({minimum:.3f})")
    return "-"


def face_section(faces: Mapping[int, Any]) -> list[str]:
    """Return the time by number of faces."""
    lines = [
        "## Number of faces", "",
        "Faces of equal size in the quarters of one 640 x 360 video. \"Additional\" is what each face beyond the first "
        "adds, relative to the time with one face.", "",
        header(["faces", "one target", "additional", "`--speaker all`", "additional", "`--no-video`"]), rule(6),
    ]  # fmt: skip
    for count, values in sorted(faces.items()):
        one, each = (further(faces, count, way) for way in ("one", "all"))
        lines.append(
            row(str(count), [f"{values['one']:.3f}", one, f"{values['all']:.3f}", each, f"{values['audio']:.3f}"])
        )
    return [*lines, ""]


def further(faces: Mapping[int, Any], count: int, way: str) -> str:
    """Return the additional time of each face beyond the first, relative to the time with one face."""
    if count == 1 or 1 not in faces:
        return "-"
    first = faces[1][way]
    return f"{(faces[count][way] - first) / (count - 1) / first:.0%}"


def other_section(ways: Mapping[str, float]) -> list[str]:
    """Compare with audio-only tools."""
    ours = ways["avse enhance"]
    return [
        "## Other tools", "",
        "The same recording (640 x 360), file to file, in the same run. The other tools use audio only, with the "
        "defaults of their packages.", "",
        header(["tool", "seconds per second", "times real time", "time relative to `avse enhance`"]), rule(4),
        *(row(name, [f"{taken:.4f}", f"{1 / taken:.1f}", f"{taken / ours:.3f}"]) for name, taken in ways.items()),
        "",
    ]  # fmt: skip


def folder_section(values: Mapping[str, Any]) -> list[str]:
    """Return the time of `avse batch` and the share in which the cores are busy."""
    return [
        "## Folders", "",
        f"`avse batch` on {values['count']} recordings of {values['seconds']:g} s (640 x 360): {values['wall']:.0f} s, "
        f"start-up included; {values['cores']} cores busy for {values['busy_share']:.0%} of that.", "",
    ]  # fmt: skip


def gain_section(values: Mapping[str, Any]) -> list[str]:
    """Compare time and MACs with gain in SI-SDR."""
    gains, lists = values["gains"], [name for name in LISTS if name in values["gains"]]
    macs = ", ".join(f"`{name}` {each / 1e9:.2f}" for name, each in values["macs"].items())
    return [
        "## Time and gain", "",
        "The times are those above; the gains are mean SI-SDR improvements in dB ([television](mixtures.md), "
        f"[wild](mixtures-wild.md)). GMAC per second of recording: {macs}.", "",
        "![Gain against time of each method](images/speed-gain.svg)", "",
        header(["method", "seconds per second", *(LISTS[name] for name in lists)]), rule(2 + len(lists)),
        *(
            row(way, [f"{taken:.4f}", *(gain_cell(gains[name], NAMES[way]) for name in lists)])
            for way, taken in values["ways"].items() if way in NAMES
        ),
        "",
    ]  # fmt: skip


def gain_cell(gains: Mapping[str, float], name: str) -> str:
    return f"{gains[name]:+.1f}" if name in gains else "-"


def earlier_section(values: Mapping[str, Any]) -> list[str]:
    """Compare with an earlier version, size by size."""
    sizes = values["sizes"]
    taken = {"": list(sizes.values()), ", CPU time": [each["cpu"] for each in sizes.values() if "cpu" in each]}
    return [
        "## Compared with an earlier version", "",
        f"This version and commit {values['commit']} ran in turn, in the same minutes; the fastest of "
        f"{values['repeat']} runs counts. CPU time is that of all cores, with ffmpeg.", "",
        header(["", *sizes]), rule(1 + len(sizes)),
        *(line for what, each in taken.items() if each for line in earlier_rows(what, each)), "",
    ]  # fmt: skip


def earlier_rows(what: str, every: list[Mapping[str, float]]) -> list[str]:
    return [
        row(f"earlier{what}", [f"{each['earlier']:.3f}" for each in every]),
        row(f"now{what}", [f"{each['now']:.3f}" for each in every]),
        row(f"ratio{what}", [f"**{each['now'] / each['earlier']:.2f}**" for each in every]),
    ]


def header(cells: list[str]) -> str:
    return row(cells[0], cells[1:])


def rule(count: int) -> str:
    return "|" + "---|" * count


def row(name: str, cells: list[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"
