"""HTML reports: each is one self-contained page that loads nothing from the network."""

from __future__ import annotations

from avse.reports.batch import batch_report
from avse.reports.enhancement import enhancement_report
from avse.reports.evaluation import evaluation_report

__all__ = ["batch_report", "enhancement_report", "evaluation_report"]
