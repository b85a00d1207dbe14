"""Deprecated: use `avse.enhancement.all_speakers`, where these names are now."""

from __future__ import annotations

import warnings

from avse.enhancement.all_speakers import enhance_all as enhance_each

__all__ = ["enhance_each"]

warnings.warn("avse.each is now avse.enhancement.all_speakers.", DeprecationWarning, stacklevel=2)
