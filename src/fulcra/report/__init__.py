"""Results as pages, figures, Markdown and terminal tables: reads what studies return, computes
nothing.
"""

from fulcra.report.card import card_table, render_card
from fulcra.report.comparison import comparison_markdown
from fulcra.report.cost import cost_table
from fulcra.report.detectors import detector_table
from fulcra.report.effects import effects_table
from fulcra.report.exemplars import exemplars_table
from fulcra.report.headline import why_no_verdict
from fulcra.report.judges import judges_table
from fulcra.report.page import render_report
from fulcra.report.table import audit_table

__all__ = [
    "audit_table",
    "card_table",
    "comparison_markdown",
    "cost_table",
    "detector_table",
    "effects_table",
    "exemplars_table",
    "judges_table",
    "render_card",
    "render_report",
    "why_no_verdict",
]
