"""Training losses against what is known without them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from avse.training.losses.spectral import (
    asymmetric_loss,
    complex_loss,
    correlation,
    energy_targets,
    magnitude_loss,
    si_sdr,
)

Loss = Callable[[Tensor, Tensor, float], Tensor]


def pair(noise_db: float, num_samples: int = 4000) -> tuple[Tensor, Tensor]:
    """A reference, and a noise orthogonal to it with that level relative to it, both without mean: (2, N) each."""
    reference, noise = torch.randn(2, 2, num_samples, dtype=torch.float64)
    reference, noise = (x - x.mean(-1, keepdim=True) for x in (reference, noise))
    noise = noise - (noise * reference).sum(-1, keepdim=True) / reference.square().sum(-1, keepdim=True) * reference
    return reference, noise * (reference.norm(dim=-1) / noise.norm(dim=-1))[:, None] * 10 ** (noise_db / 20)


@pytest.mark.parametrize("noise_db", [-20.0, -3.0, 0.0, 12.0])
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (-0.3, 0.0), (5.0, 2.0)])
def test_si_sdr_of_a_scaled_copy_with_orthogonal_noise(noise_db: float, scale: float, offset: float) -> None:
    reference, noise = pair(noise_db)
    found = si_sdr(scale * (reference + noise) + offset, reference)
    assert torch.allclose(found, torch.full((2,), -noise_db, dtype=torch.float64), atol=1e-6)


def test_si_sdr_at_its_ends_stays_finite_and_has_gradient() -> None:
    reference, noise = pair(0.0)
    assert (si_sdr(reference, reference) > 100).all()
    assert (si_sdr(noise, reference) < -90).all()
    estimate = torch.zeros(1, 100, requires_grad=True)
    si_sdr(estimate, torch.zeros(1, 100)).sum().backward()
    assert estimate.grad.isfinite().all()


@pytest.mark.parametrize("loss", [magnitude_loss, complex_loss])
@pytest.mark.parametrize("power", [0.3, 1.0])
def test_spectral_losses_are_zero_at_equality_alone(loss: Loss, power: float) -> None:
    spectrum = torch.randn(2, 5, 7, dtype=torch.complex64)
    assert loss(spectrum, spectrum, power) == 0
    assert loss(spectrum * 1.1, spectrum, power) > 1e-4


def test_only_the_complex_loss_depends_on_phase() -> None:
    spectrum = torch.randn(2, 5, 7, dtype=torch.complex64)
    assert magnitude_loss(-spectrum, spectrum, 0.3) < 1e-12
    assert complex_loss(-spectrum, spectrum, 0.3) > 1


def test_the_loss_of_what_is_lost_counts_what_is_missing_and_nothing_else() -> None:
    reference = torch.tensor([[[4.0, 1.0]]], dtype=torch.complex64)
    louder, fainter = torch.tensor([[[9.0, 1.0]]]) + 0j, torch.tensor([[[1.0, 9.0]]]) + 0j
    assert asymmetric_loss(louder, reference, 0.5) < 1e-9
    assert asymmetric_loss(fainter, reference, 0.5) == pytest.approx((2 - 1) ** 2 / 2, rel=1e-4)


def test_compression_of_known_magnitudes() -> None:
    """|16 e^ia|^0.5 is 4 and |1 e^ia|^0.5 is 1: squares of 3 for magnitudes, of 5 where the phases are opposite."""
    loud, quiet = torch.full((1, 1, 1), 16 + 0j), torch.full((1, 1, 1), 1 + 0j)
    torch.testing.assert_close(magnitude_loss(loud, -quiet, 0.5), torch.tensor(9.0))
    torch.testing.assert_close(complex_loss(loud, -quiet, 0.5), torch.tensor(25.0))


@pytest.mark.parametrize("loss", [magnitude_loss, complex_loss])
def test_silence_has_a_finite_gradient(loss: Loss) -> None:
    estimate = torch.zeros(1, 3, 4, dtype=torch.complex64, requires_grad=True)
    loss(estimate, torch.randn(1, 3, 4, dtype=torch.complex64), 0.3).backward()
    assert estimate.grad.isfinite().all()


def test_energy_targets_are_relative_to_the_mean_of_their_clip() -> None:
    energies = torch.randn(3, 4, 9) * 20 - 50
    targets = energy_targets(energies)
    assert torch.allclose(targets.mean((1, 2)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(
        energy_targets(energies + torch.tensor([10.0, -40.0, 3.0])[:, None, None]), targets, atol=1e-5
    )
    assert torch.allclose(targets[0, 0, 1] - targets[0, 0, 0], (energies[0, 0, 1] - energies[0, 0, 0]) / 10, atol=1e-5)


def test_correlation_over_time() -> None:
    truth = torch.randn(2, 3, 200)
    assert correlation(truth * 3 + 5, truth) == pytest.approx(1, abs=1e-4)
    assert correlation(-truth, truth) == pytest.approx(-1, abs=1e-4)
    assert abs(float(correlation(torch.randn(2, 3, 200), truth))) < 0.1
    half = torch.cat([truth[:, :, :100], torch.randn(2, 3, 100)], dim=-1)
    assert correlation(half, truth) == pytest.approx(0.5, abs=0.1)


def test_correlation_does_not_reward_knowing_which_band_is_louder() -> None:
    """Each band is relative to its own mean, so that constant levels carry no information."""
    levels = torch.tensor([0.0, 20.0, 40.0])[:, None]
    truth, guess = torch.randn(1, 3, 400) + levels, torch.randn(1, 3, 400) + levels
    assert abs(float(correlation(guess, truth))) < 0.1
    assert correlation(levels.expand(1, 3, 400), truth) == 0
