"""Pages for people: the report of an experiment, and the case study of a session."""

from hup.report.case import Case, case_from_dataset, case_from_events, case_from_text, choose_case
from hup.report.explanation import Explanation, explain, with_distinct_names
from hup.report.page import write_explanation, write_report

__all__ = [
    "Case",
    "Explanation",
    "case_from_dataset",
    "case_from_events",
    "case_from_text",
    "choose_case",
    "explain",
    "with_distinct_names",
    "write_explanation",
    "write_report",
]
