"""SMIL's meta step: gradients known by hand, what D^m and D^f teach, priors, exact resuming."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from small_world import assert_same, made_inputs, state_of, tiny, write_cache, write_clip
from torch import Tensor

from avse.data.dataset import Batch
from avse.data.mix_config import MixConfig
from avse.errors import UsageError
from avse.models.net import SpeechNet
from avse.training.config import LOSS_WEIGHTS, TrainConfig
from avse.training.data import TrainingData, training_mixers, training_rows
from avse.training.loop import train
from avse.training.smil import MetaLosses, SmilConfig, centres, meta_losses
from avse.training.smil_priors import choose_clips, set_priors
from avse.training.smil_speech import running_statistics, smil_step
from avse.training.trainer import Trainer
from avse.weights.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.usefixtures("small_validation")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    faces = write_cache(tmp_path_factory.mktemp("faces"), speakers=4, num_frames=20)
    voices = tmp_path_factory.mktemp("voices")
    for index in range(3):
        write_clip(voices, f"reader{index}", "page", with_lips=False)
    return TrainingData(faces, voices, validation_speakers=("speaker0",), audio_only=voices)


def settings(imputer: str = "reference", **changes: Any) -> TrainConfig:
    basis: dict[str, Any] = {
        "stage": "smil", "num_steps": 4, "batch_size": 2, "warmup_steps": 1, "validate_every": 2,
        "num_validation_batches": 1, "mix": MixConfig(num_frames=6, missing_video_probability=0.0, gap_probability=0.5),
        "model": tiny(imputer=imputer, regulariser="multiply", num_priors=4),
    }  # fmt: skip
    return TrainConfig(**(basis | changes))


def first_row(config: TrainConfig, prepared: TrainingData, step: int = 0) -> list[Batch]:
    """What a step learns from: faces, and voices without video."""
    return training_rows(config, training_mixers(config, prepared), step)[0]


def scalar_problem(order: bool, weight: float) -> tuple[dict[str, Tensor], MetaLosses]:
    """inner = (t p - 1)^2 / 2 and outer = (t* - 3)^2 / 2 + p t*, with t = 2, p = 0.5, alpha = 0.1."""
    weights = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for name, value in (("theta", 2.0), ("imputer.p", 0.7))
    }
    found = meta_losses(
        weights,
        lambda w: (w["theta"] * w["imputer.p"] - 1) ** 2 / 2,
        lambda w: (w["theta"] - 3) ** 2 / 2 + w["imputer.p"] * w["theta"],
        SmilConfig(inner_rate=0.1, second_order=order, audio_only_weight=weight),
    )
    found.objective.backward()
    return weights, found


@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_gradients_of_a_scalar_problem_are_those_derived_by_hand(order: bool, weight: float) -> None:
    """Inner slopes: by t (t p - 1) p, by p (t p - 1) t. t* = t - a (t p - 1) p.

    dt*/dt = 1 - a p^2 and dt*/dp = -a (2 t p - 1) in second order; 1 and 0 in first.
    """
    t, p, a = 2.0, 0.7, 0.1
    star = t - a * (t * p - 1) * p
    by_star = star - 3 + p
    star_by_t, star_by_p = (1 - a * p**2, -a * (2 * t * p - 1)) if order else (1.0, 0.0)
    weights, found = scalar_problem(order, weight)
    assert float(weights["theta"].grad) == pytest.approx(by_star * star_by_t + weight * (t * p - 1) * p)
    assert float(weights["imputer.p"].grad) == pytest.approx(star + by_star * star_by_p + weight * (t * p - 1) * t)
    assert float(found.inner) == pytest.approx((t * p - 1) ** 2 / 2)
    assert float(found.outer) == pytest.approx((star - 3) ** 2 / 2 + p * star)


def test_first_order_is_another_gradient_than_second() -> None:
    first, second = (scalar_problem(order, 0.0)[0] for order in (False, True))
    for name in first:
        assert first[name].grad != second[name].grad


def step_gradients(
    prepared: TrainingData, config: TrainConfig, smil: SmilConfig, momentum: float = 0.1
) -> dict[str, Tensor]:
    torch.manual_seed(0)
    net = SpeechNet(config.model)
    set_priors(net, prepared.talkers(False).values(), 0)
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.03 * torch.randn_like(value))
    for norm in net.modules():
        if isinstance(norm, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            norm.momentum = momentum
    faces, voices = first_row(config, prepared)
    torch.manual_seed(1)
    found = smil_step(net, faces, voices, LOSS_WEIGHTS, smil)
    found.objective.backward()
    return {name: value.grad for name, value in net.named_parameters() if value.grad is not None}


def test_with_complete_video_only_the_second_order_trains_the_imputer(prepared: TrainingData) -> None:
    """Without D^m in the objective, D^f reaches the imputer through the inner step alone."""
    whole = settings(mix=MixConfig(num_frames=6, missing_video_probability=0.0))
    first, second, released = (
        step_gradients(prepared, whole, SmilConfig(0.01, order, weight))
        for order, weight in ((False, 0.0), (True, 0.0), (False, 1.0))
    )
    learned = [
        max(float(value.abs().max()) for name, value in found.items() if name.startswith("imputer."))
        for found in (first, second, released)
    ]
    assert learned[0] == 0
    assert min(learned[1:]) > 1e-6


def test_what_the_norms_gather_on_the_way_changes_no_gradient(prepared: TrainingData) -> None:
    for order in (False, True):
        moving, still = (step_gradients(prepared, settings(), SmilConfig(0.1, order), m) for m in (0.5, 0.0))
        assert moving.keys() == still.keys()
        for name, value in moving.items():
            torch.testing.assert_close(value, still[name], rtol=1e-4, atol=1e-5, msg=name)


def test_every_weight_learns_in_both_orders(prepared: TrainingData) -> None:
    for order in (False, True):
        found = step_gradients(prepared, settings(), SmilConfig(0.01, order))
        assert all(value.isfinite().all() for value in found.values())
        idle = {name for name, value in found.items() if value.abs().max() < 1e-8}
        assert idle == set()


def test_the_inner_step_moves_the_main_net_and_not_its_helpers() -> None:
    weights = {name: torch.ones(2, requires_grad=True) for name in ("audio.a", "imputer.b", "regulariser.c")}
    seen: dict[str, Tensor] = {}

    def outer(adapted: Mapping[str, Tensor]) -> Tensor:
        seen.update(adapted)
        return torch.stack([value.sum() for value in adapted.values()]).sum()

    meta_losses(weights, lambda w: sum(value.sum() for value in w.values()), outer, SmilConfig(0.25))
    assert {name: float(value.detach()[0]) for name, value in seen.items()} == {
        "audio.a": 0.75, "imputer.b": 1.0, "regulariser.c": 1.0,
    }  # fmt: skip


def test_faces_alone_set_the_batch_norms_of_the_lips(prepared: TrainingData) -> None:
    net = SpeechNet(settings().model).train()
    before = {name: value.clone() for name, value in net.named_buffers()}
    with running_statistics(net.lips, None):
        net(made_inputs(net.config))
    moved = {name.split(".")[0] for name, value in net.named_buffers() if not torch.equal(value, before[name])}
    assert moved == {"audio", "imputer"}
    assert all(module.training for module in net.modules())
    faces, voices = first_row(settings(), prepared)
    smil_step(net, faces, voices, LOSS_WEIGHTS, SmilConfig())
    counts = {name: int(value) for name, value in net.named_buffers() if name.endswith("num_batches_tracked")}
    assert {name: value for name, value in counts.items() if name.startswith("lips")}
    assert all(value == (1 if name.startswith("lips") else 3) for name, value in counts.items())


def test_examples_without_video_are_of_voices_or_of_hidden_faces(prepared: TrainingData) -> None:
    config = settings()
    for folders, names in ((prepared, {"reader1", "reader2"}), (TrainingData(prepared.faces), None)):
        mixer = folders.audio_only_mixer(config)
        assert set(mixer.seen) == (names or set(folders.talkers(False)))
        for index in range(10):
            example = mixer.example(0, index)
            assert not example.seen.any()
            assert not example.lips.any()
            assert example.target.any()
    faces, voices = first_row(config, prepared, 1)
    assert faces.seen.any()
    assert not voices.seen.any()


def test_data_without_video_of_their_own_are_for_smil(prepared: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="need SMIL"):
        train(settings(stage="speech"), prepared, tmp_path)


@pytest.mark.parametrize("imputer", ["paper", "reference"])
@pytest.mark.parametrize("order", [False, True])
def test_a_run_that_is_interrupted_ends_bit_for_bit_like_one_that_is_not(
    prepared: TrainingData, tmp_path: Path, imputer: str, order: bool
) -> None:
    config = settings(imputer, smil=SmilConfig(second_order=order), weights=LOSS_WEIGHTS | {"smil/kl": 0.1})
    reported: list[dict[str, float]] = []
    train(config, prepared, tmp_path / "whole", on_step=lambda step, values: reported.append(values))
    assert {"train/smil/audio_only", "train/smil/faces"} == set(reported[0])

    def interrupt(step: int, values: Mapping[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, prepared, tmp_path / "parts", on_step=interrupt)
    assert state_of(tmp_path / "parts")["step"] == 2
    torch.manual_seed(99)
    train(config, prepared, tmp_path / "parts")
    assert_same(state_of(tmp_path / "parts"), state_of(tmp_path / "whole"))


def test_a_run_starts_with_priors_of_the_lip_stream_it_starts_from(prepared: TrainingData, tmp_path: Path) -> None:
    given = SpeechNet(tiny())
    save_checkpoint(tmp_path / "given.safetensors", given, {})
    trainer = Trainer(settings(), prepared, tmp_path / "run", [tmp_path / "given.safetensors"])
    by_hand = SpeechNet(settings().model)
    by_hand.load_state_dict(given.state_dict(), strict=False)
    set_priors(by_hand, prepared.talkers(False).values(), 0)
    priors = trainer.net.module.imputer.priors
    assert torch.equal(priors, by_hand.imputer.priors)
    assert priors.std(0).max() > 1e-4
    trainer.learn(*first_row(settings(), prepared))
    trainer.validate()
    trainer.close()
    assert torch.equal(load_checkpoint(trainer.best_path).net.imputer.priors, priors)
    assert torch.equal(trainer.net.module.imputer.priors, by_hand.imputer.priors)


@pytest.mark.parametrize("stage", ["smil", "speech"])
@pytest.mark.parametrize("fixed_parts", [(), ("imputer",)])
def test_a_run_keeps_the_priors_of_its_start(
    prepared: TrainingData, tmp_path: Path, stage: str, fixed_parts: tuple[str, ...]
) -> None:
    """The weights that mix the priors were trained for these."""
    given = start_with_imputer(tmp_path / "given.safetensors")
    config = settings(stage=stage, seed=11, fixed_parts=fixed_parts)
    data = prepared if stage == "smil" else prepared.without_audio_only()
    trainer = Trainer(config, data, tmp_path / "run", [tmp_path / "given.safetensors"])
    trainer.close()
    assert torch.equal(trainer.net.module.imputer.priors, given.imputer.priors)
    assert torch.equal(trainer.average.module.imputer.priors, given.imputer.priors)


@pytest.mark.parametrize("changes", [{"start_parts": ("lips",)}, {"model": tiny(imputer="reference", num_priors=3)}])
def test_a_start_whose_imputer_is_not_used_gives_no_priors(
    prepared: TrainingData, tmp_path: Path, changes: dict[str, Any]
) -> None:
    given = start_with_imputer(tmp_path / "given.safetensors")
    trainer = Trainer(settings(**changes), prepared, tmp_path / "run", [tmp_path / "given.safetensors"])
    trainer.close()
    priors = trainer.net.module.imputer.priors
    assert priors.std(0).max() > 1e-4
    assert not torch.isin(priors, given.imputer.priors).any()


def test_lips_that_were_trained_alone_have_outgrown_their_priors(prepared: TrainingData, tmp_path: Path) -> None:
    given = start_with_imputer(tmp_path / "given.safetensors", {"training": {"stage": "lips"}})
    trainer = Trainer(settings(), prepared, tmp_path / "run", [tmp_path / "given.safetensors"])
    trainer.close()
    assert not torch.isin(trainer.net.module.imputer.priors, given.imputer.priors).any()


def start_with_imputer(path: Path, provenance: Mapping[str, Any] | None = None) -> SpeechNet:
    """Write a checkpoint whose priors are like no others."""
    net = SpeechNet(settings().model)
    net.imputer.priors.normal_(5.0)
    save_checkpoint(path, net, provenance or {})
    return net


def test_centres_of_features_that_lie_in_heaps() -> None:
    heaps = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, -10.0]])
    features = (heaps[:, None] + 0.01 * torch.randn(3, 50, 2)).flatten(0, 1)
    found = centres(features[torch.randperm(150)].unflatten(1, (2, 1)), 3, seed=0)
    assert found.shape == (3, 2, 1)
    assert torch.cdist(found.flatten(1), heaps).amin(0).max() < 0.02


def test_clips_for_the_priors_are_shared_out_among_speakers(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from avse.training import smil_priors

    monkeypatch.setattr(smil_priors, "MAX_CLIPS", 10)
    speakers = [[Path(f"{name}/{index}") for index in range(count)] for name, count in (("a", 50), ("b", 3))]
    chosen = choose_clips(speakers, np.random.default_rng(0))
    assert sorted({path.parent.name for path in chosen}) == ["a", "b"]
    assert len(chosen) == len(set(chosen)) == 8


def test_too_few_faces_for_the_priors(prepared: TrainingData) -> None:
    net = SpeechNet(tiny(imputer="paper", num_priors=500))
    with pytest.raises(UsageError, match="are too few for 500 priors"):
        set_priors(net, prepared.talkers(False).values(), 0)
    blind = {"reader": [path for paths in TrainingData(prepared.audio_only).talkers(False).values() for path in paths]}
    with pytest.raises(UsageError, match="0 features"):
        set_priors(net, blind.values(), 0)


def test_a_trained_imputer_beats_an_untrained_one_where_there_is_no_video(
    prepared: TrainingData, tmp_path: Path
) -> None:
    """A few meta steps on one row lower both losses."""
    config = settings(num_steps=1000, learning_rate=2e-3)
    trainer = Trainer(config, prepared, tmp_path)
    row = first_row(config, prepared)
    course = [trainer.learn(*row) for _ in range(12)]
    trainer.close()
    for name in ("train/smil/audio_only", "train/smil/faces"):
        assert course[-1][name] < course[0][name]


def test_net_with_a_divergence_weights_it_as_configured(prepared: TrainingData) -> None:
    from avse.training.steps import speech_losses, total_loss

    config = settings("paper")
    net = SpeechNet(config.model)
    batch = first_row(config, prepared)[1]
    inputs = made_inputs(net.config)
    output = net(inputs)
    assert output.divergence is not None
    losses = speech_losses(output, batch, net.config)
    totals = [total_loss(losses, LOSS_WEIGHTS | {"smil/kl": weight}) for weight in (0.0, 2.0)]
    assert torch.allclose(totals[1] - totals[0], 2 * output.divergence, atol=1e-4)
