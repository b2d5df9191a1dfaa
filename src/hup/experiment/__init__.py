"""The paper's whole experiment: grids of models and seeds, tuned alike, judged alike, with significance."""

from hup.experiment.compare import compare
from hup.experiment.read_results import read_results
from hup.experiment.results import Results
from hup.experiment.sweep import sweep

__all__ = ["Results", "compare", "read_results", "sweep"]
