"""The output folder of `avse.data.mixtures.generate`: checked before any work, emptied on request."""

from __future__ import annotations

import shutil
from pathlib import Path

from avse.data.mixtures.mixture_table import BAD, PART, TABLE
from avse.data.mixtures.recipes import Clips
from avse.data.mixtures.request import FOLDERS, MixtureRequest, settings_text
from avse.errors import UsageError
from avse.io import atomic
from avse.io.folders import LOCK, check_inside, check_own_file
from avse.io.urls import real_path

SETTINGS = "mixtures.json"
WRITTEN = (*FOLDERS.values(), "mix", "video", "audio_clean", "audio_mixture", "orig")


def check_folder(request: MixtureRequest, clips: Clips, noises: Clips, force: bool) -> None:
    """Raise UsageError if the folder holds something else, or if ``force`` would remove clips."""
    kept = request.output / SETTINGS
    others = {LOCK, SETTINGS}
    if not kept.exists() and request.output.is_dir() and {path.name for path in request.output.iterdir()} - others:
        raise UsageError(f"{request.output} is not empty and contains no mixtures.", "Choose another folder.")
    if kept.exists():
        check_own_file(kept)
        if force:
            _check_apart(request)
        elif kept.read_bytes() != settings_text(request, clips, noises).encode():
            hint = "Choose another folder, or use --force to start again."
            raise UsageError(f"{request.output} contains other mixtures, or {kept} is damaged.", hint)


def begin_folder(request: MixtureRequest, clips: Clips, noises: Clips, force: bool) -> None:
    """Store the settings of a folder that this process has locked. With ``force`` remove its mixtures first."""
    check_folder(request, clips, noises, force)
    for name in (*WRITTEN, SETTINGS, PART, TABLE, BAD):
        check_inside(request.output / name, request.output)
    if force:
        for path in [request.output / name for name in (*WRITTEN, PART, TABLE, BAD)] + _muse_lists(request.output):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    atomic.sweep_tree(request.output)
    with atomic.atomic_path(request.output / SETTINGS) as partial_file:
        partial_file.write_text(settings_text(request, clips, noises))


def _muse_lists(folder: Path) -> list[Path]:
    return sorted(folder.glob("mixture_data_list_*mix.csv"))


def _check_apart(request: MixtureRequest) -> None:
    """Raise UsageError if starting again would remove the clips of the mixtures."""
    for folder in (request.source, request.noise):
        if folder and real_path(folder).is_relative_to(real_path(request.output)):
            raise UsageError(
                f"{folder} is in {request.output}, which would be removed.", "Choose another output folder."
            )
