"""The file (HDF) that ESB Networks in Ireland gives for a smart meter: half-hourly kW, by local time.

Tariff comparisons such as kilowatt.ie and switcher.ie read it, and so does esb_hdf_reader.py of
https://github.com/dresdner353/energyutils.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from typing import BinaryIO

from collector.errors import NotExpressible
from collector.export.hours import MeterHours

_HEAD = "MPRN,Meter Serial Number,Read Value,Read Type,Read Date and End Time\n"
_MPRN = "00000000000"  # not known here; eleven digits
_TYPES = ("Active Import Interval (kW)", "Active Export Interval (kW)")
_ENDS = (timedelta(minutes=30), timedelta(hours=1))


def write(meters: Sequence[MeterHours], out: BinaryIO) -> None:
    """Writes import and export of one meter, oldest first; a reading has its local end time.

    Each hour is two half-hours of the same mean power, so that its kW are its kWh. Two hours with the same
    local time, when the clocks go back, cannot be told apart in the format: they are written as one, with
    the energy of both. Raises `NotExpressible` for several meters.
    """
    if len(meters) != 1:
        raise NotExpressible("an HDF file is of one meter: choose it with --meter NAME")
    (each,) = meters
    out.write(_HEAD.encode())
    for line in _lines(each):
        out.write(line.encode())


def _lines(each: MeterHours) -> Iterator[str]:
    head = f"{_MPRN},{each.meter.id}"
    for local, same in groupby(each.hours(), lambda hour: hour.local.replace(tzinfo=None, fold=0)):
        hours = list(same)
        import_kwh = sum((hour.import_kwh for hour in hours), Decimal(0))
        export_kwh = sum((hour.export_kwh for hour in hours), Decimal(0))
        for kind, kw in zip(_TYPES, (import_kwh, export_kwh), strict=True):
            for end in _ENDS:
                yield f"{head},{kw:f},{kind},{local + end:%d-%m-%Y %H:%M}\n"
