"""Configuration files: by name or path, over those that they extend, with former names and single changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avse.errors import UsageError
from avse.training.config import as_mapping, config_from_values, read_config, to_yaml
from avse.training.config_files import RENAMED, find_config, merge, parse_assignments, read_values, shipped_configs


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def another(value: Any) -> Any:
    """A value of the same type that is allowed for every setting."""
    if isinstance(value, tuple):
        return tuple(item + 1 for item in value)
    return not value if isinstance(value, bool) else value + (1 if isinstance(value, int) else 0.5)


@pytest.mark.parametrize("section", RENAMED)
def test_a_former_name_means_what_the_current_one_means(section: str) -> None:
    defaults = as_mapping(config_from_values({}))[section]
    for old, new in RENAMED[section].items():
        value = another(defaults[new])
        assert old not in defaults
        config = config_from_values({section: {old: value}})
        assert as_mapping(config)[section] == defaults | {new: value}
        assert (
            config_from_values({}, [f"{section}.{old}={list(value) if isinstance(value, tuple) else value}"]) == config
        )
        with pytest.raises(UsageError, match=old):
            config_from_values({section: {old: value, new: value}})


def test_a_former_name_changes_what_an_extended_file_sets(tmp_path: Path) -> None:
    write(tmp_path / "first.yaml", "mix: {eq_db: 3.0, gap_probability: 0.5}")
    second = write(tmp_path / "second.yaml", "{extends: first.yaml, mix: {colour_db: 4.0}}")
    assert read_values(second) == {"mix": {"eq_db": 4.0, "gap_probability": 0.5}}


def test_files_extend_each_other_group_by_group(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(
        tmp_path / "first.yaml", "{seed: 1, num_steps: 5, mix: {num_frames: 3, speed: [0.9, 1.1]}, model: {hop: 160}}"
    )
    write(tmp_path / "below/second.yaml", "{extends: ../first.yaml, seed: 2, mix: {speed: [1.0, 1.2]}, model: }")
    third = write(tmp_path / "third.yaml", "{extends: below/second.yaml, num_steps: 7}")
    mix = {"num_frames": 3, "speed": [1.0, 1.2]}
    assert read_values(third) == {"seed": 2, "num_steps": 7, "mix": mix, "model": {"hop": 160}}


def test_shipped_files_leave_the_loader_processes_to_the_machine() -> None:
    """Except for the one that is meant for a single core."""
    numbers = {name: read_config(name).num_workers for name in shipped_configs()}
    assert {name: number for name, number in numbers.items() if number >= 0} == {"table3-small": 0}


def test_a_file_may_extend_a_shipped_one_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", "{extends: long, seed: 99}")
    assert read_values(path) == {**read_values("long"), "seed": 99}


@pytest.mark.parametrize("text", ["extends: mine.yaml", "extends: other.yaml"])
def test_a_file_that_extends_itself(tmp_path: Path, text: str) -> None:
    write(tmp_path / "other.yaml", "extends: mine.yaml")
    with pytest.raises(UsageError, match="extends itself"):
        read_values(write(tmp_path / "mine.yaml", text))


def test_a_file_extends_one_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="extends"):
        read_values(write(tmp_path / "mine.yaml", "extends: [long, smil]"))


def test_a_missing_file_is_reported_with_those_that_there_are(tmp_path: Path) -> None:
    for given in ("nonesuch", tmp_path / "long.yaml", write(tmp_path / "mine.yaml", "extends: nonesuch")):
        with pytest.raises(UsageError, match=r"nonesuch|long\.yaml") as caught:
            read_values(given)
        assert "swap-target" in caught.value.hint


@pytest.mark.parametrize("given", ["long", "long.yaml", "configs/long.yaml", Path("configs/long.yaml")])
def test_shipped_files_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Path | str) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(given) == shipped_configs()["long"]
    assert find_config("turnabout") == find_config("configs/turnabout.yaml") == shipped_configs()["swap-target"]


def test_a_file_at_hand_comes_before_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "long.yaml", "seed: 5")
    assert read_values("long.yaml") == {"seed": 5}
    assert read_values("long") != {"seed": 5}


def test_single_changes_come_after_the_file_and_before_options(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", "{learning_rate: 1e-3, num_steps: 5, mix: {num_frames: 3}}")
    changes = [
        "learning_rate=3e-4",
        "num_steps=6",
        "mix.speed=[0.9, 1.1]",
        "weights.wave/pesq=.5",
        "mix.swap_target=true",
    ]
    config = read_config(path, changes, num_steps=7)
    assert (config.learning_rate, config.num_steps, config.mix.num_frames) == (3e-4, 7, 3)
    assert (config.mix.speed, config.weights["wave/pesq"], config.mix.swap_target) == ((0.9, 1.1), 0.5, True)


@pytest.mark.parametrize(
    "text", ["seed", "=3", "seed=", "mix.speed=[1", "nothing=3", "mix.nothing=3", "seed=x", "mix=3"]
)
def test_a_change_that_makes_no_sense(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(None, [text])
    assert caught.value.hint


def test_changes_of_one_group_add_up() -> None:
    assert parse_assignments(["mix.a=1", "mix.b=2", "seed=3"]) == {"mix": {"a": 1, "b": 2}, "seed": 3}
    assert merge({"mix": {"a": 1}}, {"mix": None, "seed": 3}) == {"mix": {"a": 1}, "seed": 3}


@pytest.mark.parametrize("name", shipped_configs())
def test_printed_settings_are_read_back(tmp_path: Path, name: str) -> None:
    config = read_config(name)
    assert read_config(write(tmp_path / "printed.yaml", to_yaml(config))) == config


def test_aliases_of_aliases_do_not_become_billions_of_values(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 13)]
    path = tmp_path / "settings.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UsageError, match="more than 10000 values"):
        read_values(path)
    with pytest.raises(UsageError, match="not a valid value"):
        parse_assignments([f"mix={{{', '.join(lines)}}}"])
