"""Makes each mistake in a copy of the tree and looks whether the module's own tests notice it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from tests.mutation.five import FIVE, ROOT
from tests.mutation.mistakes import Mistake, mistakes_in
from tests.mutation.trier import NO_END, RUN_S

_WORKERS = 2
_TEST_S = 10  # the slowest test takes two seconds; some mistakes hang
_FOLDERS, _FILES = ("collector", "tests", "systemd"), ("pyproject.toml",)
_FIXED = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "FAULTS_SEED": "1"}
_PYTEST = [
    "-x",
    "-p",
    "no:cacheprovider",
    "-p",
    "tests.mutation.bounded",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
]


class Verdict(Enum):
    """What became of a mistake, by pytest's exit code. One that cannot be imported needs no test."""

    MISSED = ("0",)
    SEEN = ("1", NO_END)
    UNREADABLE = ("2", "4")


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
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="mutants-"))
        trees: SimpleQueue[_Tree] = SimpleQueue()
        for number in range(_WORKERS):
            trees.put(stack.enter_context(closing(_Tree(Path(folder) / str(number)))))
        pool = stack.enter_context(ThreadPoolExecutor(_WORKERS))
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
    """A copy of the working tree, and the process in it that tries."""

    def __init__(self, root: Path) -> None:
        self._root, self._scratch = root / "tree", root / "scratch"
        self._root.mkdir(parents=True)
        for part in _FOLDERS:
            shutil.copytree(ROOT / part, self._root / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in _FILES:
            shutil.copy(ROOT / part, self._root / part)
        # Read faster; but never an old reading of a module that is changed.
        subprocess.run([sys.executable, "-m", "compileall", "-q", "."], cwd=self._root, check=True)
        for module in FIVE:
            path = self._root / module
            for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
                compiled.unlink()
        self._trier = subprocess.Popen(
            [sys.executable, "-m", "tests.mutation.trier"],
            cwd=self._root, env=os.environ | _FIXED, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def close(self) -> None:
        """Ends the process."""
        self._trier.communicate(timeout=RUN_S)

    def must_pass(self, module: str) -> None:
        """Fails where the tests do without any mistake."""
        if (verdict := self._run(module)) is not Verdict.MISSED:
            words = " ".join(FIVE[module])
            raise SystemExit(f"a test fails as it is ({verdict.name.lower()}): pytest {words}")

    def judge(self, module: str, source: str) -> Verdict:
        """What the module's tests say where it is that."""
        path = self._root / module
        whole = path.read_text()
        try:
            path.write_text(source)
            return self._run(module)
        finally:
            path.write_text(whole)

    def _run(self, module: str) -> Verdict:
        words = [*_PYTEST, f"--timeout={_TEST_S}", f"--basetemp={self._scratch}", *FIVE[module]]
        assert self._trier.stdin is not None and self._trier.stdout is not None
        self._trier.stdin.write(f"{shlex.join(words)}\n")
        self._trier.stdin.flush()
        answer = self._trier.stdout.readline().strip()
        for verdict in Verdict:
            if answer in verdict.value:
                return verdict
        raise SystemExit(f"pytest {shlex.join(words)}: ended with {answer or 'nothing'}")
