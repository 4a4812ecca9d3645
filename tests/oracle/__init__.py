"""The oracle: the clinical specification a second time, in plain Python, to compare with."""
