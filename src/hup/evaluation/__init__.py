"""The protocol, its metrics and their intervals, and what an evaluation leaves behind."""

from hup.evaluation.kept import read_evaluation
from hup.evaluation.protocol import evaluate
from hup.evaluation.result import Evaluation

__all__ = ["Evaluation", "evaluate", "read_evaluation"]
