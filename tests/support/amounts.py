"""How much the fault programme does, and by which dice: the short form, or the long one.

`FAULTS=long` asks for the long form, `FAULTS_SEED=number` repeats a run. `python -m tests.faults` sets
both; pytest's last lines print the seed.
"""

from __future__ import annotations

import os
import random

SEED_VARIABLE = "FAULTS_SEED"
FORM_VARIABLE = "FAULTS"


def is_long() -> bool:
    """Whether this is the long form."""
    return os.environ.get(FORM_VARIABLE, "") == "long"


def amount(short: int, long: int) -> int:
    """How many of something this run does."""
    return long if is_long() else short


def seed() -> int:
    """The run's seed; the same for every test and worker of it."""
    return int(os.environ[SEED_VARIABLE])


def set_seed() -> int:
    """Throws a seed, where none was given; workers inherit it."""
    return int(os.environ.setdefault(SEED_VARIABLE, str(random.SystemRandom().randrange(1 << 32))))


def dice(*names: object) -> random.Random:
    """The dice of one test, or of one of its rounds: by the run's seed, whatever ran before it.

    The seed is printed, so that a failure shows it.
    """
    name = "/".join(map(str, names))
    print(f"{SEED_VARIABLE}={seed()} ({name})")
    return random.Random(f"{seed()}/{name}")
