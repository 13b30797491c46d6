"""Segmenting many files: shared by processes, taken up where it stopped, with everything that is left to look at."""
