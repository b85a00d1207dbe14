"""Read the settings of a run as plain values: YAML files by name or path, ``extends:``, renamed keys, ``--set``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from avse.errors import UsageError, printable
from avse.io.text_files import decode_text
from avse.io.urls import real_path

MAX_VALUES = 10_000
RENAMED: Mapping[str, Mapping[str, str]] = {
    "mix": {
        "stranger_probability": "audio_only_interferer_probability",
        "turnabout": "swap_target",
        "faint_probability": "quiet_interferers_probability",
        "faint_db": "quiet_interferers_db",
        "unseen_probability": "missing_video_probability",
        "stray_probability": "mismatched_video_probability",
        "voice_probability": "audio_only_target_probability",
        "still_probability": "silent_face_probability",
        "still_frames": "silent_face_frames",
        "turns_probability": "turn_taking_probability",
        "listening_probability": "listener_motion_probability",
        "room_probability": "reverb_probability",
        "colour_db": "eq_db",
        "narrow_probability": "band_limit_probability",
        "max_speaker_clips": "max_clips_per_speaker",
        "kin_probability": "same_collection_probability",
        "measured_probability": "measured_room_probability",
        "offset_probability": "av_offset_probability",
        "offset_frames": "av_offset_frames",
        "web_lips_probability": "degraded_video_probability",
        "frozen_probability": "frozen_video_probability",
        "unrelated_probability": "unrelated_video_probability",
        "both_db": "ambiguous_target_db",
    },
    "augment": {
        "cover_probability": "occlusion_probability",
        "far_probability": "low_resolution_probability",
        "far_pixels": "low_resolution_pixels",
        "jitter_frames": "av_jitter_frames",
    },
    "weights": {
        "spec/lost": "spec/asymmetric",
        "wave/disturbance": "wave/pesq",
        "wave/confusion": "wave/stoi",
    },
}
"""Former names of settings, by section; files that use them are still read."""
RENAMED_FILES = {"turnabout": "swap-target"}
"""Former names of shipped files."""
SUFFIXES = (".yaml", ".yml")
_FLOAT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def shipped_configs() -> dict[str, Path]:
    """Return the configuration files that come with `avse`, by name."""
    return {path.stem: path for path in sorted(_shipped_folder().glob("*.yaml"))}


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with `avse`, by name."""
    return {path.stem: path for path in sorted(_shipped_folder().glob("recipes/*.yaml"))}


def _shipped_folder() -> Path:
    try:
        return Path(str(files("avse_configs")))
    except ModuleNotFoundError:  # the source tree is on the path, but not installed
        return Path(__file__).parents[2] / "configs"


def find_config(given: Path | str, beside: Path | None = None, known: Mapping[str, Path] | None = None) -> Path:
    """Return the path of a configuration file.

    Args:
        given: a path, or the name of a shipped file: ``long``, ``long.yaml`` and ``configs/long.yaml`` all name it.
        beside: a folder to which a relative path may also refer.
        known: shipped files by name; without it, `shipped_configs`.

    Raises:
        UsageError: there is no such file.
    """
    path = Path(given)
    if beside is not None and (beside / path).is_file():
        return beside / path
    if path.is_file():
        return path
    shipped = shipped_configs() if known is None else known
    name = path.name.removesuffix(path.suffix if path.suffix in SUFFIXES else "")
    if path.parent.name in ("", "configs", "recipes") and (found := shipped.get(RENAMED_FILES.get(name, name))):
        return found
    raise UsageError(f"There is no configuration file {given}.", f"Use a path, or one of: {', '.join(shipped)}.")


def read_values(given: Path | str, beside: Path | None = None) -> dict[str, Any]:
    """Read a configuration file over those that it extends; return nested plain values under their current names.

    ``extends:`` names one file, by name or by a path relative to the file. Groups of settings are merged key by key,
    everything else is replaced.

    Raises:
        UsageError: a file is missing, cannot be read, extends itself, or uses two names for one setting.
    """
    chain: dict[Path, dict[str, Any]] = {}
    following: Path | str | None = given
    while following is not None:
        path = real_path(find_config(following, beside))
        if path in chain:
            raise UsageError(f"{path} extends itself.", "Remove one of the lines that begin with extends.")
        chain[path] = load_yaml(path)
        following, beside = chain[path].pop("extends", None), path.parent
        if not (following is None or isinstance(following, str)):
            raise UsageError(f"{path} extends {str(following)[:200]!r}.", "Use one file, such as extends: base")
    values: dict[str, Any] = {}
    for layer in reversed(chain.values()):
        values = merge(values, layer)
    return values


def merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` with ``changes`` on top; groups are merged key by key, an empty group changes nothing."""
    merged = dict(values)
    for name, value in rename_keys(changes).items():
        before = merged.get(name)
        if isinstance(before, Mapping) and (value is None or isinstance(value, Mapping)):
            value = {**before, **(value or {})}
        merged[name] = value
    return merged


def rename_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings under their current names; UsageError where one is given under both of its names."""
    renamed = dict(values)
    for section, names in RENAMED.items():
        group = renamed.get(section)
        if not isinstance(group, Mapping):
            continue
        if twice := [old for old, new in names.items() if old in group and new in group]:
            new = ", ".join(names[old] for old in twice)
            raise UsageError(
                f"{section} has {', '.join(twice)} and {new}.", f"These are the same setting: use only {new}."
            )
        renamed[section] = {names.get(name, name): value for name, value in group.items()}
    return renamed


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse ``NAME=VALUE`` or ``SECTION.NAME=VALUE``, values in YAML's notation; return nested plain values.

    Raises:
        UsageError: an assignment without a name or a value, or a value that is not YAML.
    """
    import yaml

    values: dict[str, Any] = {}
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign or not name.strip() or not text.strip():
            raise UsageError(f"--set {assignment} sets nothing.", "Use for example: --set learning_rate=3e-4")
        try:
            value = parse_yaml(text)
        except (ValueError, RecursionError, yaml.YAMLError):
            raise UsageError(
                f"--set {assignment}: {text} is not a valid value.", "Use for example: --set mix.speed=[0.9,1.1]"
            ) from None
        section, dot, key = name.strip().partition(".")
        values = merge(values, {section: {key: value}} if dot else {section: value})
    return values


def load_yaml(path: Path) -> dict[str, Any]:
    """Read one file without what it extends."""
    import yaml

    try:
        values = parse_yaml(decode_text(path.read_bytes()))
        return dict(values or {})
    except (OSError, TypeError, ValueError, RecursionError, yaml.YAMLError) as error:
        words = printable(" ".join(str(error).split())[:300])
        raise UsageError(f"{path} cannot be read: {words}", "Use a YAML file of settings: NAME: VALUE") from error


def parse_yaml(text: str) -> Any:
    """Parse YAML, with words such as 3e-4 as numbers, which YAML 1.1 reads only with a dot (3.0e-4).

    ValueError for more than `MAX_VALUES` values: a few lines of aliases of aliases can stand for billions.
    """
    import yaml

    return _with_floats(yaml.safe_load(text), iter(range(MAX_VALUES)))


def _with_floats(value: Any, budget: Iterator[int]) -> Any:
    if next(budget, None) is None:
        raise ValueError(f"it holds more than {MAX_VALUES} values")
    if isinstance(value, dict):
        return {key: _with_floats(item, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item, budget) for item in value]
    return float(value) if isinstance(value, str) and _FLOAT.fullmatch(value) else value
