"""The layouts of mixture folders that are in use, one function each.

Each lists the items of a folder, or none if the folder is laid out otherwise. ``videos`` is a folder of VoxCeleb2's own
videos, for the layouts that have audio only but name their clips.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from avse.data.mixtures.muse_format import row_name
from avse.errors import UsageError
from avse.evaluation.corpora.corpus import Item, Layout, Recipe
from avse.io import csv_files
from avse.io.formats import VIDEO_FILES, is_video
from avse.io.listing import list_recordings
from avse.io.text_files import decode_text

MUSE_HINT = "A row has the form: test,test,SPEAKER,CLIP,0,test,SPEAKER,CLIP,LEVEL_DB,SECONDS"
_CLIP = re.compile(r"(id\d{5})[_#-](.{11})[_#-](\d{5})")


def avse(folder: Path, videos: Path | None = None) -> list[Item]:
    """List what `avse mix` writes: mix/, s1/, ..., video/ and mixtures.csv, which names the items."""
    listed = folder / "mixtures.csv"
    if not (listed.is_file() and (folder / "mix").is_dir()):
        return []
    names = dict.fromkeys(_listed_items(listed))
    video_files = _by_stem(folder / "video")
    return [
        Item(name, "", folder / "mix" / f"{name}.wav", folder / "s1" / f"{name}.wav", video_files.get(name), True)
        for name in names
    ]


def muse(folder: Path, videos: Path | None = None) -> list[Item]:
    """List MuSE, USEV, ClearVoice: mixture_data_list_{C}mix.csv; a mixture that is in no file is mixed when needed."""
    lists = _visible(folder.glob("mixture_data_list_*mix.csv"))
    items = []
    for listed in lists:
        rows = csv_files.read_csv(listed, MUSE_HINT)
        num_talkers = (len(rows[0][1]) - 2) // 4 if rows else 0
        made = {path.name: path for path in folder.glob(f"audio_mixture/{num_talkers}_mix*/*/*.wav")}
        for line, row in rows:
            if problem := _muse_problem(row):
                csv_files.refuse_row(listed, line, problem, MUSE_HINT)
            subset = row[0] if len(lists) == 1 else f"{listed.stem.rpartition('_')[2]}/{row[0]}"
            items.append(_muse_item(folder, row, subset, made, videos))
    return items


def _listed_items(listed: Path) -> Iterator[str]:
    """Yield the items that the rows of mixtures.csv name; UsageError for a row that names none."""
    hint = "Correct that line, or make the mixtures again: avse mix CLIPS FOLDER --force"
    rows = iter(csv_files.read_csv(listed, hint))
    _, header = next(rows, (1, []))
    if "item" not in header:
        csv_files.refuse_row(listed, 1, "the column item is missing", hint)
    for line, row in rows:
        if len(row) != len(header):
            csv_files.refuse_row(listed, line, f"{len(row)} cells where {len(header)} are expected", hint)
        name = row[header.index("item")]
        if not name or "/" in name or name in (".", ".."):
            csv_files.refuse_row(listed, line, f"{name!r} is not a valid item name", hint)
        yield name


def _muse_problem(row: list[str]) -> str:
    """Return what is wrong with a row of a list of the MuSE family; nothing if it is valid."""
    if len(row) < 6 or (len(row) - 2) % 4:
        return f"{len(row)} cells; expected a subset, four cells for each talker, and a length"
    levels, seconds = row[4:-1:4], row[-1]
    try:
        numbers = [float(cell) for cell in (*levels, seconds)]
    except ValueError:
        return f"a level or the length is not a number: {', '.join((*levels, seconds))}"
    if not all(map(math.isfinite, numbers)) or numbers[-1] <= 0 or max(map(abs, numbers[:-1])) > 200:
        return f"a level or the length is invalid: {', '.join((*levels, seconds))}"
    names = [row[start + offset] for start in range(1, len(row) - 1, 4) for offset in range(3)]
    if not all(names) or any(".." in Path(name).parts or Path(name).name in ("", ".") for name in names):
        return "the name of a talker or of a clip is missing"
    return ""


def _muse_item(folder: Path, row: list[str], subset: str, made: dict[str, Path], videos: Path | None) -> Item:
    talkers = [row[start : start + 4] for start in range(1, len(row) - 1, 4)]
    places = [Path(split, speaker, utterance) for split, speaker, utterance, _ in talkers]
    clean = [folder / "audio_clean" / place.with_name(place.name + ".wav") for place in places]
    video_files = [_video(folder / "orig" / place) for place in places]
    sources = [audio if audio.is_file() else video or audio for audio, video in zip(clean, video_files, strict=True)]
    levels = tuple(float(level) for *_, level in talkers)
    name = row_name(row)
    mixture = made.get(f"{name}.wav") or Recipe(tuple(sources), levels, float(row[-1]))
    video = video_files[0] or _voxceleb2_video(videos, talkers[0][1], talkers[0][2])
    return Item(name, subset, mixture, sources[0], video, cut=True)


def look2hear(folder: Path, videos: Path | None = None) -> list[Item]:
    """List CTCNet, RTFS-Net, IIANet, Dolphin: {tr,cv,tt}/{mix,s1,s2}/NAME.wav, or mix.json; both talkers are scored."""
    root = next((folder / inside for inside in ("wav16k/min", "min") if (folder / inside).is_dir()), folder)
    items = []
    for part in [root / name for name in ("tr", "cv", "tt")] + [root]:
        subset = "" if part == root else part.name
        mixtures = {path.stem: path for path in _visible(part.glob("mix/*.wav")) if _CLIP.search(path.stem)}
        lists = {name: _json_list(part / f"{name}.json") for name in ("mix", "s1", "s2")}
        mixtures = mixtures or lists["mix"]
        for name, mixture in mixtures.items():
            clips = _CLIP.findall(name)
            for index, talker in enumerate(("s1", "s2")):
                reference = lists[talker].get(name) or mixture.parent.parent / talker / mixture.name
                video = _voxceleb2_video(videos, *clips[index]) if index < len(clips) else None
                items.append(Item(f"{name}-{talker}", subset, mixture, reference, video))
    return items


def _json_list(listed: Path) -> dict[str, Path]:
    """Return the files of ``[[wav, ...], ...]`` by name; paths of another machine are searched beside the list.

    Raises UsageError for a file of another kind.
    """
    if not listed.is_file():
        return {}
    hint = 'Expected a list such as [["mix/a.wav", 32000], ...].'
    try:
        rows = json.loads(decode_text(listed.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        csv_files.refuse_row(listed, 0, str(error) or type(error).__name__, hint)
    if not isinstance(rows, list):
        csv_files.refuse_row(listed, 0, "it is not a list", hint)
    found = {}
    for number, row in enumerate(rows, 1):
        if not (isinstance(row, list) and row and isinstance(row[0], str) and Path(row[0]).name and "\0" not in row[0]):
            csv_files.refuse_row(listed, 0, f"entry {number} names no file", hint)
        path = Path(row[0])
        found[path.stem] = path if path.is_file() else listed.parent / listed.stem / path.name
    return found


def av_sepformer(folder: Path, videos: Path | None = None) -> list[Item]:
    """List AV-SepFormer: a folder UID#UID per mixture, with mixture.wav, s0.wav, s1.wav; both talkers are scored."""
    items = []
    for mixture in _visible(folder.glob("*#*/mixture.wav")):
        talkers = mixture.parent.name.split("#")
        for index, talker in enumerate(talkers[:2]):
            clip = _CLIP.search(talker)
            video = _voxceleb2_video(videos, *clip.groups()) if clip else None
            reference = mixture.with_name(f"s{index}.wav")
            items.append(Item(f"{mixture.parent.name}-s{index}", "", mixture, reference, video))
    return items


def visualvoice(folder: Path, videos: Path | None = None) -> list[Item]:
    """List VisualVoice: folders with audio_mixed.wav, audio1.wav, audio2.wav; or trees mp4/, audio/ to mix in pairs."""
    items = []
    for mixture in _visible([*folder.glob("*/audio_mixed.wav"), *folder.glob("*/*/audio_mixed.wav")]):
        name, clips = mixture.parent.relative_to(folder).as_posix(), _CLIP.findall(mixture.parent.name)
        for index in (0, 1):
            video = _voxceleb2_video(videos, *clips[index]) if index < len(clips) else None
            items.append(Item(f"{name}-{index + 1}", "", mixture, mixture.with_name(f"audio{index + 1}.wav"), video))
    root = folder / "VoxCeleb2" if (folder / "VoxCeleb2").is_dir() else folder
    if not items and (root / "audio").is_dir() and (root / "mp4").is_dir():
        for split in _visible(path for path in (root / "audio").iterdir() if path.is_dir()):
            items += _visualvoice_pairs(root, split)
    return items


def _visualvoice_pairs(root: Path, split: Path) -> list[Item]:
    """Pair every clip with one of another speaker, always the same."""
    clips = _visible(split.glob("*/*/*.wav"))
    speakers = [clip.parts[-3] for clip in clips]  # in order, as the clips are
    first, num_own = {name: index for index, name in reversed([*enumerate(speakers)])}, Counter(speakers)
    if len(first) < 2:
        return []
    rng = np.random.default_rng(0)
    items = []
    for clip, speaker in zip(clips, speakers, strict=True):
        drawn = int(rng.integers(len(clips) - num_own[speaker]))
        other = clips[drawn if drawn < first[speaker] else drawn + num_own[speaker]]
        place, mixture = clip.relative_to(root / "audio"), Recipe((clip, other))
        video, name = _video(root / "mp4" / place.with_suffix("")), "_".join(place.with_suffix("").parts[1:])
        items.append(Item(name, split.name, mixture, clip, video, cut=True))
    return items


def avsec(folder: Path, videos: Path | None = None) -> list[Item]:
    """List AVSEC 1 to 3: SPLIT/scenes/S#####_{mixed,target}.wav, S#####_silent.mp4; the eval split has no target."""
    return _scenes(folder, ("mixed",), "target")


def avsec4(folder: Path, videos: Path | None = None) -> list[Item]:
    """List AVSEC 4: S#####_{mono_mix,mix,target_anechoic}.wav and S#####_silent.mp4."""
    return _scenes(folder, ("mono_mix", "mix"), "target_anechoic")


def _scenes(folder: Path, mixtures: tuple[str, ...], target: str) -> list[Item]:
    """List the scenes of each split; of several kinds of mixture, the first that a scene has."""
    items: list[Item] = []
    for scenes in [folder, folder / "scenes", *sorted(folder.glob("*/scenes"))]:
        subset = "" if scenes in (folder, folder / "scenes") else scenes.parent.name
        has_targets = any(scenes.glob(f"S*_{target}.wav"))
        found: dict[str, Path] = {}
        for kind in mixtures:
            for path in _visible(scenes.glob(f"S*_{kind}.wav")):
                if scene := re.fullmatch(rf"(S\d+)_{kind}", path.stem):
                    found.setdefault(scene[1], path)
        for name in sorted(found):
            reference = scenes / f"{name}_{target}.wav" if has_targets else None
            items.append(Item(name, subset, found[name], reference, _video(scenes / f"{name}_silent")))
    return items


def pairs(folder: Path, videos: Path | None = None) -> list[Item]:
    """List plain pairs: noisy/ and clean/, or mix/ and s1/ (s2/, ...), same names in all; videos count as audio.

    video/ may show the target; the audio in it is often the clean speech, and is never used.
    """
    for mixed, targets in (("noisy", ("clean",)), ("mix", ("s1", "s2", "s3")), ("mixture", ("clean", "target"))):
        present = [name for name in targets if (folder / name).is_dir()]
        mixtures = _by_stem(folder / mixed)
        if present and mixtures:
            return list(_pairs(folder, mixtures, present))
    return []


def _pairs(folder: Path, mixtures: dict[str, Path], targets: list[str]) -> Iterator[Item]:
    """Yield the first talker always; another one only if it has its own video."""
    references = {target: _by_stem(folder / target) for target in targets}
    video_files = _by_stem(folder / "video")
    for name, mixture in mixtures.items():
        for index, target in enumerate(targets):
            reference = references[target].get(name, folder / target / f"{name}{mixture.suffix}")
            own = reference if is_video(reference) else None
            if index == 0:
                shown = mixture if is_video(mixture) else video_files.get(name)
                yield Item(name, "", mixture, reference, shown or own)
            elif own:
                yield Item(f"{name}-{target}", "", mixture, reference, own)


def voxceleb2(folder: Path, videos: Path | None = None) -> list[Item]:
    """Refuse VoxCeleb2 as released, which holds clips and no mixtures, by a UsageError."""
    kinds = ("test/mp4", "*/mp4", "mp4", "test/aac", "*/aac")
    speaker = next((speaker for kind in kinds for speaker in folder.glob(f"{kind}/id*")), None)
    if speaker:
        raise UsageError(
            f"{folder} is VoxCeleb2 as released: clips, not mixtures.",
            f"Make mixtures from it first: avse mix {speaker.parent} mixtures/ --speakers 2",
        )
    return []


LAYOUTS: dict[str, Layout] = {
    "voxceleb2": voxceleb2,
    "avse": avse,
    "muse": muse,
    "look2hear": look2hear,
    "av-sepformer": av_sepformer,
    "visualvoice": visualvoice,
    "avsec": avsec,
    "avsec4": avsec4,
    "pairs": pairs,
}


def _voxceleb2_video(videos: Path | None, *place: str) -> Path | None:
    """Find the video of a clip (speaker, video, utterance) below any of the folders that VoxCeleb2 is kept in."""
    if videos is None:
        return None
    roots = ("", "mp4", "test/mp4", "dev/mp4", "mp4/test", "mp4/train", "orig/test", "orig/train")
    return next((video for root in roots if (video := _video(videos.joinpath(root, *place)))), None)


def _video(path: Path) -> Path | None:
    """Find the video of that name, whatever its suffix."""
    video_files = (path.with_name(path.name + suffix) for suffix in sorted(VIDEO_FILES))
    return next((video for video in video_files if video.is_file()), None)


def _by_stem(folder: Path) -> dict[str, Path]:
    """Return the recordings below a folder by their names in it, without suffix."""
    if not folder.is_dir():
        return {}
    return {name.rpartition(".")[0]: folder / name for name in list_recordings(folder).names}


def _visible(paths: Iterable[Path]) -> list[Path]:
    """Return paths in order without those that are hidden, such as the ``._NAME`` of macOS."""
    return sorted(path for path in paths if not path.name.startswith("."))
