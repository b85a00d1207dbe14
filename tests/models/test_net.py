"""The network with each fusion: shapes, gradients, influence of the video, time."""

from __future__ import annotations

import pytest
import torch
from small_world import made_inputs, mouths, stirred, tiny
from torch import Tensor

from avse.config import ModelConfig
from avse.errors import UsageError
from avse.models.fusion import FUSIONS
from avse.models.inputs import Inputs
from avse.models.net import Output, SpeechNet

SEEING = sorted(set(FUSIONS) - {"none"})
FOLLOWING_TIME = ["none", "cwc", "mmtm", "asym"]


def shapes(net: SpeechNet, prefix: str) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in net.state_dict().items() if name.startswith(prefix)}


def spoken(output: Output) -> Tensor:
    """One number to which everything that the net answers contributes."""
    total = (output.spectrum.real * torch.randn_like(output.mask.real)).sum()
    if output.energies is not None:
        total = total + (output.energies * torch.randn_like(output.energies)).sum()
    return total


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(("hop", "mask"), [(320, "magnitude"), (160, "complex")])
@pytest.mark.parametrize(("batch", "training"), [(1, True), (2, False)])
def test_shapes(fusion: str, hop: int, mask: str, batch: int, training: bool) -> None:
    config = tiny(fusion, hop=hop, mask=mask)
    inputs = made_inputs(config, batch, num_frames=3)
    output = SpeechNet(config).train(training)(inputs)
    assert output.spectrum.shape == output.mask.shape == inputs.spectrum.shape
    assert (output.spectrum.dtype, output.mask.is_complex()) == (torch.complex64, mask == "complex")
    assert output.spectrum.isfinite().all()
    if fusion == "none":
        assert output.energies is None
    else:
        assert output.energies.shape == (batch, 20, 3)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_with_the_default_sizes_every_parameter_learns(fusion: str) -> None:
    """All but MSAF's bias before its batch norm, which the norm takes away again (section 3 of the paper has both)."""
    net = stirred(ModelConfig(fusion=fusion))
    spoken(net(made_inputs(net.config, batch=4, num_frames=4))).backward()
    idle = {name for name, p in net.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-4}
    assert idle == ({f"fusions.{depth}.join.bias" for depth in range(5)} if fusion == "msaf" else set())


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_video_matters_to_all_but_none(fusion: str) -> None:
    net = stirred(tiny(fusion)).eval()
    inputs = made_inputs(net.config)
    others = inputs._replace(lips=mouths(2, 6, 44))
    same = torch.equal(net(inputs).mask, net(others).mask)
    assert same == (fusion == "none")


@pytest.mark.parametrize("fusion", SEEING)
def test_the_audio_matters_to_the_predicted_bands_where_the_fusion_feeds_back(fusion: str) -> None:
    net = stirred(tiny(fusion)).eval()
    inputs = made_inputs(net.config)
    others = inputs._replace(spectrum=torch.randn_like(inputs.spectrum))
    same = torch.equal(net(inputs).energies, net(others).energies)
    assert same == (fusion in ("cwc", "mmtm-audio"))


def test_all_share_one_audio_stream_and_one_lip_stream() -> None:
    """So that a comparison is of the fusion alone."""
    nets = {fusion: SpeechNet(ModelConfig(fusion=fusion)) for fusion in FUSIONS}
    twin = nets.pop("none")
    assert shapes(twin, "") == shapes(twin, "audio.")
    for net in nets.values():
        assert shapes(net, "audio.") == shapes(twin, "audio.")
        assert shapes(net, "lips.") == shapes(nets["mmtm"], "lips.")
        assert set(shapes(net, "")) == {name for part in ("audio.", "lips.", "fusions.") for name in shapes(net, part)}


def test_where_the_fusions_sit() -> None:
    def sites(config: ModelConfig) -> list[int]:
        return [depth for depth, block in enumerate(SpeechNet(config).fusions) if list(block.parameters())]

    assert sites(tiny("mmtm")) == [0, 1, 2, 3, 4]
    assert sites(tiny("mmtm", fusion_depths=[2, 4])) == [2, 4]
    assert sites(tiny("cwc")) == sites(tiny("cwc", fusion_depths=[1])) == [4]


@pytest.mark.parametrize("depth", range(5))
def test_the_fusion_at_each_depth_changes_the_output(depth: int) -> None:
    net = stirred(tiny("mmtm")).eval()
    inputs = made_inputs(net.config)
    before = net(inputs).mask
    torch.nn.init.constant_(net.fusions[depth].excite[0].bias, 2.0)
    assert not torch.allclose(net(inputs).mask, before)


def test_masks() -> None:
    gain = SpeechNet(tiny()).eval()(made_inputs(tiny())).mask
    assert 0 < gain.min() < gain.max() < 1
    config = tiny(mask="complex")
    turn = stirred(config).eval()(made_inputs(config)).mask
    assert turn.abs().max() < 1
    assert turn.angle().abs().max() > 1e-3


def test_a_complex_mask_starts_as_the_magnitude_mask() -> None:
    plain, turning = stirred(tiny()).eval(), SpeechNet(tiny(mask="complex")).eval()
    missing, unexpected = turning.load_state_dict(plain.state_dict(), strict=False)
    assert (missing, unexpected) == (["audio.turn.weight", "audio.turn.bias"], [])
    inputs = made_inputs(tiny())
    assert torch.allclose(turning(inputs).spectrum, plain(inputs).spectrum, atol=1e-6)


def test_the_mask_is_what_is_applied() -> None:
    for mask in ("magnitude", "complex"):
        config = tiny(mask=mask)
        inputs = made_inputs(config)
        output = stirred(config).eval()(inputs)
        assert torch.equal(output.spectrum, inputs.spectrum * output.mask)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_same_answer_again_alone_or_in_a_batch(fusion: str) -> None:
    net = stirred(tiny(fusion)).eval()
    inputs = made_inputs(net.config, batch=3)
    together = net(inputs).mask
    assert torch.equal(net(inputs).mask, together)
    alone = net(Inputs(*(value[1:2] for value in inputs))).mask
    assert torch.allclose(alone, together[1:2], atol=1e-5)


@pytest.mark.parametrize("fusion", FOLLOWING_TIME)
@pytest.mark.parametrize("hop", [160, 320])
def test_what_comes_later_is_answered_later(fusion: str, hop: int) -> None:
    """A shift by whole video frames shifts the answer, away from the ends. Gates for a whole clip cannot hold this."""
    net = stirred(tiny(fusion, hop=hop)).eval()
    steps = 640 // hop
    long = made_inputs(net.config, batch=1, num_frames=84)
    first = net(Inputs(long.spectrum[..., : 80 * steps], long.lips[:, :80], long.seen[:, :80])).mask
    second = net(Inputs(long.spectrum[..., 4 * steps :], long.lips[:, 4:], long.seen[:, 4:])).mask
    inside = first[..., 36 * steps : 46 * steps]
    assert torch.allclose(inside, second[..., 32 * steps : 42 * steps], atol=1e-5)
    assert inside.std() > 1e-3


@pytest.mark.parametrize("side", [44, 88])
def test_both_sizes_of_mouths(side: int) -> None:
    config = tiny(lip_side=side)
    assert SpeechNet(config).eval()(made_inputs(config, num_frames=2)).mask.isfinite().all()


def test_an_unknown_fusion_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="glue") as caught:
        SpeechNet(tiny("glue"))
    assert all(name in caught.value.hint for name in FUSIONS)


def without(net: SpeechNet, part: str) -> dict[str, Tensor]:
    return {name: value for name, value in net.state_dict().items() if part not in name}


def test_attention_over_time_adds_nothing_at_first() -> None:
    net = SpeechNet(tiny("mmtm", attention_heads=2)).eval()
    plain = SpeechNet(tiny("mmtm")).eval()
    plain.load_state_dict(without(net, "recall"))
    inputs = made_inputs(net.config)
    assert torch.equal(net(inputs).mask, plain(inputs).mask)


def test_further_context_blocks_start_near_identity_and_can_learn() -> None:
    net, plain = (
        SpeechNet(tiny("mmtm", attention_heads=2, bottleneck_rounds=3)).eval(),
        SpeechNet(tiny("mmtm", attention_heads=2)).eval(),
    )
    plain.load_state_dict(without(net, "further"))
    inputs = made_inputs(net.config)
    mask = net(inputs).mask
    assert 0 < (mask - plain(inputs).mask).abs().max() < 0.05
    mask.sum().backward()
    learnt = [value.grad for name, value in net.named_parameters() if "further" in name and "layers" in name]
    assert len(learnt) == 2 * 5 * 3
    assert all(gradient.abs().max() > 0 for gradient in learnt)


@pytest.mark.parametrize(("heads", "reaches"), [(0, False), (2, True)])
def test_only_attention_reaches_seconds_away(heads: int, reaches: bool) -> None:
    net = stirred(tiny("none", attention_heads=heads)).eval()
    inputs = made_inputs(net.config, num_frames=100)
    inputs.spectrum[..., -20:] *= 3
    changed = net(inputs).mask
    inputs.spectrum[..., -20:] /= 3
    far = (net(inputs).mask - changed)[..., :40].abs().max()
    assert (far > 1e-5) == reaches
