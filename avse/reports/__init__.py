"""Reports to look at and to listen to: each one page that holds all it needs and asks nothing of any other machine."""

from __future__ import annotations

from avse.reports.batch import batch_report
from avse.reports.enhancement import enhancement_report
from avse.reports.evaluation import evaluation_report

__all__ = ["batch_report", "enhancement_report", "evaluation_report"]
