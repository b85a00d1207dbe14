"""Deprecated: use `avse.enhancement.enhancer`, where these names are now."""

from __future__ import annotations

import warnings

from avse.enhancement.enhancer import Enhancer as Model
from avse.enhancement.enhancer import load_model

__all__ = ["Model", "load_model"]

warnings.warn("avse.model is now avse.enhancement.enhancer.", DeprecationWarning, stacklevel=2)
