"""Random numbers of the device as a function of (seed, rank, step): nothing to save, so resuming is exact."""

import random

import numpy as np
import torch

INIT = 0
"""Stream of the initial weights, the same on every rank."""
STEPS = 1
"""Stream of dropout and the like, one for each rank and step."""


def seed_init(seed: int) -> None:
    """Seeds what draws the initial weights."""
    _seed_all(seed, INIT)


def seed_step(seed: int, *, rank: int, step: int) -> None:
    """Seeds what a step draws on the device (dropout, drop path), whatever was drawn before.

    Counter-based, as the data's randomness is: a run resumed at this step, after any number of evaluations and
    restarts, draws what the uninterrupted run draws.
    """
    _seed_all(seed, STEPS, rank, step)


def _seed_all(*key: int) -> None:
    words = np.random.SeedSequence(key).generate_state(2)
    torch.manual_seed(int(words[0]) << 32 | int(words[1]))
    # Components of users may draw from the global generators too.
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002
