"""Deprecated: use `avse.weights.checkpoint`, where these names are now."""

from __future__ import annotations

import warnings

from avse.weights.checkpoint import Checkpoint, convert, load_checkpoint, save_checkpoint

__all__ = ["Checkpoint", "convert", "load_checkpoint", "save_checkpoint"]

warnings.warn("avse.checkpoint is now avse.weights.checkpoint.", DeprecationWarning, stacklevel=2)
