"""The five modules that everything hangs on, and the tests that are about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]

FIVE: Mapping[str, Sequence[str]] = {
    "collector/archive/files.py": ["tests/unit/archive/test_files.py"],
    "collector/archive/ledger.py": ["tests/unit/archive/test_ledger.py"],
    "collector/cloud/pacing.py": [
        "tests/unit/cloud/test_pacing.py",
        "tests/unit/cloud/test_pace.py",
        "tests/unit/cloud/test_shared_pace.py",
    ],
    "collector/redaction.py": ["tests/unit/test_redaction.py"],
    "collector/energy/days.py": ["tests/unit/energy/test_days.py"],
}
"""The save, the ledger, the pacer, the redaction, the day arithmetic."""
