"""Deprecated: use `avse.weights.pretrained`, where these names are now."""

from __future__ import annotations

import warnings

from avse.weights.pretrained import find, verify

__all__ = ["find", "verify"]

warnings.warn("avse.registry is now avse.weights.pretrained.", DeprecationWarning, stacklevel=2)
