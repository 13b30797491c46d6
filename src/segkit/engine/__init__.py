"""Launching and running a training: the loop, and the small objects that it calls by name."""
