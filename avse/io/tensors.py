"""Arrays of whatever a caller gives: NumPy arrays, torch tensors of any layout and device, lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from avse.errors import UsageError

_NUMPY_TYPES = {
    torch.float16, torch.float32, torch.float64, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.bool,
}  # fmt: skip


def plain_array(value: Any, what: str, hint: str) -> np.ndarray:
    """Return an array of a tensor, an array or nested lists; of bfloat16 as float32.

    Args:
        value: what the caller gave. A tensor must be dense and hold real numbers.
        what: names the argument in the error, such as "A waveform".
        hint: what to give instead.

    Raises:
        UsageError: no array of numbers can be made of it.
    """
    if isinstance(value, Tensor):
        return _of_tensor(value, what, hint)
    try:
        array = np.asarray(value)
    except Exception as error:  # objects of other libraries may raise anything
        raise UsageError(f"{what} cannot be a {type(value).__name__} that is not an array of numbers.", hint) from error
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{what} cannot be a {type(value).__name__} of {array.dtype}.", hint)
    return array


def _of_tensor(tensor: Tensor, what: str, hint: str) -> np.ndarray:
    if tensor.is_nested or tensor.layout is not torch.strided or tensor.is_meta:
        kind = "nested" if tensor.is_nested else "without values (meta)" if tensor.is_meta else "sparse"
        raise UsageError(f"{what} cannot be a tensor that is {kind}.", hint)
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()
    if tensor.dtype not in _NUMPY_TYPES:
        raise UsageError(f"{what} cannot be a tensor of {tensor.dtype}.", hint)
    return tensor.detach().cpu().resolve_neg().numpy()
