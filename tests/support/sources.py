"""Sources as syntax trees, for tests that look into code."""

from __future__ import annotations

import ast
import gc
from pathlib import Path


def tree_of(path: Path) -> ast.Module:
    """The file's syntax tree.

    Without collecting garbage meanwhile: a finalizer that parses code itself, as a traceback does, makes
    `ast.parse` of Python 3.11.2 fail with "AST constructor recursion depth mismatch" (gh-106905).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        if was_enabled:
            gc.enable()
