"""Identity: whose energy an archive holds."""

from __future__ import annotations

from typing import NamedTuple


class Identity(NamedTuple):
    """What an archive holds: the kind of its device, the ids of its devices, the clamps that count.

    `devices` are the grid's and, of a 3EM pair, the solar one's. `channels` are an EM's: the grid clamp
    and, where there is one, the solar clamp; a 3EM has none.
    """

    kind: str
    devices: tuple[str, ...]
    channels: tuple[int, ...] = ()

    def __str__(self) -> str:
        """`device e8db84d2a1b3 (em, grid channel 0, solar channel 1)`."""
        noun = "devices" if len(self.devices) > 1 else "device"
        roles = zip(("grid", "solar"), self.channels, strict=False)
        details = [self.kind, *(f"{role} channel {channel}" for role, channel in roles)]
        if len(self.channels) == 1:
            details.append("no solar")
        return f"{noun} {' and '.join(self.devices)} ({', '.join(details)})"
