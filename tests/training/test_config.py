"""Settings: each is checked where it is made, and the presets of configs/ hold what differs."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from odd_values import is_fine_or_two_lines, json_values, numbers

from avse.config import ModelConfig, from_mapping
from avse.data.augmentation.mouth import LipAugment
from avse.data.mix_config import MixConfig
from avse.errors import UsageError
from avse.models.fusion import FUSIONS
from avse.models.net import SpeechNet
from avse.training.config import LOSS_WEIGHTS, PARTS, TrainConfig, as_mapping, read_config
from avse.training.smil import SmilConfig

CONFIGS = Path(__file__).parents[2] / "configs"
PRESETS = sorted(CONFIGS.glob("*.yaml"))
WAYS_TO_TRAIN = (
    "lips", "dropout", "long", "smil", "small", "table3", "table3-small", "swap-target", "base",
    "web", "web-audio", "web-noise", "web-noise-audio", "web-small", "web-voices",
    "web-voices-small", "web-listeners", "web-listeners-audio", "web-appearance", "web-lip-noise",
)  # fmt: skip


def written(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_is_read_and_builds_its_net(path: Path) -> None:
    config = read_config(path)
    net = SpeechNet(config.model)
    assert (net.lips is None) == (path.stem in {"ao", "web-audio", "web-noise-audio", "web-listeners-audio"})


def test_there_is_a_preset_for_every_fusion_that_changes_nothing_else() -> None:
    found = {read_config(path).model.fusion: path for path in PRESETS if path.stem not in WAYS_TO_TRAIN}
    assert set(found) == set(FUSIONS)
    for fusion, path in found.items():
        assert read_config(path) == read_config(None, preset=fusion)
        assert path.stem == ("ao" if fusion == "none" else fusion)


def test_the_preset_of_the_lips() -> None:
    config = read_config(CONFIGS / "lips.yaml")
    assert (config.stage, config.num_steps, config.batch_size) == ("lips", 3500, 24)
    assert (list(config.mix.num_talkers), config.mix.missing_video_probability) == ([1.0], 0.0)
    assert config.model == TrainConfig().model


def test_the_presets_for_missing_videos() -> None:
    dropout, smil = (read_config(CONFIGS / f"{name}.yaml") for name in ("dropout", "smil"))
    assert (dropout.stage, dropout.model) == ("speech", ModelConfig())
    assert dropout.mix.missing_video_probability > 0
    assert dropout.mix.gap_probability > 0
    assert smil == read_config(CONFIGS / "smil.yaml", stage="smil")
    assert (smil.stage, smil.model.imputer, smil.model.regulariser) == ("smil", "blended", "multiply")


def test_longer_examples_and_smil_teach_the_same_net() -> None:
    long, smil, small = (read_config(CONFIGS / f"{name}.yaml") for name in ("long", "smil", "small"))
    assert long.model == smil.model
    assert (long.mix.num_frames, smil.mix.num_frames, small.mix.num_frames) == (75, 75, 75)
    assert (long.stage, small.stage, small.model.attention_heads) == ("speech", "speech", long.model.attention_heads)


@pytest.mark.parametrize("name", ["table3", "table3-small"])
def test_the_nets_of_the_table_differ_in_their_fusion_alone(name: str) -> None:
    found = [read_config(CONFIGS / f"{name}.yaml", preset=fusion) for fusion in FUSIONS]
    assert {config.model.fusion for config in found} == set(FUSIONS)
    assert all(replace(config, model=found[0].model) == found[0] for config in found)
    assert all(replace(config.model, fusion=found[0].model.fusion) == found[0].model for config in found)


def test_the_parts_to_start_with_are_those_that_a_net_has() -> None:
    net = SpeechNet(replace(read_config(None, stage="smil").model, regulariser_places=2))
    assert {name for name, _ in net.named_children()} == set(PARTS)


def test_stage_smil_brings_its_parts_by_default(tmp_path: Path) -> None:
    assert read_config(None, stage="smil").model == ModelConfig(imputer="reference", regulariser="multiply")
    path = written(tmp_path, "stage: smil\nmodel: {imputer: paper, regulariser: none}\nsmil: {second_order: true}")
    config = read_config(path)
    assert config.model == ModelConfig(imputer="paper")
    assert config.smil == SmilConfig(second_order=True)
    with pytest.raises(UsageError, match="needs an imputer"):
        read_config(written(tmp_path, "stage: smil\nmodel: {imputer: none}"))
    with pytest.raises(UsageError, match="negative"):
        SmilConfig(inner_rate=-1.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"imputer": "glue"}, "imputer 'glue'"),
        ({"regulariser": "glue"}, "regulariser 'glue'"),
        ({"fusion": "none", "imputer": "paper"}, "no lip features to impute"),
        ({"num_priors": 0}, "num_priors is 0"),
        ({"attention_heads": 3}, "cannot be divided among 3 heads"),
        ({"bottleneck_rounds": 0}, "bottleneck_rounds is 0"),
    ],
)
def test_what_a_net_for_missing_videos_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ModelConfig(**settings)


def test_no_file_gives_the_defaults_and_options_come_last(tmp_path: Path) -> None:
    assert read_config(None) == TrainConfig()
    path = written(tmp_path, "num_steps: 7\nmodel: {fusion: cwc, hop: 160}\nweights: {wave/si_sdr: 0}")
    config = read_config(path, preset="msaf", num_steps=9, stage=None)
    assert (config.num_steps, config.stage, config.model) == (9, "speech", ModelConfig(fusion="msaf", hop=160))
    assert config.weights == LOSS_WEIGHTS | {"wave/si_sdr": 0}


def test_settings_survive_being_plain_values() -> None:
    config = read_config(CONFIGS / "lips.yaml")
    values = as_mapping(config)
    assert from_mapping(ModelConfig, values["model"]) == config.model
    assert from_mapping(MixConfig, values["mix"]) == config.mix
    assert from_mapping(LipAugment, values["augment"]) == config.augment


def test_empty_sections_are_defaults(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, "model:\nmix:\nweights:\n")) == TrainConfig()
    assert read_config(written(tmp_path, "")) == TrainConfig()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("num_stepps: 3", "num_stepps"),
        ("mix: {volume: 3}", "volume"),
        ("augment: {colour: 1}", "colour"),
        ("augment: {low_resolution_pixels: [40, 10]}", "low_resolution_pixels"),
        ("augment: {low_resolution_pixels: [10]}", "low_resolution_pixels"),
        ("augment: {low_resolution_pixels: [10.5, 40]}", "low_resolution_pixels"),
        ("mix: {talker_db: [3]}", "talker_db"),
        ("mix: {gap_frames: [2, 20, 30]}", "gap_frames"),
        ("model: {depth: 3}", "depth"),
        ("weights: {spec/phase: 1}", "spec/phase"),
        ("stage: nose", "nose"),
        ("{stage: lips, model: {fusion: none}}", "lip stream"),
        ("num_steps: 0", "num_steps"),
        ("validate_every: 0", "validate_every"),
        ("mix: {num_talkers: [0.5, 0.4]}", "num_talkers"),
        ("mix: {num_talkers: [1.5, -0.5]}", "num_talkers"),
        ("mix: {noise_db: [3, -20]}", "noise_db"),
        ("- a\n- list", "settings.yaml"),
        ("{broken", "settings.yaml"),
        ("mix: 3", "mix"),
        ("learning_rate: fast", "learning_rate"),
        ("num_steps: many", "num_steps"),
        ("start_parts: [audio, nose]", "nose"),
        ("fixed_parts: [nose]", "nose"),
        ("stage: lips\nfixed_parts: [lips]", "is fixed"),
        ("augment: {feature_noise_probability: 2.0}", "feature_noise_probability"),
        ("start_parts: audio", "start_parts"),
        ("start_parts: [1]", "start_parts"),
        ("model: {audio_channels: [8, 8, 8, wide]}", "audio_channels"),
        ("num_steps: 2.5", "num_steps"),
        ("mix: {talker_db: 3}", "talker_db"),
        ("model: {audio_channels: 16}", "audio_channels"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(written(tmp_path, text))
    assert named in caught.value.message
    assert caught.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml"):
        read_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"hop": 77}, "hop is 77"),
        ({"hop": 128}, "hop is 128"),
        ({"hop": 640}, "hop is 640"),
        ({"hop": 0}, "hop is 0"),
        ({"lip_side": 96}, "lip_side"),
        ({"mask": "binary"}, "binary"),
        ({"audio_channels": (8, 8, 8)}, "3 stages"),
        ({"audio_channels": (8,) * 7}, "7 stages"),
        ({"stem_frames": 4}, "stem_frames"),
        ({"fusion_depths": ()}, "fusion_depths"),
        ({"fusion_depths": (3, 5)}, "fusion_depths"),
    ],
)
def test_nets_that_cannot_be(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        ModelConfig(**settings)


SECTIONS = {"model": ModelConfig, "mix": MixConfig, "augment": LipAugment, "smil": SmilConfig}
NAMES = [field.name for field in fields(TrainConfig)]
sections = st.sampled_from(list(SECTIONS)).flatmap(
    lambda name: st.fixed_dictionaries(
        {
            name: st.dictionaries(
                st.sampled_from([field.name for field in fields(SECTIONS[name])]), json_values | numbers
            )
        }
    )
)


@given(values=st.dictionaries(st.sampled_from(NAMES), json_values | numbers) | sections | json_values)
@example(values={1: 2})
@example(values={"learning_rate": float("nan")})
@example(values={"seed": 10**23})
@example(values={"seed": -1})
@example(values={"model": {"lip_width": 0}})
@example(values={"weights": {"wave/si_sdr": "x"}})
@example(values={"weights": {3: 1.0}})
@example(values={"mix": {"num_talkers": []}})
@example(values={"precision": "8-mixed"})
@settings(max_examples=200)
def test_any_settings_are_read_or_refused_in_two_lines(tmp_path: Path, values: Any) -> None:
    path = written(tmp_path, yaml.safe_dump(values))
    assert is_fine_or_two_lines(lambda: read_config(path))


@pytest.mark.parametrize(
    "text", ["{" * 2000, "[" * 5000, "a: &a [*a]", "? [1]\n: 2", "\0", "a: !!python/object:os.x {}"]
)
def test_text_that_is_no_settings_is_refused_in_two_lines(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(written(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 2
