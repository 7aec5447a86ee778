"""The share of mistakes that the tests notice, module by module, and those that they do not."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.mutation.mutants import Trial, Verdict, tried

BOUND = 0.9
_LIST = Path(__file__).with_name("equivalent.txt")


def measure(modules: Sequence[str], only: str) -> int:
    """Prints what was missed and a table; 0 where each module's score is high enough.

    Mistakes that are known to be none do not count; one that is noticed all the same, or that can no
    longer be made, is an entry of the list to be taken out.
    """
    began = time.perf_counter()
    excused = equivalents(_LIST.read_text())
    trials: dict[str, list[Trial]] = {module: [] for module in modules}
    for trial in tried(modules, only):
        if trial.verdict is Verdict.UNREADABLE:
            continue
        trials[trial.module].append(trial)
        if trial.verdict is Verdict.MISSED and trial.mistake.name not in excused.get(trial.module, {}):
            print(f"missed: {trial.module}:{trial.mistake.line}: {trial.mistake.name}", flush=True)
    wrong = False
    rows = ["| module | mistakes | noticed | not any | score |", "|---|---|---|---|---|"]
    for module, done in trials.items():
        names = excused.get(module, {})
        made = {trial.mistake.name: trial for trial in done}
        for name in names:
            if not only and (name not in made or made[name].verdict is Verdict.SEEN):
                print(f"listed as no mistake, and {'noticed' if name in made else 'gone'}: {module}: {name}")
                wrong = True
        counted = [trial for trial in done if trial.mistake.name not in names]
        seen = sum(trial.verdict is Verdict.SEEN for trial in counted)
        score = seen / len(counted) if counted else 1.0
        wrong = wrong or score < BOUND
        rows.append(f"| `{module}` | {len(done)} | {seen} | {len(done) - len(counted)} | {score:.1%} |")
    print("\n".join(rows))
    print(
        f"\n{time.perf_counter() - began:.0f} s; at least {BOUND:.0%} of the mistakes in each must be noticed"
    )
    return int(wrong)


def equivalents(text: str) -> Mapping[str, Mapping[str, str]]:
    """The mistakes that are none, module by module, and why: indented below the line that names it."""
    found: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            names = found.setdefault(line.strip("[]"), {})
        elif line.startswith(" "):
            assert name, f"a reason for nothing: {line}"
            names[name] = f"{names[name]} {line.strip()}".strip()
        else:
            name = line
            names[name] = ""
    for module, reasons in found.items():
        for name, reason in reasons.items():
            assert reason, f"no reason given: {module}: {name}"
    return found
