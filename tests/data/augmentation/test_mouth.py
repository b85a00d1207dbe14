"""What the camera does to mouths: the same for one seed, nothing when nothing is allowed, in known directions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from avse.data.augmentation.mouth import LipAugment, augment, jitter_av_offset

NOTHING = {
    "shift": 0.0, "scale": 0.0, "tilt_radians": 0.0, "mirror_probability": 0.0, "gamma": 0.0,
    "occlusion_probability": 0.0, "blur_probability": 0.0,
}  # fmt: skip


def only(**settings: float) -> LipAugment:
    return LipAugment(**(NOTHING | settings))


def changed(crops: Tensor, settings: LipAugment, seed: int = 3) -> Tensor:
    return augment(crops, settings, torch.Generator().manual_seed(seed))


def images(clips: int = 6, frames: int = 3) -> Tensor:
    """Return smooth images without symmetry, different in each clip, each frame a little brighter."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 88), torch.linspace(0, 1, 88), indexing="ij")
    base = 40 + 90 * rows + 60 * columns**2
    return (base + torch.arange(clips)[:, None, None, None] * 4 + torch.arange(frames)[:, None, None]).to(torch.uint8)


def spots(clips: int = 32) -> Tensor:
    """One bright spot, right of the middle and above it."""
    crops = torch.zeros(clips, 2, 88, 88)
    crops[:, :, 28:32, 58:62] = 255
    return crops


def place(crops: Tensor) -> Tensor:
    """Centre of brightness of each clip's first frame, as (rows, columns) from the middle: (B, 2)."""
    weights = crops[:, 0] / crops[:, 0].sum((-2, -1), keepdim=True)
    axis = torch.arange(88) - 43.5
    return torch.stack([(weights.sum(2) * axis).sum(1), (weights.sum(1) * axis).sum(1)], dim=1)


def test_the_same_seed_gives_the_same() -> None:
    crops = images()
    first = changed(crops, LipAugment())
    assert torch.equal(first, changed(crops, LipAugment()))
    assert not torch.equal(first, changed(crops, LipAugment(), seed=4))


def test_nothing_allowed_changes_nothing() -> None:
    crops = images()
    before = crops.clone()
    assert torch.allclose(changed(crops, only()), crops.float(), atol=0.01)
    changed(crops, LipAugment())
    assert torch.equal(crops, before)


def test_shape_range_and_every_clip_by_itself() -> None:
    crops = images()
    out = changed(crops, LipAugment())
    assert out.shape == crops.shape
    assert out.dtype == torch.float32
    assert 0 <= out.min() < out.max() <= 255
    differences = (out - crops).abs().amax((1, 2, 3))
    assert (differences > 1).all()
    assert len(differences.unique()) == len(crops)


def test_all_frames_of_a_clip_move_alike() -> None:
    still = images(frames=1).expand(-1, 4, -1, -1)
    out = changed(still, LipAugment())
    assert torch.equal(out, out[:, :1].expand_as(out))


def test_mirror() -> None:
    crops = spots()
    assert torch.allclose(changed(crops, only(mirror_probability=1.0)), crops.flip(-1), atol=0.01)
    mirrored = place(changed(crops, only(mirror_probability=0.5)))[:, 1] < 0
    assert 0.2 < mirrored.float().mean() < 0.8


def test_shift_goes_as_far_as_allowed_in_all_directions() -> None:
    moved = place(changed(spots(128), only(shift=0.1))) - place(spots(128))
    assert 0.08 * 88 < moved.abs().max() <= 0.1 * 88 + 0.1
    for direction in (moved[:, 0], -moved[:, 0], moved[:, 1], -moved[:, 1]):
        assert direction.max() > 0.06 * 88


def test_size_and_tilt() -> None:
    before = place(spots(1))[0].norm()
    distance = place(changed(spots(64), only(scale=0.2))).norm(dim=1) / before
    assert 0.8 < distance.min() < 0.9
    assert 1.1 < distance.max() < 1.24
    tilted = place(changed(spots(64), only(tilt_radians=0.3)))
    assert torch.allclose(tilted.norm(dim=1), before, atol=0.5)
    turn = torch.atan2(tilted[:, 0], tilted[:, 1]) - torch.atan2(*place(spots(1))[0])
    assert -0.32 < turn.min() < -0.2
    assert 0.2 < turn.max() < 0.32


def test_a_head_that_turns_aside_makes_the_mouth_narrower_not_lower() -> None:
    up, right = place(spots(1))[0]
    turned = place(changed(spots(64), only(yaw_radians=0.9)))
    assert torch.allclose(turned[:, 0], up.expand(64), atol=0.1)
    widths = turned[:, 1] / right
    assert widths.max() == pytest.approx(1.0, abs=0.02)
    assert math.cos(0.9) - 0.02 < widths.min() < 0.7


def test_what_comes_in_from_outside_repeats_the_border() -> None:
    uniform = torch.full((8, 1, 88, 88), 170.0)
    assert torch.allclose(changed(uniform, only(shift=0.3, scale=0.3, tilt_radians=0.5)), uniform, atol=0.01)


def test_contrast_keeps_black_white_and_order() -> None:
    ramp = torch.linspace(0, 255, 88).expand(16, 1, 88, 88)
    out = changed(ramp, only(gamma=0.5))
    assert torch.allclose(out[..., 0], torch.zeros(1))
    assert torch.allclose(out[..., -1], torch.full((1,), 255.0))
    assert (out.diff(dim=-1) > 0).all()
    assert out[:, 0, 0, 44].min() < ramp[0, 0, 0, 44] - 10
    assert out[:, 0, 0, 44].max() > ramp[0, 0, 0, 44] + 10


def test_blur() -> None:
    noisy = torch.rand(4, 2, 88, 88) * 255
    out = changed(noisy, only(blur_probability=1.0))
    assert out.std() < 0.3 * noisy.std()
    assert out.mean() == pytest.approx(float(noisy.mean()), rel=0.02)


def test_a_cover_hides_one_place_in_all_frames_of_some_clips() -> None:
    crops = torch.rand(40, 3, 88, 88) * 200 + 20
    hidden = (changed(crops, only(occlusion_probability=0.25)) - crops).abs() > 0.1
    covered = hidden.flatten(1).any(1)
    assert 0.05 < covered.float().mean() < 0.5
    share = hidden[covered].float().mean((1, 2, 3))
    assert share.max() < 0.2
    together = hidden[covered].all(1).float().mean((1, 2))
    assert torch.allclose(together, share, atol=0.01)


def test_a_video_that_is_early_or_late_takes_its_visibility_along() -> None:
    crops = torch.arange(10.0)[None, :, None, None].expand(64, 10, 2, 2)
    seen = torch.arange(10).expand(64, 10) != 5
    moved, still_seen = jitter_av_offset(crops, seen, 2, torch.Generator().manual_seed(0))
    assert torch.equal(still_seen, moved[:, :, 0, 0] != 5)
    assert set((moved[:, 4, 0, 0] - 4).tolist()) == {-2, -1, 0, 1, 2}
    assert (moved[:, 0].min(), moved[:, -1].max()) == (0, 9)


def test_no_jitter_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    crops, seen = images(), torch.ones(6, 3, dtype=torch.bool)
    moved = jitter_av_offset(crops, seen, 0, generator)
    assert (moved[0] is crops, moved[1] is seen) == (True, True)
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(0).get_state())


def test_a_far_face_has_few_pixels_in_all_frames_alike_and_keeps_its_brightness() -> None:
    crops = torch.randint(0, 256, (16, 2, 88, 88), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    crops[:, 1] = crops[:, 0]
    far = changed(crops, only(low_resolution_probability=0.5, low_resolution_pixels=(11, 11)))
    is_far = (far - crops.float()).abs().amax((1, 2, 3)) > 1
    assert 4 <= is_far.sum() <= 12
    squares = crops[is_far].float().unflatten(2, (11, 8)).unflatten(4, (11, 8)).mean((3, 5))
    # Between the centres of two pixels an enlarged image is a straight line; next to a centre nearly so.
    near = far[is_far].unflatten(2, (11, 8)).unflatten(4, (11, 8))[:, :, :, 3:5, :, 3:5].mean((3, 5))
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    assert torch.corrcoef(torch.stack([near[inner].flatten(), squares[inner].flatten()]))[0, 1] > 0.99
    assert torch.equal(far[is_far][:, 0], far[is_far][:, 1])
    assert torch.allclose(far.mean((1, 2, 3)), crops.float().mean((1, 2, 3)), atol=1.0)


def test_distance_leaves_the_other_changes_as_they_were() -> None:
    crops = images()
    as_near = LipAugment(low_resolution_probability=1.0, low_resolution_pixels=(88, 88))
    assert torch.allclose(changed(crops, LipAugment()), changed(crops, as_near), atol=0.01)


def test_mixed_appearance_keeps_the_motion_and_changes_the_mean_image() -> None:
    generator = torch.Generator().manual_seed(0)
    still = torch.randint(100, 150, (8, 1, 88, 88), generator=generator).float()
    motion = torch.linspace(-20, 20, 5)[:, None, None]  # its mean is 0
    mixed = changed(still + motion, only(appearance_mix_probability=1.0))
    apart = torch.linalg.vector_norm(mixed.mean(1) - still[:, 0], dim=(-2, -1))
    assert (apart > 50).sum() >= 4
    assert apart.max() < 0.61 * torch.cdist(still.flatten(1), still.flatten(1)).max()
    change = mixed - mixed.mean(1, keepdim=True)
    torch.testing.assert_close(change, motion.expand_as(change), atol=0.01, rtol=0.0)
