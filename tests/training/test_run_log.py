"""The log of a run: header, speed and losses; as text, as CSV and to callbacks."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from small_world import state_of, tiny, write_clip

from avse.data.online_mixing import MixConfig
from avse.errors import MissingError, UsageError
from avse.training import meter
from avse.training import trainer as training_trainer
from avse.training.config import TrainConfig
from avse.training.data import TrainingData
from avse.training.header import describe_clips
from avse.training.loop import train
from avse.training.meter import Meter
from avse.training.run_log import make_loggers

pytestmark = pytest.mark.usefixtures("small_validation")


def settings(**changes: object) -> TrainConfig:
    basis = {"num_steps": 5, "batch_size": 2, "num_validation_batches": 1, "log_every": 2, "num_workers": 0}
    return TrainConfig(**{**basis, "model": tiny("none"), "mix": MixConfig(num_frames=2), **changes})  # type: ignore[arg-type]


def test_a_run_shows_itself(prepared: TrainingData, tmp_path: Path) -> None:
    lines: list[str] = []
    train(settings(), prepared, tmp_path, on_line=lines.append)
    text = "\n".join(lines)
    for fact in ("stage speech, fusion none, 0.0", "million parameters", "device cpu", "precision 32-true",
                 "faces: 4 clips of 2 speakers, about 0.00089 h; voices: none; noises: none",
                 "steps 0 to 5, batch 2, examples of 0.08 s, learning rate 0.001, 0 loader processes"):  # fmt: skip
        assert fact in text
    steps = [line for line in lines if re.match(r"step \d+/5  spec/magnitude [\d.e-]+  ", line)]
    assert [line.split("  ")[0] for line in steps] == ["step 2/5", "step 4/5", "step 5/5"]
    assert all(re.search(r"  lr [\d.e-]+  [\d.]+ steps/s, data wait \d+%, \d:\d\d:\d\d left$", line) for line in steps)
    assert re.match(r"step 5/5  validation  improvement_db/seen -?[\d.]+  .*\(best so far\)$", lines[-1])
    logged = (tmp_path / "train.log").read_text().splitlines()
    assert [line[21:] for line in logged] == lines
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in logged)


def test_values_are_written_as_csv_for_each_start(prepared: TrainingData, tmp_path: Path) -> None:
    train(settings(num_steps=2, loggers=("csv",)), prepared, tmp_path)
    train(settings(num_steps=4, loggers=("csv",)), prepared, tmp_path)
    for version, last in ((0, "2"), (1, "4")):
        with (tmp_path / f"csv/version_{version}/metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["step"] for row in rows} == {last}
        assert {"train/spec/magnitude", "validation/improvement_db/seen", "speed/data_wait"} <= set(rows[0])
    assert not list(tmp_path.glob("events*"))


def test_what_is_logged_is_the_mean_since_the_last_line(prepared: TrainingData, tmp_path: Path) -> None:
    losses = []
    train(
        settings(num_steps=4, log_every=4, validate_every=99, loggers=("csv",)), prepared, tmp_path,
        on_step=lambda step, values: losses.append(values.get("train/spec/magnitude")),
    )  # fmt: skip
    with (tmp_path / "csv/version_0/metrics.csv").open() as file:
        row = next(csv.DictReader(file))
    assert float(row["train/spec/magnitude"]) == pytest.approx(sum(losses[:4]) / 4)


def test_weights_and_biases_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(**settings: object) -> None:
        raise ModuleNotFoundError("wandb")

    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger", missing)
    assert len(make_loggers(("tensorboard", "csv"), tmp_path)) == 1
    with pytest.raises(MissingError, match="not installed"):
        make_loggers(("wandb",), tmp_path)
    with pytest.raises(UsageError, match="fax"):
        settings(loggers=("fax",))


class Account:
    """A run of Weights & Biases that keeps what it is given."""

    def __init__(self) -> None:
        self.opened: list[dict[str, object]] = []
        self.logged: list[dict[str, float]] = []

    def init(self, **options: object) -> Account:
        self.opened.append(options)
        sys.modules["wandb"].run = self  # type: ignore[attr-defined]
        return self

    def finish(self) -> None:
        sys.modules["wandb"].run = None  # type: ignore[attr-defined]

    def log(self, values: dict[str, float]) -> None:
        self.logged.append(values)


def test_values_go_to_weights_and_biases(
    prepared: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through Lightning's own logger, to a module that stands in for the package ``wandb``."""
    account = Account()
    for name, names in {
        "wandb": {"run": None, "init": account.init},
        "wandb.sdk": {},
        "wandb.sdk.lib": {"RunDisabled": type("RunDisabled", (), {})},
        "wandb.wandb_run": {"Run": type("Run", (), {})},
    }.items():
        module = ModuleType(name)
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", True)
    train(settings(num_steps=2, loggers=("wandb",)), prepared, tmp_path / "mine")
    (options,) = account.opened
    assert (options["name"], options["dir"], options["project"]) == ("mine", str(tmp_path / "mine"), "avse")
    learnt, validated = account.logged
    train(settings(num_steps=1, loggers=("wandb",)), prepared, tmp_path / "next")
    assert [options["name"] for options in account.opened] == ["mine", "next"]
    assert {"train/spec/magnitude", "learning_rate", "speed/data_wait"} <= set(learnt)
    assert "validation/improvement_db/seen" in validated
    assert learnt["trainer/global_step"] == validated["trainer/global_step"] == 2


def test_the_state_is_saved_every_few_minutes(
    prepared: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed loses no more than that, however far apart validations are."""
    clock = [0.0]
    monkeypatch.setattr(training_trainer.time, "monotonic", lambda: clock[0])
    saved = []

    def minute(step: int, values: dict[str, float]) -> None:
        clock[0] += 60.0
        if (tmp_path / "last.pt").exists():
            saved.append(state_of(tmp_path)["step"])
        if step == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings(num_steps=20, validate_every=100, save_minutes=3.0), prepared, tmp_path, on_step=minute)
    assert saved == [3, 3, 3, 6, 6, 6]
    steps = []
    monkeypatch.undo()
    monkeypatch.setattr(training_trainer, "VALIDATION_BATCH_SIZE", 2)
    train(settings(num_steps=7), prepared, tmp_path, on_step=lambda step, values: steps.append(step))
    assert steps == [7, 7]


def test_speed_and_data_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(meter.time, "monotonic", lambda: clock[0])

    def slow_batches() -> object:
        for batch in range(4):
            clock[0] += 0.75
            yield batch

    found = Meter(step=10, num_steps=20)
    for _ in found.timed(slow_batches()):
        clock[0] += 0.25
        found.add({"train/loss": clock[0]})
    values = found.take(14)
    assert values["train/loss"] == pytest.approx(2.5)
    assert values["speed/steps_per_second"] == pytest.approx(1.0)
    assert values["speed/data_wait"] == pytest.approx(0.75)
    assert values["speed/seconds_left"] == pytest.approx(6.0)


class Many(list[Path]):
    """Clips of which some are asked for, one by one, but never all."""

    def __iter__(self) -> Iterator[Path]:
        raise AssertionError


def test_hours_are_estimated_from_a_few_clips(tmp_path: Path) -> None:
    second, third = (write_clip(tmp_path, "a", name, num_frames=frames) for name, frames in (("x", 25), ("y", 75)))
    clips = {"a": Many([second] * 5000), "b": Many([]), "c": Many([third] * 5000)}
    assert describe_clips(clips) == "10,000 clips of 3 speakers, about 5.6 h"
    assert describe_clips({"a": []}) == describe_clips({}) == "none"


def test_a_finished_run_prints_nothing(prepared: TrainingData, tmp_path: Path) -> None:
    train(settings(num_steps=1), prepared, tmp_path)
    lines: list[str] = []
    train(settings(num_steps=1), prepared, tmp_path, on_line=lines.append)
    assert lines == []
