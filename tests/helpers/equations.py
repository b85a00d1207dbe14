"""Hold a module against its paper's equations written once more in numpy, in float64, forward and gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

Weights = dict[str, np.ndarray]
Equations = Callable[[Weights, list[np.ndarray]], list[np.ndarray]]

TOLERANCE = 1e-5


def made_features(shapes: Sequence[tuple[int, ...]], seed: int = 0) -> list[Tensor]:
    """Return seeded normal features in float64."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def weights_of(module: nn.Module) -> Weights:
    """Return a copy of every parameter and buffer, by name."""
    return {name: value.detach().numpy().copy() for name, value in module.state_dict().items()}


def assert_follows(module: nn.Module, equations: Equations, features: list[Tensor]) -> None:
    """Fail unless outputs, and gradients by every input and parameter, are those of the equations."""
    w, arrays = weights_of(module), [x.numpy().copy() for x in features]
    expected = equations(w, arrays)
    probes = [y.numpy() for y in made_features([y.shape for y in expected], seed=5)]

    def loss(w: Weights, arrays: list[np.ndarray]) -> float:
        return sum(float((p * y).sum()) for p, y in zip(probes, equations(w, arrays), strict=True))

    inputs = [x.clone().requires_grad_() for x in features]
    outputs = module(*inputs)
    for got, want in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), want, rtol=0, atol=TOLERANCE)
    torch.stack([(torch.from_numpy(p) * y).sum() for p, y in zip(probes, outputs, strict=True)]).sum().backward()
    for m, x in enumerate(inputs):
        numeric = numeric_gradient(lambda moved, m=m: loss(w, [*arrays[:m], moved, *arrays[m + 1 :]]), arrays[m])
        np.testing.assert_allclose(x.grad.numpy(), numeric, rtol=0, atol=TOLERANCE)
    for name, parameter in module.named_parameters():
        numeric = numeric_gradient(lambda moved, name=name: loss({**w, name: moved}, arrays), w[name])
        np.testing.assert_allclose(parameter.grad.numpy(), numeric, rtol=0, atol=TOLERANCE, err_msg=name)


def numeric_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return central differences of f at x."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = x.copy()
        moved[index] = x[index] + step
        above = f(moved)
        moved[index] = x[index] - step
        gradient[index] = (above - f(moved)) / (2 * step)
    return gradient
