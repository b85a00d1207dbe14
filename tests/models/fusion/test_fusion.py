"""All fusions by name, under the contract of the speech net, and the examples of docs/fusion.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from avse.errors import UsageError
from avse.models.fusion import FUSIONS, SITES, build_fusion
from avse.models.fusion.cwc import CWC
from avse.models.fusion.mmtm import MMTM
from avse.models.fusion.msaf import MSAF

GUIDE = Path(__file__).parents[3] / "docs" / "fusion.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)

JOINING = sorted(set(FUSIONS) - {"none"})
ANSWERING = ["mmtm", "mmtm-global", "msaf", "asym"]
FOLLOWING_TIME = ["cwc", "mmtm", "mmtm-audio", "asym"]


def made_streams(batch: int = 2, num_bins: int = 6, num_frames: int = 20) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, 16, num_bins, num_frames), torch.randn(batch, 8, 5, 3, 3)


def stirred(name: str) -> torch.nn.Module:
    """A fusion some way from its start, where a part that begins at zero already speaks."""
    fusion = build_fusion(name, 16, 8)
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return fusion


@pytest.mark.parametrize("name", FUSIONS)
@pytest.mark.parametrize(("batch", "training"), [(1, False), (1, True), (2, True)])
def test_shapes_stay(name: str, batch: int, training: bool) -> None:
    fusion = build_fusion(name, 16, 8).train(training)
    for num_bins, num_frames in ((6, 20), (3, 7), (1, 5)):
        audio, video = made_streams(batch, num_bins, num_frames)
        joined_audio, joined_video = fusion(audio, video)
        assert (joined_audio.shape, joined_video.shape) == (audio.shape, video.shape)
        assert joined_audio.isfinite().all()
        assert joined_video.isfinite().all()


@pytest.mark.parametrize("name", JOINING)
def test_the_video_changes_the_audio_and_every_parameter_learns(name: str) -> None:
    fusion, (audio, video) = stirred(name), made_streams()
    video.requires_grad_()
    joined_audio, joined_video = fusion(audio, video)
    (joined_audio.square().sum() + joined_video.square().sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in fusion.parameters())
    fusion.eval()
    assert not torch.allclose(fusion(audio, video)[0], fusion(audio, video + 1)[0])


@pytest.mark.parametrize("name", ANSWERING)
def test_the_audio_changes_the_video(name: str) -> None:
    fusion, (audio, video) = stirred(name).eval(), made_streams()
    assert not torch.allclose(fusion(audio, video)[1], fusion(audio + 1, video)[1])


@pytest.mark.parametrize("name", FUSIONS)
def test_samples_of_a_batch_do_not_mix_in_use(name: str) -> None:
    fusion, (audio, video) = stirred(name).eval(), made_streams(3)
    together, alone = fusion(audio, video), fusion(audio[1:2], video[1:2])
    for x, y in zip(together, alone, strict=True):
        assert torch.allclose(x[1:2], y, atol=1e-5)


@pytest.mark.parametrize("name", FOLLOWING_TIME)
def test_a_moment_of_the_video_reaches_that_moment_of_the_audio(name: str) -> None:
    fusion, audio, video = stirred(name).eval(), torch.randn(1, 16, 6, 40), torch.randn(1, 8, 10, 3, 3)
    moved = video.clone()
    moved[:, :, 5] += 3
    changed = (fusion(audio, moved)[0] - fusion(audio, video)[0]).abs().amax((0, 1, 2)) > 1e-6
    assert changed[20:24].all()
    assert not changed[:16].any()
    assert not changed[28:].any()


def test_none_passes_both_untouched() -> None:
    fusion, (audio, video) = build_fusion("none", 16, 8), made_streams()
    joined_audio, joined_video = fusion(audio, video)
    assert joined_audio is audio
    assert joined_video is video
    assert not list(fusion.parameters())


def test_cwc_is_a_matrix_on_concatenated_channels() -> None:
    """With as many STFT frames as video frames nothing is interpolated, and two lines of numpy give the same."""
    fusion, audio, video = CWC(4, 3).double(), torch.randn(2, 4, 6, 5).double(), torch.randn(2, 3, 5, 2, 2).double()
    seen = np.broadcast_to(video.numpy().mean((3, 4))[:, :, None], (2, 3, 6, 5))
    weight, bias = (p.detach().numpy() for p in (fusion.mix.weight[..., 0, 0], fusion.mix.bias))
    expected = np.einsum("oc,bcft->boft", weight, np.concatenate([audio.numpy(), seen], 1)) + bias[:, None, None]
    joined, untouched = fusion(audio, video)
    np.testing.assert_allclose(joined.detach().numpy(), expected, atol=1e-10)
    assert untouched is video


def test_the_nets_choices() -> None:
    assert set(SITES) == set(FUSIONS)
    assert {name for name, site in SITES.items() if site == "bottleneck"} == {"none", "cwc"}
    one_way = build_fusion("mmtm-audio", 64, 40)
    assert isinstance(one_way, MMTM)
    assert one_way.keeps_time
    assert one_way.gated == [0]
    timed, plain, split = (build_fusion(name, 64, 40) for name in ("mmtm", "mmtm-global", "msaf"))
    assert isinstance(timed, MMTM)
    assert isinstance(plain, MMTM)
    assert isinstance(split, MSAF)
    assert (timed.keeps_time, plain.keeps_time) == (True, False)
    assert timed.squeeze.out_features == plain.squeeze.out_features == 26
    assert timed.gate_scale == plain.gate_scale == 2
    assert (split.block_channels, split.lowest_attention, split.block_dropout, split.num_segments) == (16, 0.5, 0, 1)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        build_fusion("glue", 16, 8)
    assert isinstance(caught.value, ValueError)
    assert "glue" in caught.value.message
    assert all(name in caught.value.hint for name in FUSIONS)


def run_example(containing: str) -> dict[str, Any]:
    (source,) = [example for example in EXAMPLES if containing in example]
    names: dict[str, Any] = {}
    exec(compile(source, str(GUIDE), "exec"), names)
    return names


def test_the_guide_has_no_example_that_no_test_runs() -> None:
    known = ("build_fusion", "GestureNet", "skeleton_branch", "nn.GRU", "SharedEncoder", "average_samples")
    assert [[key for key in known if key in example] for example in EXAMPLES] == [[key] for key in known]


def test_example_of_the_speech_net() -> None:
    names = run_example("build_fusion")
    assert names["joined_audio"].isfinite().all()


def test_example_of_three_video_streams() -> None:
    """RGB, depth and flow: each class score depends on every stream, and every gate learns."""
    names = run_example("GestureNet")
    net, streams = names["net"], [names["rgb"], names["depth"], names["flow"]]
    for m in range(3):
        moved = net(*[x + (index == m) for index, x in enumerate(streams)])
        assert not torch.allclose(moved, names["scores"])
    names["scores"].square().sum().backward()
    gates = [excite.weight for join in (net.early_join, net.late_join) for excite in join.excite]
    assert all(weight.grad.any() for weight in gates)


def test_example_of_video_and_skeleton() -> None:
    names = run_example("skeleton_branch")
    join, video, skeleton = names["join"], names["video"], names["skeleton"]
    assert not torch.allclose(join(video, skeleton * 2)[0], names["joined_video"])
    assert not torch.allclose(join(video * 2, skeleton)[1], names["joined_skeleton"])
    seen = skeleton > 0.1
    gate = torch.where(
        seen, names["moving_skeleton"] / skeleton, torch.nan
    )  # one for all joints, another at each frame
    spread_over_joints = gate.nan_to_num(-torch.inf).amax(2) - gate.nan_to_num(torch.inf).amin(2)
    assert (spread_over_joints < 1e-4).all()
    assert gate.nanmean(2).std(-1).nanmean() > 1e-4


def test_example_of_three_sequences() -> None:
    """The second half of the words cannot change the first half of the audio, but changes the second."""
    names = run_example("nn.GRU")
    join, (audio, face, words) = names["join"].eval(), names["sequences"]
    changed = words.clone()
    changed[..., 10:] += 1
    difference = (join(audio, face, changed)[0] - join(audio, face, words)[0]).abs()
    assert not difference[..., :100].any()
    assert difference[..., 100:].any()


def test_example_of_one_network_for_two_images() -> None:
    names = run_example("SharedEncoder")
    loss = names["scores"].sum() + sum(maps.square().mean() for maps in names["stages"][-1])
    loss.backward()
    assert all(parameter.grad is not None for parameter in names["encoder"].parameters())


def test_example_of_a_modality_that_is_mostly_missing() -> None:
    names = run_example("average_samples")
    net = names["net"]
    assert net.imputer.priors.any()
    assert all(parameter.grad.any() for name, parameter in net.named_parameters() if name.startswith("regulariser"))
    before, other = net(names["images"], None), net(names["images"] + 1, None)
    assert not names["torch"].allclose(before, other)
