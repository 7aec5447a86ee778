"""What pytest runs by, where it looks for a mistake: the same examples each time, none made smaller.

A plugin of pytest's (`-p tests.mutation.bounded`). A mistake may ask for all the memory there is.
"""

from __future__ import annotations

import resource

from hypothesis import HealthCheck, Phase, settings

_MEMORY = 1 << 30

resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
settings.register_profile(
    "proof",
    database=None,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("proof")
