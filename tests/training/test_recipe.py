"""Recipes: stages in order, each from the one before, resumed and stopped as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from small_world import TINY, assert_same, state_of

from avse.config import ModelConfig, from_mapping
from avse.data.prepared_clips import find_clips
from avse.errors import UsageError
from avse.training.data import TrainingData
from avse.training.loop import Outcome
from avse.training.recipe import Stage, describe_recipe, read_recipe, train_recipe
from avse.weights.checkpoint import load_checkpoint
from avse.weights.metadata import read_metadata
from avse.weights.pretrained import find

pytestmark = pytest.mark.usefixtures("small_validation")

SETTINGS = {
    "num_steps": 2, "batch_size": 2, "num_validation_batches": 1, "num_workers": 0,
    "model": {**TINY, "num_priors": 4}, "mix": {"num_frames": 6},
}  # fmt: skip
SETTINGS["model"]["audio_channels"] = list(TINY["audio_channels"])  # type: ignore[index]
STAGES = {
    "lips": {"stage": "lips"},
    "net": {"seed": 3},
    "more": {"seed": 4},
    "mean": {"average": {"net": 0.25, "more": 0.75}},
}


def written(folder: Path, stages: object, **more: object) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"settings": SETTINGS, "stages": stages, **more}, sort_keys=False))
    return path


def test_the_shipped_recipe_trains_the_net_that_ships() -> None:
    stages = read_recipe("avse")
    names = ["lips", "whole-net", "long", "swap-target", "smil", "web", "web-mean", "web-noise", "web-noise-mean"]
    names += ["web-voices", "web-voices-mean", "web-voices-noise", "web-voices-noise-mean", "web-listeners"]
    names += ["web-listeners-mean", "web-lip-noise", "mean"]
    assert [stage.name for stage in stages] == names
    means = [stage.name for stage in stages if stage.config is None]
    assert means == [name for name in names if name.endswith("mean")]
    shipped = from_mapping(ModelConfig, read_metadata(find("avse")).about["model"])
    for stage in stages[2:]:
        assert stage.config is None or stage.config.model == shipped
    assert [stage.start_from for stage in stages[:3]] == [(), ("lips",), ("whole-net",)]
    assert stages[-4].start_from == ("web-voices-noise-mean",)
    assert stages[-2].start_from == ("web-listeners-mean",)


def test_settings_go_over_what_is_extended_and_a_stage_over_both(tmp_path: Path) -> None:
    stages = {"net": {"extends": "long", "seed": 3, "mix": {"num_frames": 7}}}
    (stage,) = read_recipe(written(tmp_path, stages))
    assert stage.config is not None
    assert (stage.config.learning_rate, stage.config.num_steps) == (8e-4, 2)  # from long, from settings
    assert (stage.config.seed, stage.config.mix.num_frames, stage.config.model.lip_width) == (3, 7, 5)
    (stage,) = read_recipe(written(tmp_path, stages), ["mix.num_frames=8"], num_steps=9, stage=None)
    assert stage.config is not None
    assert (stage.config.mix.num_frames, stage.config.num_steps) == (8, 9)


def test_a_printed_recipe_is_read_back(tmp_path: Path) -> None:
    stages = read_recipe("avse")
    path = tmp_path / "printed.yaml"
    path.write_text(describe_recipe(stages))
    assert read_recipe(path) == stages


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({}, "not a recipe"),
        ([{"stage": "lips"}], "not a recipe"),
        ({"a/b": {}}, "not a stage"),
        ({"a": None}, "not a stage"),
        ({"a": {"start_from": ["b"]}}, "cannot start from"),
        ({"a": {}, "b": {"average": {"c": 1.0}}}, "cannot start from"),
        ({"a": {}, "b": {"average": {"a": 0.5}}}, "cannot average"),
        ({"a": {}, "b": {"average": {"a": 1.0}}, "c": {"average": {"a": 0.5, "b": 0.6}}}, "cannot average"),
        ({"a": {}, "b": {"model": {"hop": 160}}, "c": {"average": {"a": 0.5, "b": 0.5}}}, "cannot average"),
        ({"a": {}, "b": {"average": {"a": 1.0}, "seed": 3}}, "not an average"),
        ({"a": {}, "b": {"average": "a"}}, "not an average"),
        ({"a": {"num_stepps": 3}}, "num_stepps"),
    ],
)
def test_recipes_that_make_no_sense(tmp_path: Path, stages: object, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        read_recipe(written(tmp_path, stages))
    assert caught.value.hint


def test_an_unknown_recipe_is_reported_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nonesuch") as caught:
        read_recipe("nonesuch")
    assert caught.value.hint == "Use a path, or one of: avse."
    with pytest.raises(UsageError, match="not a recipe"):
        read_recipe(written(tmp_path, {"a": {}}, more={}))


def test_stages_follow_each_other_and_all_are_kept(prepared: TrainingData, tmp_path: Path) -> None:
    lines: list[str] = []
    stages = read_recipe(written(tmp_path, STAGES))
    best = train_recipe(stages, prepared, tmp_path / "run", on_line=lines.append)
    kept = {name: load_checkpoint(tmp_path / "run" / name / "best.safetensors") for name in STAGES}
    assert best == tmp_path / "run/best.safetensors"
    assert load_checkpoint(best).sha256 == kept["mean"].sha256
    starts = [kept[name].about["start"] for name in ("lips", "net", "more")]
    assert starts == [None, kept["lips"].sha256, kept["net"].sha256]
    assert kept["mean"].about["mean"] == {kept["net"].sha256: 0.25, kept["more"].sha256: 0.75}
    assert kept["mean"].provenance.validation_speakers == ("speaker0", "speaker2")
    found = [kept[name].net.state_dict()["audio.mask.weight"] for name in ("net", "more", "mean")]
    torch.testing.assert_close(found[2], 0.25 * found[0] + 0.75 * found[1])
    assert [line for line in lines if line.startswith("stage ") and " of " in line] == [
        f"stage {number} of 4: {name}" for number, name in enumerate(STAGES, 1)
    ]


def test_a_recipe_that_is_interrupted_goes_on_where_it_stopped(prepared: TrainingData, tmp_path: Path) -> None:
    stages = read_recipe(written(tmp_path, STAGES))
    whole = train_recipe(stages, prepared, tmp_path / "whole")
    seen: list[tuple[str, int]] = []

    def note(stage: Stage, step: int, values: dict[str, float]) -> None:
        seen.append((stage.name, step))

    def interrupt(stage: Stage, step: int, values: dict[str, float]) -> None:
        if (stage.name, step) == ("net", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_recipe(stages, prepared, tmp_path / "parts", on_step=interrupt)
    parts = train_recipe(stages, prepared, tmp_path / "parts", on_step=note)
    assert {name for name, _ in seen} == {"net", "more"}
    assert whole is not None
    assert parts is not None
    assert_same(load_checkpoint(parts).net.state_dict(), load_checkpoint(whole).net.state_dict())


def test_finished_stages_are_passed_over_and_folders_listed_once(
    prepared: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Path] = []

    def list_clips(folder: Path) -> dict[str, Sequence[Path]]:
        listed.append(folder)
        return find_clips(folder)

    monkeypatch.setattr("avse.training.data.find_clips", list_clips)
    stages = read_recipe(written(tmp_path, {"net": {}, "more": {}, "mean": {"average": {"more": 1.0}}}), num_steps=1)
    best = train_recipe(stages, replace(prepared, listed={}), tmp_path / "run")
    assert listed == [prepared.faces]
    written_before = sorted((tmp_path / "run").rglob("*"))
    assert train_recipe(stages, replace(prepared, listed={}), tmp_path / "run") == best
    assert listed == [prepared.faces]
    assert sorted((tmp_path / "run").rglob("*")) == written_before


def test_the_first_stage_connects_several_processes_even_if_it_is_finished(
    prepared: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise nothing would wait for an average that the first process writes."""
    path, begun = written(tmp_path, {"net": {}, "more": {}}), []
    best = train_recipe(read_recipe(path, num_steps=1), prepared, tmp_path / "run")

    def connect(deadline: float, config: object, folders: object, run: Path, *more: object) -> Outcome:
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        begun.append(run.name)
        return Outcome(run, True)

    monkeypatch.setattr("avse.training.recipe.run_until", connect)
    assert train_recipe(read_recipe(path, num_steps=1, num_devices=2), prepared, tmp_path / "run") == best
    assert begun == ["net"]


def test_time_counts_for_all_stages_together(prepared: TrainingData, tmp_path: Path) -> None:
    stages = read_recipe(written(tmp_path, STAGES))
    assert train_recipe(stages, prepared, tmp_path / "run", max_hours=0.0) is None
    assert state_of(tmp_path / "run/lips")["step"] == 1
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.is_dir()) == ["lips"]
    assert train_recipe(stages, prepared, tmp_path / "run", max_hours=1.0) == tmp_path / "run/best.safetensors"


def test_examples_without_video_are_checked_before_the_first_stage(prepared: TrainingData, tmp_path: Path) -> None:
    smil = read_recipe(written(tmp_path, {"net": {}, "smil": {"stage": "smil"}}), num_steps=1)
    plain = read_recipe(written(tmp_path, {"net": {}}), num_steps=1)
    for stages, folder, words in ((smil, tmp_path / "nowhere", "nowhere"), (plain, prepared.faces, "No stage")):
        with pytest.raises(UsageError, match=words):
            train_recipe(stages, replace(prepared, audio_only=folder), tmp_path / "run")
        assert not (tmp_path / "run" / "net").exists()


def test_batches_are_shared_among_the_processes_of_torchrun_before_the_first_stage(
    prepared: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = read_recipe(written(tmp_path, {"net": {"batch_size": 4}, "more": {"batch_size": 6}}))
    for name, value in {"RANK": "0", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="batch_size 6 cannot be divided equally among 4 devices"):
        train_recipe(stages, prepared, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_examples_without_video_go_to_smil_alone(prepared: TrainingData, tmp_path: Path) -> None:
    folders = replace(prepared, audio_only=prepared.faces)
    stages = read_recipe(written(tmp_path, {"net": {}, "smil": {"stage": "smil"}}), num_steps=1)
    best = train_recipe(stages, folders, tmp_path / "run")
    assert best is not None
    assert load_checkpoint(best).about["training"]["stage"] == "smil"
