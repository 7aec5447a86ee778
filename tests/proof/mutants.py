"""Makes each mistake in a copy of the tree and looks whether the module's own tests notice it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from tests.proof.five import FIVE, ROOT
from tests.proof.mistakes import Mistake, mistakes_in

_WORKERS = 2
_TEST_S = 10  # the slowest test takes two seconds; some mistakes hang
_RUN_S = 120
_PARTS = ("collector", "tests", "systemd", "config", "pyproject.toml", "README.md", "CHANGELOG.md")
_FIXED = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "FAULTS_SEED": "1"}
_PYTEST = ["-m", "pytest", "-x", "-p", "no:cacheprovider", "-p", "tests.proof.bounded"]


class Verdict(Enum):
    """What became of a mistake. One that cannot even be imported needs no test to be noticed."""

    MISSED = (0,)
    SEEN = (1, None)
    UNREADABLE = (2, 4)


@dataclass(frozen=True, slots=True)
class Trial:
    """A mistake, and what became of it."""

    module: str
    mistake: Mistake
    verdict: Verdict
    seconds: float


def tried(modules: Sequence[str], only: str) -> Iterator[Trial]:
    """Tries each mistake in these modules whose name has `only` in it; in order."""
    work = [
        (module, mistake)
        for module in modules
        for mistake in mistakes_in((ROOT / module).read_text())
        if only in mistake.name
    ]
    with TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(_WORKERS) as pool:
        trees: SimpleQueue[_Tree] = SimpleQueue()
        for number in range(_WORKERS):
            trees.put(_Tree(Path(folder) / str(number)))
        tree = trees.get()
        for module in modules:
            tree.must_pass(module)
        trees.put(tree)

        def try_one(item: tuple[str, Mistake]) -> Trial:
            module, mistake = item
            tree = trees.get()
            began = time.perf_counter()
            try:
                verdict = tree.judge(module, mistake.source)
            finally:
                trees.put(tree)
            return Trial(module, mistake, verdict, time.perf_counter() - began)

        yield from pool.map(try_one, work)


class _Tree:
    """A copy of the working tree."""

    def __init__(self, root: Path) -> None:
        self._root = root / "tree"
        self._scratch = root / "scratch"
        ignored = shutil.ignore_patterns("__pycache__")
        for part in _PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            self._root.mkdir(parents=True, exist_ok=True)
            if copy is shutil.copytree:
                shutil.copytree(ROOT / part, self._root / part, ignore=ignored)
            else:
                shutil.copy(ROOT / part, self._root / part)
        # Read faster; but never an old reading of a module that is changed.
        subprocess.run([sys.executable, "-m", "compileall", "-q", "collector"], cwd=self._root, check=True)
        for module in FIVE:
            path = self._root / module
            for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
                compiled.unlink()

    def must_pass(self, module: str) -> None:
        """Fails where the tests do without any mistake."""
        code, output = self._run(module)
        if code != 0:
            raise SystemExit(f"{module}: its tests fail as it is\n{output}")

    def judge(self, module: str, source: str) -> Verdict:
        """What the module's tests say where it is that."""
        path = self._root / module
        whole = path.read_text()
        try:
            path.write_text(source)
            code, output = self._run(module)
        finally:
            path.write_text(whole)
        for verdict in Verdict:
            if code in verdict.value:
                return verdict
        raise SystemExit(f"pytest ended with {code}\n{output}")

    def _run(self, module: str) -> tuple[int | None, str]:
        """pytest's exit code, None where it had to be ended, and what it printed."""
        limits = [f"--timeout={_TEST_S}", f"--basetemp={self._scratch}"]
        command = [sys.executable, *_PYTEST, *limits, *FIVE[module]]
        with subprocess.Popen(
            command, cwd=self._root, env=os.environ | _FIXED, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            try:
                output, _ = process.communicate(timeout=_RUN_S)
            except subprocess.TimeoutExpired:
                return None, ""
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, output
