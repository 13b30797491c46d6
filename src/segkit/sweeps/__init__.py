"""Sweeps: many runs that are composed and checked together, frozen, and started here or on a cluster.

Nothing here imports torch before a job runs: login nodes submit sweeps, and have no use for it.
"""
