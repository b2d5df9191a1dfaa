"""The mixture for one user at a time, in NumPy: what a live profile is answered with."""
