"""Write the page of scores on mixtures: the results of `avse evaluate` on a folder of mixture lists, Markdown and CSV.

It compares one model with and without video, the unprocessed mixture and, with ``--rivals``, RNNoise, noisereduce,
DeepFilterNet3 and NSNet2. If MIXTURES/mixtures.csv names the speakers (columns list, item, target_speaker,
interference), a second table splits the items by the origin of the interfering talkers: the target's own collection of
recordings, or another. Rows and estimates are kept in RESULTS: run the command again to resume.

    python benchmarks/mixtures.py MIXTURES --rivals --output docs/mixtures.md
"""

from __future__ import annotations

import argparse
import csv
import math
import re
import shlex
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from avse.evaluation.evaluate import Request, evaluate
from avse.evaluation.metrics import METRICS
from avse.evaluation.statistics import ScoreTable, score_of

DIGITS = {"pesq": 3, "stoi": 3, "estoi": 3, "si_sdr": 2}
"""Number of digits of each metric on the page; one more than usual, as the differences are small."""
LISTS = (
    "Lists: `two-talkers-0db`: a second talker at 0 dB; `three-talkers-6db`: two more talkers at -6 dB each; "
    "`three-talkers-paper`: two more talkers at -17 dB each, which gives the mixtures the STOI of the MMTM paper's; "
    "`noise-5db`: noise at -5 dB; `talker-and-noise`: a second talker at 0 dB and noise at -10 dB. Levels are relative "
    "to the target. The recordings cannot be distributed; for your own, use LIST/mix/ITEM.mkv and LIST/s1/ITEM.flac."
)
WILD_LISTS = (
    "Web videos with their original AV offsets: "
    "`wild-two-talkers-0db`: a second talker at 0 dB; `wild-three-talkers-6db`: two more talkers at -6 dB "
    "each; `wild-noise-5db`: noise at -5 dB; `wild-talker-and-noise`: a second talker at 0 dB and noise at -10 dB. "
    "The other talkers are other people of the same lists. The recordings cannot be distributed."
)
ORIGIN = (
    "The same scores by the origin of the interfering talkers. Voices from another collection (here read speech, while "
    "the targets are from broadcasts) can be recognised by their recording conditions, even without video. In real "
    "recordings all voices share microphone and room, as voices from the same recordings do here."
)
RIVALS = {
    "RNNoise": "rnnoise.py",
    "noisereduce": "spectral_gate.py",
    "DeepFilterNet3": "deepfilternet.py",
    "NSNet2": "nsnet2.py",
}


def table(summary: Mapping[str, Any]) -> str:
    """Return a table of means over all items of each list, with the SI-SDR gain and its 95 % interval."""
    headings = [METRICS[key].heading for key in DIGITS]
    lines = ["| list | items | method | " + " | ".join(headings) + " | SI-SDR gain dB (95 %) | items made worse |"]
    lines.append("|---" * (len(headings) + 5) + "|")
    for line in summary["scores"]:
        cells = [f"{line['mean'][key]['mean']:.{digits}f}" for key, digits in DIGITS.items()]
        gain = line["improvement"].get("si_sdr")
        cells.append(f"{gain['mean']:+.2f} ({gain['low']:+.2f} to {gain['high']:+.2f})" if gain else "")
        cells.append(f"{100 * line['made_worse']:.0f} %" if line["made_worse"] is not None else "")
        lines.append(f"| {line['subset']} | {line['n']} | {line['method']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def origins(index: Path) -> dict[tuple[str, str], str]:
    """Return the origin of the interfering talkers by (list, item); empty if the index has other columns."""
    found = {}
    with index.open(newline="") as file:
        reader = csv.DictReader(file)
        if not {"list", "item", "target_speaker", "interference"} <= set(reader.fieldnames or ()):
            return {}
        for row in reader:
            collections = re.findall(r"\b([a-z]+)\d+@", row["interference"])  # a noise's name begins with a capital
            if collections and not row["list"].startswith("wild-"):  # those are named otherwise
                own = re.match("[a-z]*", row["target_speaker"])
                is_same = own is not None and set(collections) == {own[0]}
                found[row["list"], row["item"]] = (
                    "only from the same recordings" if is_same else "at least one from another collection"
                )
    return found


def table_by_origin(rows: Sequence[Mapping[str, Any]], origin: Mapping[tuple[str, str], str]) -> str:
    """Return a table of means by list, origin of the interfering talkers, and method."""
    score_table = ScoreTable(rows)
    groups: dict[tuple[str, str, str], list[tuple[float, ...]]] = defaultdict(list)
    for row in rows:
        key, gain = (row["subset"], row["item"]), score_table.gain(row, "si_sdr")
        if key in origin and math.isfinite(gain):
            scores = score_of(row, "pesq"), score_of(row, "stoi"), gain
            groups[key[0], origin[key], row["method"]].append(scores)
    lines = ["| list | interfering talkers | method | items | PESQ-wb | STOI | SI-SDR gain dB |", "|---" * 7 + "|"]
    for (subset, source, method), values in sorted(groups.items()):
        pesq, stoi, gain = map(mean, zip(*values, strict=True))
        lines.append(f"| {subset} | {source} | {method} | {len(values)} | {pesq:.3f} | {stoi:.3f} | {gain:+.2f} |")
    return "\n".join(lines)


def page(summary: Mapping[str, Any], options: argparse.Namespace) -> str:
    """Return the page, with all that is needed to reproduce it."""
    command = "python benchmarks/mixtures.py MIXTURES" + (" --rivals" if options.rivals else "")
    command += "".join(f" --also {model}" for model in options.also) + f" --output {options.output}"
    weights = ", ".join(f"{name} {summary['methods'][name]['sha256'][:12]}" for name in ("avse", *options.also))
    versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
    made = f"Made by `{command}` on {summary['date']}; {weights}; {summary['num_failed']} rows failed; {versions}."
    is_wild = all(line["subset"].startswith("wild-") for line in summary["scores"])
    title, lists = ("Scores on web videos", WILD_LISTS) if is_wild else ("Scores on mixtures", LISTS)
    return f"# {title}\n\n{made}\n\n{summary['protocol']}\n\n{lists}\n\n{table(summary)}\n"


def main() -> None:
    """Read the command line, evaluate, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixtures", type=Path, help="folder of mixture lists")
    parser.add_argument("--model", default="avse", help="name or checkpoint")
    parser.add_argument("--also", action="append", default=[], metavar="MODEL", help="another model to compare")
    parser.add_argument("--output", type=Path, required=True, help="Markdown page; all scores go beside it as .csv")
    parser.add_argument("--results", type=Path, default=Path("out/mixtures"), help="rows and estimates")
    parser.add_argument("--rivals", action="store_true", help="also run other tools (extra rivals)")
    parser.add_argument("--jobs", type=int, help="number of processes (default: one per core)")
    parser.add_argument("--limit", type=int, help="number of items per list")
    options = parser.parse_args()
    methods = [f"avse={options.model}", f"avse without video={options.model}:no-video"]
    methods += [f"{model}={model}" for model in options.also]
    for name, script in RIVALS.items() if options.rivals else ():
        command = shlex.join([sys.executable, str(Path(__file__).with_name(script))])
        methods.append(f"{name}=external:{command} {{wav}} {{out}}")
    done = evaluate(Request(options.mixtures, options.results, methods, limit=options.limit), options.jobs)
    text = page(done.summary, options)
    index = options.mixtures / "mixtures.csv"
    if index.exists() and (origin := origins(index)):
        text += f"\n{ORIGIN}\n\n{table_by_origin(done.rows, origin)}\n"
    options.output.write_text(text)
    shutil.copyfile(options.results / "scores.csv", options.output.with_suffix(".csv"))
    print(text)


if __name__ == "__main__":
    main()
