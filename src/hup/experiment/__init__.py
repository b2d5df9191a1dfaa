"""The paper's whole experiment: grids of models and seeds, tuned alike, judged alike, with significance."""
