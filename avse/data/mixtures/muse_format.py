"""Mixture folders of the MuSE / USEV / ClearVoice family, written so that their own loaders read them.

``mixture_data_list_{C}mix.csv`` without header, a row ``split,(folder,speaker,video/utterance,dB) x C,seconds``;
``audio_clean/FOLDER/SPEAKER/UTTERANCE.wav``, ``orig/FOLDER/SPEAKER/UTTERANCE.mp4`` and
``audio_mixture/{C}_mix_min/SPLIT/ROW.wav``, the row with ``,`` and ``/`` as ``_``.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from avse.data.mixtures.recipes import Mixture
from avse.io import atomic, audio_files, formats

SPLIT = "test"


def fields(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the row of a mixture from its rows in mixtures.csv, the target's first."""
    row = [SPLIT]
    for part in rows:
        level = part["level_db"] if float(part["level_db"]) else "0"
        row += [SPLIT, part["speaker"], _utterance(part["file"], part["speaker"]), level]
    return [*row, repr(float(rows[0]["seconds"]))]


def mixture_path(row: Sequence[str]) -> Path:
    """Return the path of the mixture of a row in the folder."""
    num_speakers = (len(row) - 2) // 4
    return Path(f"audio_mixture/{num_speakers}_mix_min", row[0], row_name(row) + ".wav")


def row_name(row: Sequence[str]) -> str:
    """Return a row as a file name, in the convention of that family."""
    return ",".join(row).replace(",", "_").replace("/", "_")


def write_item(folder: Path, row: Sequence[str], mixture: Mixture) -> None:
    """Write the clean audio and video of a mixture, as whole files like the original, then the mixture itself."""
    for part in mixture.parts:
        place = Path(SPLIT, part.speaker, _utterance(part.file.as_posix(), part.speaker))
        clean = _with(folder / "audio_clean" / place, ".wav")
        if not clean.exists():
            audio_files.write_audio_file(clean, audio_files.read_audio_file(part.file))
        video = _with(folder / "orig" / place, part.file.suffix)
        if formats.is_video(part.file) and not video.exists():
            video.parent.mkdir(parents=True, exist_ok=True)
            with atomic.atomic_path(video) as partial:
                shutil.copyfile(part.file, partial)
    audio_files.write_audio_file(folder / mixture_path(row), mixture.roles["mixture"])


def write_list(folder: Path, num_speakers: int, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the family's list of mixtures."""
    by_item: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        by_item.setdefault(row["item"], []).append(row)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(fields(parts) for parts in by_item.values())
    path = folder / f"mixture_data_list_{num_speakers}mix.csv"
    with atomic.atomic_path(path) as partial, atomic.open_for_filenames(partial) as file:
        file.write(text.getvalue())


def _utterance(file: str, speaker: str) -> str:
    """Return the path below the speaker's folder, without suffix: VoxCeleb2's ``video/utterance``."""
    return f"/{file}".rpartition(f"/{speaker}/")[2].rpartition(".")[0]


def _with(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
