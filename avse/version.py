"""The version of avse."""

__version__ = "0.1.0"
