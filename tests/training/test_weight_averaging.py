"""The mean of networks: all weights, only equal shapes, and a file that names its sources."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_world import made_inputs, stirred, tiny
from typer.testing import CliRunner

from avse.errors import UsageError
from avse.training.weight_averaging import average_weights
from avse.weights.checkpoint import convert, load_checkpoint, save_checkpoint
from avse_cli.main import app


def test_every_weight_is_the_weighted_mean() -> None:
    nets = [stirred(tiny("mmtm", attention_heads=2, imputer="blended", num_priors=3)) for _ in range(3)]
    answer = average_weights(nets, (0.5, 0.3, 0.2)).state_dict()
    for name, value in answer.items():
        parts = [net.state_dict()[name] for net in nets]
        wanted = 0.5 * parts[0] + 0.3 * parts[1] + 0.2 * parts[2] if value.is_floating_point() else parts[0]
        torch.testing.assert_close(value, wanted)


def test_a_net_with_fewer_rounds_is_as_if_the_others_were_zero() -> None:
    shallow, deep = (stirred(tiny("mmtm", attention_heads=2, bottleneck_rounds=rounds)) for rounds in (1, 3))
    inputs = made_inputs(shallow.config)
    alone = average_weights([shallow, deep], (1.0, 0.0)).eval()
    torch.testing.assert_close(alone(inputs).mask, shallow.eval()(inputs).mask)
    torch.testing.assert_close(
        average_weights([shallow, deep], (0.0, 1.0)).eval()(inputs).mask, deep.eval()(inputs).mask
    )


@pytest.mark.parametrize("shares", [(0.5,), (0.5, 0.6), (1.5, -0.5)])
def test_shares_must_be_shares(shares: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="shares"):
        average_weights([stirred(tiny()), stirred(tiny())], shares)


def test_nets_of_other_shapes_have_no_mean() -> None:
    with pytest.raises(UsageError, match="different shapes"):
        average_weights([stirred(tiny("mmtm")), stirred(tiny("cwc"))], (0.5, 0.5))


def test_the_command_reports_what_went_in_and_shipping_keeps_it(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{name}.safetensors") for name in "ab"]
    for path, speakers in zip(paths, (["id2"], ["id1", "id2"]), strict=True):
        about = {"step": 7, "training": {"seed": 3}, "validation_speakers": speakers}
        save_checkpoint(Path(path), stirred(tiny()), about)
    output, shipped = tmp_path / "mean.safetensors", tmp_path / "shipped.safetensors"
    arguments = ["models", "average", *paths, "-o", str(output)]
    done = CliRunner().invoke(app, [*arguments, "--shares", "0.25,0.75"])
    assert done.exit_code == 0, done.output
    assert f"2 models -> {output}" in done.stdout
    convert(output, shipped, "mine", "drawn", "CC0")
    shares = dict(zip((load_checkpoint(Path(path)).sha256 for path in paths), (0.25, 0.75), strict=True))
    for written in (output, shipped):
        about = load_checkpoint(written).about
        assert (about["mean"], about["step"], about["training"]) == (shares, 7, {"seed": 3})
        assert about["validation_speakers"] == ["id1", "id2"]
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "--force"]).exit_code == 0
    assert CliRunner().invoke(app, [*arguments, "--force", "--shares", "half"]).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "--force", "--shares", "0.2,0.3,0.5"]).exit_code == 2
