"""A narrower net out of a trained one: what is silent goes first, and what cannot be is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_world import made_inputs, stirred, tiny
from torch import nn
from typer.testing import CliRunner

from avse.config import ModelConfig
from avse.errors import UsageError
from avse.models.net import SpeechNet
from avse.training.pruning import prune_channels
from avse.weights.checkpoint import load_checkpoint, save_checkpoint
from avse_cli.main import app

WIDE = {"audio_channels": (8, 8, 12, 16), "lip_width": 6}
NARROW = (4, 4, 6, 8)


def silence_half(net: SpeechNet) -> None:
    """Set every other channel of each layer to zero."""
    with torch.no_grad():
        for name, part in net.named_modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) and name != "audio.norm":
                part.weight[::2] = part.bias[::2] = 0
            if name.endswith(("bottleneck.gather", "squeeze")):
                assert isinstance(part, nn.Conv1d | nn.Linear)
                part.weight[::2] = 0
                part.bias[::2] = 0
        spread, num_channels = net.audio.bottleneck.spread, net.config.audio_channels[-1]
        for value in (spread.weight, spread.bias):
            value.unflatten(0, (num_channels, -1))[::2] = 0


@pytest.mark.parametrize(
    ("fusion", "settings"),
    [
        ("none", {}),
        ("none", {"bottleneck_rounds": 3}),
        ("mmtm", {}),
        ("mmtm", {"fusion_depths": (1, 4)}),
        ("mmtm-global", {}),
        ("mmtm-audio", {"bottleneck_rounds": 2}),
    ],
)
def test_silent_channels_go_and_the_answer_stays(fusion: str, settings: dict[str, Any]) -> None:
    net = stirred(tiny(fusion, **settings, **WIDE)).eval()
    silence_half(net)
    small = prune_channels(net, NARROW, 3).eval()
    inputs = made_inputs(net.config)
    answer, before = small(inputs), net(inputs)
    assert torch.allclose(answer.mask, before.mask, atol=1e-5)
    if before.energies is not None:
        assert torch.allclose(answer.energies, before.energies, atol=1e-5)


def test_the_same_sizes_give_the_same_net() -> None:
    net = stirred(tiny("mmtm", attention_heads=2, bottleneck_rounds=2, **WIDE))
    small = prune_channels(net, WIDE["audio_channels"], WIDE["lip_width"])
    assert all(map(torch.equal, small.state_dict().values(), net.state_dict().values()))


def test_attention_keeps_its_heads_and_the_imputer_is_left_out() -> None:
    net = stirred(tiny("mmtm", attention_heads=2, bottleneck_rounds=3, imputer="paper", num_priors=3, **WIDE))
    small = prune_channels(net, NARROW, 3)
    rounds = small.audio.bottleneck, *small.audio.bottleneck.further
    assert [each.recall.attention.num_heads for each in rounds] == [2, 2, 2]
    assert (small.imputer, small.config.audio_channels, small.config.lip_width) == (None, NARROW, 3)
    assert small(made_inputs(small.config)).mask.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "audio_channels", "lip_width", "words"),
    [
        ({"fusion": "asym"}, NARROW, 3, "fusion asym"),
        ({}, (4, 4, 6), 3, "3 audio channels for 4 stages"),
        ({}, (4, 4, 6, 17), 3, "become larger"),
        ({}, NARROW, 7, "become larger"),
        ({}, (4, 0, 6, 8), 3, "lose all channels"),
    ],
)
def test_what_cannot_be(settings: dict[str, str], audio_channels: tuple[int, ...], lip_width: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        prune_channels(SpeechNet(tiny(**WIDE, **settings)), audio_channels, lip_width)


def test_the_command_writes_a_start(tmp_path: Path) -> None:
    wide, start = tmp_path / "wide.safetensors", tmp_path / "start.safetensors"
    save_checkpoint(wide, stirred(tiny("mmtm", **WIDE)), {})
    arguments = ["models", "prune", str(wide), "-o", str(start), "--lip-width", "3", "--audio-channels"]
    done = CliRunner().invoke(app, [*arguments, "4,4,6,8"])
    assert done.exit_code == 0, done.output
    written = load_checkpoint(start)
    assert written.net.config == tiny("mmtm", audio_channels=NARROW, lip_width=3)
    assert written.about["start"] == load_checkpoint(wide).sha256
    assert CliRunner().invoke(app, [*arguments, "4,4,6,8"]).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "4,glue", "--force"]).exit_code == 2


def test_the_settings_of_the_small_net_fit_what_narrowing_gives() -> None:
    from avse.training.config import read_config

    small = read_config(Path(__file__).parents[2] / "configs/small.yaml").model
    wide = SpeechNet(ModelConfig(fusion="mmtm-audio", attention_heads=small.attention_heads))
    assert prune_channels(wide, small.audio_channels, small.lip_width).config == small


def test_a_shipped_model_can_be_named(tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    arguments = ["models", "prune", "avse", "-o", str(start), "--lip-width", "8"]
    done = CliRunner().invoke(app, [*arguments, "--audio-channels", "8,16,24,32,48,64"])
    assert done.exit_code == 0, done.output
    assert f"-> {start}" in done.stdout
