"""Text -> Markdown for the pages of docs/reference: tables, whose cells no text can break out of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table with a row for each of `rows`."""
    lines = [heads, tuple("---" for _ in heads), *(tuple(map(_cell, row)) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def terms(heads: tuple[str, str], meanings: Mapping[str, str]) -> str:
    """A table of terms, each in code, and what they mean."""
    return table(heads, ((code(term), meaning) for term, meaning in meanings.items()))


def code(words: str) -> str:
    """Words as they are typed."""
    return f"`{words}`"


def block(lines: str, language: str = "") -> str:
    """Lines as they are typed."""
    return f"```{language}\n{lines}\n```\n"


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", r"\|")
