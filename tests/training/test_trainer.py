"""Training: the loss falls, resuming is exact, and the best checkpoint on validation speakers is kept."""

from __future__ import annotations

import errno
import fcntl
import io
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from small_world import assert_same, state_of, tiny, write_cache, write_clip
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from avse.config import ModelConfig
from avse.data.augmentation.mouth import LipAugment
from avse.data.dataset import Batch, Batches
from avse.data.mix_config import MixConfig
from avse.dsp.stft import stft
from avse.errors import AvseError, InputError, UsageError
from avse.io import atomic
from avse.models.inputs import Inputs
from avse.models.net import Output, SpeechNet
from avse.training import trainer as training_trainer
from avse.training.config import PRECISIONS, TrainConfig
from avse.training.data import TrainingData
from avse.training.loop import train
from avse.training.run_folder import is_finished
from avse.training.start import load_matching
from avse.training.steps import STEPS, scores, speech_step
from avse.training.tensorboard import NUM_EXAMPLES, examples
from avse.training.trainer import Trainer
from avse.weights.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.usefixtures("small_validation")


def settings(**changes: Any) -> TrainConfig:
    basis: dict[str, Any] = {
        "num_steps": 6, "batch_size": 2, "warmup_steps": 2, "validate_every": 3, "num_validation_batches": 1,
        "learning_rate": 2e-3, "model": tiny(), "mix": MixConfig(num_frames=6), "num_workers": 0,
    }  # fmt: skip
    return TrainConfig(**(basis | changes))


def weights(net: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("stage", ["speech", "lips"])
def test_one_batch_is_learned_by_heart(prepared: TrainingData, tmp_path: Path, stage: str) -> None:
    still = LipAugment(*[0] * 8)
    config = settings(
        stage=stage, num_steps=1000, augment=still, mix=MixConfig(num_frames=16, missing_video_probability=0.0)
    )
    trainer = Trainer(config, prepared, tmp_path)
    batch = Batches(prepared.mixer(config, False), seed=1, batch_size=3, first=0, last=1)[0]
    course = [trainer.learn(batch) for _ in range(15)]
    names = set(course[0])
    assert names == (
        {"train/lips/energy"} if stage == "lips" else {f"train/{name}" for name in config.weights if name != "smil/kl"}
    )
    for name in names:
        assert course[-1][name] < course[0][name], name
    trainer.close()


def test_mixed_precision_computes_in_half_and_keeps_the_weights_whole(prepared: TrainingData, tmp_path: Path) -> None:
    trainer = Trainer(settings(precision="bf16-mixed"), prepared, tmp_path)
    kinds: set[torch.dtype] = set()
    for net in (trainer.net.module, trainer.average.module):
        net.audio.encoder[0][0].register_forward_hook(lambda module, given, answer: kinds.add(answer.dtype))
    losses = trainer.learn(Batches(prepared.mixer(settings(), False), seed=1, batch_size=2, first=0, last=1)[0])
    assert kinds == {torch.bfloat16}
    assert all(map(math.isfinite, losses.values()))
    assert {value.dtype for value in trainer.net.parameters()} == {torch.float32}
    trainer.validate()  # at full precision, as it is used
    assert kinds == {torch.bfloat16, torch.float32}
    trainer.close()


def test_losses_teach_what_they_are_named_for(prepared: TrainingData) -> None:
    """A network that returns the clean audio has no spectral loss, and the highest SI-SDR that counts."""
    batch = Batches(prepared.mixer(settings(), False), seed=1, batch_size=2, first=0, last=1)[0]

    class Knowing(SpeechNet):
        def forward(self, inputs: Inputs) -> Output:
            gain = 0.1 / batch.mixture.square().mean(-1).sqrt()
            clean = stft(batch.target * gain[:, None], 640, self.config.hop)
            return Output(clean, torch.ones_like(clean.real), None)

    losses = speech_step(Knowing(tiny()), batch)
    assert losses["spec/magnitude"] < 1e-9
    assert losses["spec/complex"] < 1e-9
    assert losses["wave/si_sdr"] == -30


def test_nobody_who_is_validated_on_is_trained_on(prepared: TrainingData) -> None:
    same = replace(prepared, voices=prepared.faces, audio_only=prepared.faces)
    for mixer in (same.mixer(settings(), False), same.audio_only_mixer(settings())):
        assert not {*mixer.seen, *mixer.voices} & {"speaker0", "speaker2"}
    hidden = same.audio_only_mixer(settings())
    assert not any(hidden.example(0, index).seen.any() for index in range(20))


def test_silence_teaches_nothing_and_harms_nothing(prepared: TrainingData) -> None:
    batch = Batches(prepared.mixer(settings(), False), seed=1, batch_size=2, first=0, last=1)[0]
    batch.mixture[0], batch.target[0] = 0, 0
    losses = speech_step(SpeechNet(tiny()), batch)
    assert all(value.isfinite() for value in losses.values())


def test_gradients_that_are_no_numbers_stop_the_run(prepared: TrainingData, tmp_path: Path) -> None:
    trainer = Trainer(settings(), prepared, tmp_path)
    next(trainer.net.module.parameters()).register_hook(lambda gradient: gradient * torch.inf)
    batch = Batches(prepared.mixer(settings(), False), seed=1, batch_size=2, first=0, last=1)[0]
    with pytest.raises(AvseError, match="gradients of step 0 are not finite") as caught:
        trainer.learn(batch)
    assert "learning_rate" in caught.value.hint
    trainer.close()


@pytest.mark.filterwarnings("ignore:You passed .*16-mixed:UserWarning")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_takes_steps(prepared: TrainingData, tmp_path: Path, precision: str) -> None:
    """Fabric takes bf16-mixed in place of 16-mixed on a CPU; the optimiser is that of a GPU all the same."""
    trainer = Trainer(settings(precision=precision), prepared, tmp_path)
    batch = Batches(prepared.mixer(settings(), False), seed=1, batch_size=2, first=0, last=1)[0]
    before = weights(trainer.net.module)
    assert all(map(math.isfinite, trainer.learn(batch).values()))
    assert any(not torch.equal(value, before[name]) for name, value in weights(trainer.net.module).items())
    assert getattr(trainer.optimiser, "_step_supports_amp_scaling", False) == (precision != "16-mixed")
    trainer.close()


def test_scores_that_are_no_numbers_stop_the_run(prepared: TrainingData, tmp_path: Path) -> None:
    trainer = Trainer(settings(), prepared, tmp_path)
    with torch.no_grad():
        next(trainer.average.module.parameters()).fill_(torch.nan)
    with pytest.raises(AvseError, match="not finite"):
        trainer.validate()
    trainer.close()
    assert not (tmp_path / "last.pt").exists()


def test_what_is_not_seen_teaches_the_lips_nothing(prepared: TrainingData) -> None:
    batch = Batches(prepared.mixer(settings(), False), seed=1, batch_size=2, first=0, last=1)[0]
    blind = Batch(batch.mixture, batch.target, torch.zeros_like(batch.crops), torch.zeros_like(batch.seen))
    net = SpeechNet(tiny()).eval()
    assert "lips/energy" not in speech_step(net, blind)
    half = batch.seen.clone()
    half[:, 3:] = False
    losses = [
        STEPS["lips"](net, Batch(batch.mixture, batch.target, batch.crops, seen))["lips/energy"]
        for seen in (half, batch.seen)
    ]
    assert losses[0] != losses[1]


def test_scores_of_a_net_that_changes_nothing_are_zero(prepared: TrainingData) -> None:
    class Passing(SpeechNet):
        def forward(self, inputs: Inputs) -> Output:
            return Output(inputs.spectrum, torch.ones_like(inputs.spectrum.real), None)

    batch = Batches(prepared.mixer(settings(), False), seed=1, batch_size=3, first=0, last=1)[0]
    found = scores(Passing(tiny()).eval(), batch)
    assert set(found) == {"improvement_db/seen", "improvement_db/unseen", "lips/correlation"}
    assert float(found["improvement_db/seen"]) == pytest.approx(0, abs=1e-3)
    assert -1 <= found["lips/correlation"] <= 1
    assert "lips/correlation" not in scores(Passing(tiny("none")).eval(), batch)


@pytest.mark.parametrize("stage", ["speech", "lips"])
def test_a_run_that_is_interrupted_ends_bit_for_bit_like_one_that_is_not(
    prepared: TrainingData, tmp_path: Path, stage: str
) -> None:
    config, seen = settings(stage=stage), []
    train(config, prepared, tmp_path / "whole")

    def interrupt(step: int, values: Mapping[str, float]) -> None:
        seen.append(step)
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, prepared, tmp_path / "parts", on_step=interrupt)
    assert state_of(tmp_path / "parts")["step"] == 3
    torch.manual_seed(99)
    train(config, prepared, tmp_path / "parts", on_step=lambda step, values: seen.append(step))
    assert seen == [1, 2, 3, 3, 4, 4, 5, 6, 6]
    assert_same(state_of(tmp_path / "parts"), state_of(tmp_path / "whole"))
    best = [load_checkpoint(tmp_path / name / "best.safetensors") for name in ("parts", "whole")]
    assert_same(weights(best[0].net), weights(best[1].net))
    assert best[0].about == best[1].about


def test_a_run_that_is_done_is_left_alone(prepared: TrainingData, tmp_path: Path) -> None:
    config, steps = settings(num_steps=2), []
    best = train(config, prepared, tmp_path)
    before = best.read_bytes()
    assert train(config, prepared, tmp_path, on_step=lambda step, values: steps.append(step)) == best
    assert steps == []
    assert best.read_bytes() == before


def test_a_run_that_is_shortened_has_a_checkpoint_all_the_same(prepared: TrainingData, tmp_path: Path) -> None:
    """It may have been saved between two validations, and is then resumed with fewer steps than it has done."""

    def interrupt(step: int, values: Mapping[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings(validate_every=500, save_minutes=0.0), prepared, tmp_path, on_step=interrupt)
    shorter, seen = settings(num_steps=1), []
    assert state_of(tmp_path)["step"] == 2
    assert not is_finished(tmp_path, shorter, prepared.validation_speakers)
    best = train(shorter, prepared, tmp_path, on_step=lambda step, values: seen.append((step, *values)))
    assert load_checkpoint(best).about["step"] == 2
    assert [(step, first[:10]) for step, first, *_ in seen] == [(2, "validation")]
    assert is_finished(tmp_path, shorter, prepared.validation_speakers)


@pytest.mark.parametrize("num_steps", [1, 2])
def test_a_best_checkpoint_that_is_gone_is_written_again(
    prepared: TrainingData, tmp_path: Path, num_steps: int
) -> None:
    train(settings(num_steps=1), prepared, tmp_path).unlink()
    forge_best(tmp_path)
    assert not is_finished(tmp_path, settings(num_steps=1), prepared.validation_speakers)
    best = train(settings(num_steps=num_steps), prepared, tmp_path)
    assert load_checkpoint(best).about["step"] == num_steps


def test_other_seeds_and_the_same_seed(prepared: TrainingData, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(settings(num_steps=2, seed=seed), prepared, tmp_path / name)
    first, second, third = (state_of(tmp_path / name)["net"] for name in "abc")
    assert_same(first, second)
    assert not torch.equal(first["audio.mask.weight"], third["audio.mask.weight"])


def test_validation_speakers_are_never_trained_on(prepared: TrainingData) -> None:
    config = settings()
    taught, asked = prepared.mixer(config, False), prepared.mixer(config, True)
    assert set(taught.seen) == {"speaker1", "speaker3"}
    assert set(asked.seen) == {"speaker0", "speaker2"}
    assert {path.parent.name for paths in taught.seen.values() for path in paths} == set(taught.seen)


def test_voices_without_video_are_kept_apart_too(prepared: TrainingData, tmp_path: Path) -> None:
    for index in range(12):
        write_clip(tmp_path, f"reader{index:02}", "page", num_frames=2, with_lips=False)
    folders = TrainingData(prepared.faces, tmp_path, tmp_path, prepared.validation_speakers)
    taught, asked = folders.mixer(settings(), False), folders.mixer(settings(), True)
    assert set(asked.voices) == {"reader00", "reader10"}
    assert set(taught.voices) == {f"reader{index:02}" for index in range(12)} - set(asked.voices)
    assert len(taught.noises) == 12


@pytest.mark.parametrize("validation_speakers", [(), ("speaker0",)])
def test_voices_that_leave_nobody_to_train_on(
    prepared: TrainingData, tmp_path: Path, validation_speakers: tuple[str, ...]
) -> None:
    """Such as a corpus that was prepared as a whole, as if it were one speaker."""
    write_clip(tmp_path, "train-clean-100", "page", num_frames=2, with_lips=False)
    folders = TrainingData(prepared.faces, tmp_path, validation_speakers=validation_speakers)
    with pytest.raises(UsageError, match="train-clean-100 is for validation") as caught:
        folders.mixer(settings(), False)
    assert "SPEAKER" in caught.value.hint


def test_an_unknown_validation_speaker(prepared: TrainingData) -> None:
    with pytest.raises(UsageError, match="nobody") as caught:
        TrainingData(prepared.faces, validation_speakers=("nobody",)).mixer(settings(), True)
    assert "speaker3" in caught.value.hint


def test_the_best_by_validation_is_what_is_kept(
    prepared: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([1.0, 5.0, 3.0])
    monkeypatch.setattr(
        training_trainer, "scores", lambda net, batch: {"improvement_db/seen": torch.tensor(next(answers))}
    )
    best = load_checkpoint(train(settings(num_steps=3, validate_every=1), prepared, tmp_path))
    assert best.about["step"] == 2
    assert best.about["validation"] == {"validation/improvement_db/seen": 5.0}
    assert best.about["training"]["model"]["fusion"] == "mmtm"
    assert state_of(tmp_path)["step"] == 3
    assert state_of(tmp_path)["best"] == 5.0


def test_a_run_that_is_under_way_is_left_alone(prepared: TrainingData, tmp_path: Path) -> None:
    with atomic.lock_folder(tmp_path), pytest.raises(UsageError, match="already in use"):
        train(settings(), prepared, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [atomic.LOCK]
    assert train(settings(num_steps=1), prepared, tmp_path).exists()


def test_a_disk_without_locks_will_do(prepared: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(file: object, how: int) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(fcntl, "flock", without)
    assert train(settings(num_steps=1), prepared, tmp_path).exists()


def test_what_is_kept_is_the_moving_average(prepared: TrainingData, tmp_path: Path) -> None:
    config = settings(num_steps=2, validate_every=2, ema_decay=0.9, learning_rate=0.05, warmup_steps=0)
    trainer = Trainer(config, prepared, tmp_path)
    batches = Batches(prepared.mixer(config, False), 0, 2, 0, 2)
    courses = []
    for index in range(2):
        trainer.learn(batches[index])
        courses.append(weights(trainer.net.module))
    trainer.validate()
    trainer.close()
    kept = load_checkpoint(trainer.best_path).net.state_dict()
    name = "audio.mask.weight"
    assert torch.allclose(kept[name], 0.9 * courses[0][name] + 0.1 * courses[1][name], atol=1e-6)
    assert not torch.allclose(kept[name], courses[1][name], atol=1e-4)


def test_the_stage_of_the_lips_changes_the_lip_stream_alone(prepared: TrainingData, tmp_path: Path) -> None:
    config = settings(stage="lips", num_steps=2)
    trainer = Trainer(config, prepared, tmp_path)
    before = weights(trainer.net.module)
    for index in range(2):
        trainer.learn(Batches(prepared.mixer(config, False), 0, 2, 0, 2)[index])
    trainer.close()
    after = weights(trainer.net.module)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {"lips"}
    assert changed == {name for name in before if name.startswith("lips.")}


def test_a_new_run_takes_over_the_weights_that_fit(prepared: TrainingData, tmp_path: Path) -> None:
    given = SpeechNet(tiny("none", audio_channels=(5, 6, 7, 9)))
    save_checkpoint(tmp_path / "given.safetensors", given, {})
    trainer = Trainer(settings(), prepared, tmp_path / "run", [tmp_path / "given.safetensors"])
    trainer.close()
    ours, theirs = trainer.net.module.state_dict(), given.state_dict()
    fitting = {name for name in theirs if name in ours and ours[name].shape == theirs[name].shape}
    assert {"audio.encoder.0.0.weight", "audio.norm.running_var"} <= fitting
    assert "audio.encoder.3.0.weight" not in fitting
    assert all(torch.equal(ours[name], theirs[name]) for name in fitting)
    assert load_matching(SpeechNet(tiny()), theirs) == fitting
    (note,) = trainer.start_notes
    assert note.startswith(f"{len(theirs) - len(fitting)} of {len(theirs)} weights of {tmp_path / 'given.safetensors'}")


def test_a_new_run_takes_over_the_parts_that_are_named_and_no_others(prepared: TrainingData, tmp_path: Path) -> None:
    torch.manual_seed(1)
    given = SpeechNet(tiny())
    save_checkpoint(tmp_path / "given.safetensors", given, {})
    config = settings(start_parts=("audio", "lips"))
    trainers = [
        Trainer(config, prepared, tmp_path / name, start)
        for name, start in {"begun": [tmp_path / "given.safetensors"], "anew": []}.items()
    ]
    for trainer in trainers:
        trainer.close()
    begun, anew = (trainer.net.module.state_dict() for trainer in trainers)
    theirs = given.state_dict()
    assert {name.split(".")[0] for name in begun} == {"audio", "lips", "fusions"}
    for name, value in begun.items():
        assert torch.equal(value, (anew if name.startswith("fusions.") else theirs)[name])
    assert any(not torch.equal(anew[name], theirs[name]) for name in theirs if name.startswith("fusions."))


@pytest.mark.parametrize("stage", ["speech", "smil"])
def test_fixed_parts_stay_as_the_start_has_them(prepared: TrainingData, tmp_path: Path, stage: str) -> None:
    model = tiny(imputer="reference") if stage == "smil" else tiny()
    config = settings(stage=stage, model=model, fixed_parts=("lips",), augment=LipAugment(feature_noise=0.5))
    save_checkpoint(tmp_path / "given.safetensors", SpeechNet(model), {})
    trainer = Trainer(config, prepared, tmp_path / "run", [tmp_path / "given.safetensors"])
    before = weights(trainer.net.module)
    batch = Batches(prepared.mixer(config, False), seed=1, batch_size=2, first=0, last=1)[0]
    for _ in range(2):
        trainer.learn(batch, batch if stage == "smil" else None)
    trainer.close()
    for name, value in weights(trainer.net.module).items():
        if name.startswith("lips."):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(weights(trainer.net.module)["audio.encoder.0.0.weight"], before["audio.encoder.0.0.weight"])


@pytest.mark.parametrize("start_parts", [(), ("audio",)])
def test_fixed_parts_need_a_start(prepared: TrainingData, tmp_path: Path, start_parts: tuple[str, ...]) -> None:
    save_checkpoint(tmp_path / "given.safetensors", SpeechNet(tiny()), {})
    start = [tmp_path / "given.safetensors"] if start_parts else []
    with pytest.raises(UsageError, match="stay random: lips") as caught:
        Trainer(settings(fixed_parts=("lips",), start_parts=start_parts), prepared, tmp_path / "run", start)
    assert "--start-from" in caught.value.hint


@pytest.mark.parametrize("given", [tiny("none"), tiny(lip_width=6), tiny(stem_frames=3)])
def test_fixed_parts_need_a_start_that_fits_them_in_full(
    prepared: TrainingData, tmp_path: Path, given: ModelConfig
) -> None:
    save_checkpoint(tmp_path / "given.safetensors", SpeechNet(given), {})
    config = settings(fixed_parts=("lips",))
    with pytest.raises(UsageError, match="stay random: lips") as caught:
        Trainer(config, prepared, tmp_path / "run", [tmp_path / "given.safetensors"])
    assert "--start-from" in caught.value.hint
    save_checkpoint(tmp_path / "lips.safetensors", SpeechNet(tiny("cwc")), {})
    both = [tmp_path / "given.safetensors", tmp_path / "lips.safetensors"]
    Trainer(config, prepared, tmp_path / "run", both).close()


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (tiny("none"), "lips"),
        (tiny(lip_width=6), "lips"),
        (tiny(lip_width=7, audio_channels=(9, 10, 11, 12)), "audio, lips"),
    ],
)
def test_parts_that_are_named_and_fit_nowhere_are_refused(
    prepared: TrainingData, tmp_path: Path, given: ModelConfig, missing: str
) -> None:
    """Biases of the same length and counters of batches are no start."""
    save_checkpoint(tmp_path / "given.safetensors", SpeechNet(given), {})
    with pytest.raises(UsageError, match=f"Nothing in the start fits: {missing}\\.") as caught:
        Trainer(settings(start_parts=("audio", "lips")), prepared, tmp_path / "run", [tmp_path / "given.safetensors"])
    assert "start_parts" in caught.value.hint
    audio_only = settings(model=tiny("none"), start_parts=("audio", "lips"))
    if missing == "lips":  # which this net does not have
        Trainer(audio_only, prepared, tmp_path / "run", [tmp_path / "given.safetensors"]).close()


def test_named_parts_that_fit_in_part_are_reported(prepared: TrainingData, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "given.safetensors", SpeechNet(tiny(stem_frames=3)), {})
    config = settings(start_parts=("lips",))
    trainer = Trainer(config, prepared, tmp_path / "run", [tmp_path / "given.safetensors"])
    trainer.close()
    (note,) = trainer.start_notes
    count = sum(name.startswith("lips.") for name in trainer.net.module.state_dict())
    assert note == f"1 of {count} weights of {tmp_path / 'given.safetensors'} (lips) do not fit this network: not used"


def test_noise_on_lip_features_acts_in_training_and_is_resumed_exactly(prepared: TrainingData, tmp_path: Path) -> None:
    config = settings(augment=LipAugment(feature_noise=0.5, feature_noise_probability=1.0))
    batch = Batches(prepared.mixer(config, False), seed=1, batch_size=2, first=0, last=1)[0]
    noisy, plain = (Trainer(replace(config, augment=augment), prepared, tmp_path / name) for name, augment in {
        "noisy": config.augment, "plain": LipAugment(),
    }.items())  # fmt: skip
    first = [trainer.learn(batch)["train/wave/si_sdr"] for trainer in (noisy, plain)]
    assert first[0] != first[1]
    noisy.save()
    noisy.learn(batch)
    again = Trainer(config, prepared, tmp_path / "noisy")
    again.learn(batch)
    for trainer in (noisy, plain, again):
        trainer.close()
    assert_same(weights(again.net.module), weights(noisy.net.module))


def test_of_several_starts_the_later_ones_go_first(prepared: TrainingData, tmp_path: Path) -> None:
    lips, audio = tmp_path / "lips.safetensors", tmp_path / "audio.safetensors"
    nets = {lips: SpeechNet(tiny()), audio: SpeechNet(tiny("none"))}
    for path, net in nets.items():
        save_checkpoint(path, net, {})
    trainer = Trainer(settings(), prepared, tmp_path / "run", [lips, audio])
    trainer.close()
    ours = trainer.net.module.state_dict()
    for name, value in nets[audio].state_dict().items():
        assert torch.equal(ours[name], value)
    others = ours.keys() - nets[audio].state_dict().keys()
    assert {name.split(".")[0] for name in others} == {"lips", "fusions"}
    for name in others:
        assert torch.equal(ours[name], nets[lips].state_dict()[name])
    assert trainer.start == " + ".join(load_checkpoint(path).sha256 for path in (lips, audio))


def test_a_checkpoint_reports_what_it_started_from(prepared: TrainingData, tmp_path: Path) -> None:
    given = tmp_path / "given.safetensors"
    save_checkpoint(given, SpeechNet(tiny()), {})
    config = settings(num_steps=2, validate_every=1, model=tiny("none"), mix=MixConfig(num_frames=2))
    first = load_checkpoint(train(replace(config, num_steps=1), prepared, tmp_path / "run", [given]))
    second = load_checkpoint(train(replace(config, learning_rate=0.1), prepared, tmp_path / "run"))
    assert first.about["start"] == second.about["start"] == load_checkpoint(given).sha256
    assert load_checkpoint(train(replace(config, num_steps=1), prepared, tmp_path / "new")).about["start"] is None


def test_a_run_that_goes_on_does_not_start_over_from_other_weights(prepared: TrainingData, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "given.safetensors", SpeechNet(tiny()), {})
    train(settings(num_steps=1), prepared, tmp_path / "run")
    trainer = Trainer(settings(num_steps=2), prepared, tmp_path / "run", [tmp_path / "given.safetensors"])
    trainer.close()
    assert trainer.step == 1
    assert_same(weights(trainer.net.module), dict(state_of(tmp_path / "run")["net"]))


def test_a_run_from_before_a_setting_existed_goes_on(prepared: TrainingData, tmp_path: Path) -> None:
    train(settings(num_steps=1), prepared, tmp_path)
    state = state_of(tmp_path)
    del state["settings"]["model"]["regulariser"]
    torch.save(state, tmp_path / "last.pt")
    train(settings(num_steps=2), prepared, tmp_path)
    assert state_of(tmp_path)["step"] == 2
    with pytest.raises(UsageError, match="another model"):
        train(settings(num_steps=3, model=tiny(regulariser="add")), prepared, tmp_path)


def test_a_run_keeps_its_validation_speakers(prepared: TrainingData, tmp_path: Path) -> None:
    best = train(settings(num_steps=1), prepared, tmp_path)
    for others in (("speaker1", "speaker3"), ("speaker0", "speaker1"), ()):
        with pytest.raises(UsageError, match="another validation set"):
            train(settings(num_steps=2), replace(prepared, validation_speakers=others), tmp_path)
    turned = replace(prepared, validation_speakers=("speaker2", "speaker0", "speaker2"))
    assert train(settings(num_steps=2), turned, tmp_path) == best
    assert state_of(tmp_path)["step"] == 2
    assert load_checkpoint(best).about["validation_speakers"] == ["speaker0", "speaker2"]


def test_a_run_from_before_its_validation_speakers_were_kept_goes_on(prepared: TrainingData, tmp_path: Path) -> None:
    train(settings(num_steps=1), prepared, tmp_path)
    state = state_of(tmp_path)
    del state["settings"]["validation_set"]
    torch.save(state, tmp_path / "last.pt")
    train(settings(num_steps=2), prepared, tmp_path)
    assert state_of(tmp_path)["settings"]["validation_set"] == ["speaker0", "speaker2"]


@pytest.mark.parametrize("change", ["mix", "batches", "voices", "clips"])
def test_a_best_score_on_other_mixtures_is_forgotten(prepared: TrainingData, tmp_path: Path, change: str) -> None:
    """Scores on other mixtures say nothing about which network is better."""
    config, data = settings(num_steps=1), replace(prepared, voices=write_cache(tmp_path / "voices", speakers=12))
    train(config, data, tmp_path / "run")
    forge_best(tmp_path / "run")
    again = replace(config, num_steps=2)
    if change == "mix":
        again = replace(again, mix=replace(config.mix, talker_db=(-30.0, -29.0)))
    elif change == "batches":
        again = replace(again, num_validation_batches=2)
    elif change == "voices":
        data = replace(data, voices=None)
    else:
        write_clip(tmp_path / "voices", "speaker0", "another", num_frames=2)
        data = replace(data, listed={})
    lines: list[str] = []
    best = train(again, data, tmp_path / "run", on_line=lines.append)
    assert load_checkpoint(best).about["step"] == 2
    assert state_of(tmp_path / "run")["best"] < 1e6
    assert sum("the best score so far does not count" in line for line in lines) == 1


@pytest.mark.parametrize("change", ["none", "from before it was stored", "from before a setting existed", "training"])
def test_a_best_score_on_the_same_mixtures_counts(prepared: TrainingData, tmp_path: Path, change: str) -> None:
    train(settings(num_steps=1), prepared, tmp_path)
    forge_best(tmp_path)
    state = state_of(tmp_path)
    if change == "from before it was stored":
        del state["validation"]
    elif change == "from before a setting existed":
        del state["validation"]["mix"]["swap_target"]
    torch.save(state, tmp_path / "last.pt")
    seed = 5 if change == "training" else 0
    best = train(settings(num_steps=2, seed=seed), prepared, tmp_path)
    assert load_checkpoint(best).about["step"] == 1
    assert state_of(tmp_path)["best"] == 1e6


@pytest.mark.parametrize("validation", [3, {"mix": {"talker_db": "loud"}}, {"mix": None}])
def test_damaged_validation_settings_are_refused(prepared: TrainingData, tmp_path: Path, validation: Any) -> None:
    train(settings(num_steps=1), prepared, tmp_path)
    torch.save(state_of(tmp_path) | {"validation": validation}, tmp_path / "last.pt")
    with pytest.raises(UsageError, match=r"last\.pt cannot be read"):
        train(settings(num_steps=2), prepared, tmp_path)


def forge_best(run: Path) -> None:
    """Let the best score so far be one that no network reaches."""
    torch.save(state_of(run) | {"best": 1e6}, run / "last.pt")


def test_a_run_that_goes_on_with_another_weight_decay_uses_it(prepared: TrainingData, tmp_path: Path) -> None:
    config = settings(num_steps=2, weight_decay=0.0)
    train(replace(config, num_steps=1), prepared, tmp_path)
    batch = Batches(prepared.mixer(config, False), seed=1, batch_size=2, first=0, last=1)[0]
    before, name = dict(state_of(tmp_path)["net"]), "audio.encoder.0.0.weight"
    after = []
    for decay in (0.0, 0.5):
        trainer = Trainer(replace(config, weight_decay=decay), prepared, tmp_path)
        rate = config.learning_rate * trainer._rate()
        trainer.learn(batch)
        trainer.close()
        after.append(trainer.net.module.state_dict()[name] - before[name])
    assert torch.allclose(after[1] - after[0], -0.5 * rate * before[name], atol=1e-7)
    assert (after[1] - after[0]).abs().max() > 1e-5


def test_a_start_is_needed_at_the_start_alone(prepared: TrainingData, tmp_path: Path) -> None:
    start = train(settings(num_steps=1), prepared, tmp_path / "first").rename(tmp_path / "start.safetensors")
    train(settings(num_steps=1), prepared, tmp_path / "run", [start])
    start.unlink()
    train(settings(num_steps=2), prepared, tmp_path / "run", [start])
    with pytest.raises(InputError, match=r"start\.safetensors"):
        train(settings(num_steps=2), prepared, tmp_path / "another", [start])


@pytest.mark.parametrize("max_hours", [0.0, 1e-9])
def test_time_that_is_up_ends_a_run_in_good_order(prepared: TrainingData, tmp_path: Path, max_hours: float) -> None:
    best = train(settings(num_steps=50), prepared, tmp_path, max_hours=max_hours)
    assert state_of(tmp_path)["step"] == 1
    assert load_checkpoint(best).about["step"] == 1
    train(settings(num_steps=50), prepared, tmp_path, max_hours=0.0)
    assert state_of(tmp_path)["step"] == 2


def test_the_learning_rate_rises_and_falls(prepared: TrainingData, tmp_path: Path) -> None:
    trainer = Trainer(settings(num_steps=100, warmup_steps=10), prepared, tmp_path)
    trainer.close()
    course = []
    for trainer.step in range(100):
        course.append(trainer._rate())
    assert np.allclose(course[:10], np.arange(1, 11) / 10)
    assert (np.diff(course[10:]) < 0).all()
    assert course[-1] < 1e-3


def test_curves_and_audio_are_written(prepared: TrainingData, tmp_path: Path) -> None:
    """At each validation what the net makes of the same two mixtures; mixture and target need to be there once."""
    train(
        settings(num_steps=20, validate_every=10, model=tiny("none"), mix=MixConfig(num_frames=2)), prepared, tmp_path
    )
    curves = EventAccumulator(str(tmp_path)).Reload()
    assert {"train/spec/magnitude", "validation/improvement_db/seen"} <= set(curves.Tags()["scalars"])
    assert [event.step for event in curves.Scalars("validation/improvement_db/seen")] == [10, 20]
    steps = {"mixture": [10], "estimate": [10, 20], "target": [10]}
    assert set(curves.Tags()["audio"]) == {f"example {number}/{kind}" for number in (1, 2) for kind in steps}
    for kind, expected in steps.items():
        events = curves.Audio(f"example 2/{kind}")
        assert [event.step for event in events] == expected
        waveform, sample_rate = soundfile.read(io.BytesIO(events[0].encoded_audio_string))
        assert (len(waveform), sample_rate) == (2 * 640, 16000)


def test_examples_are_mixture_estimate_and_target_at_their_relative_levels(prepared: TrainingData) -> None:
    net = SpeechNet(tiny()).eval()
    torch.nn.init.zeros_(net.audio.mask.weight)
    torch.nn.init.constant_(net.audio.mask.bias, 30.0)
    mixer = prepared.mixer(settings(), True)
    batch = Batches(mixer, seed=1, batch_size=NUM_EXAMPLES + 1, first=0, last=1)[0]
    found = examples(net, batch)
    assert {waveform.shape for waveform in found.values()} == {(NUM_EXAMPLES, 6 * 640)}
    assert found["mixture"].abs().amax(-1) == pytest.approx(0.9)
    assert torch.allclose(found["estimate"], found["mixture"], atol=1e-4)
    ratio = batch.target[1].square().mean() / batch.mixture[1].square().mean()
    assert found["target"][1].square().mean() / found["mixture"][1].square().mean() == pytest.approx(float(ratio))


def test_lips_alone_have_nothing_to_listen_to(prepared: TrainingData, tmp_path: Path) -> None:
    train(settings(stage="lips", num_steps=1), prepared, tmp_path)
    assert EventAccumulator(str(tmp_path)).Reload().Tags()["audio"] == []
