"""Text -> roff for man(7) pages: whatever is in it comes out as it is read, and never as a request.

Pages are plain ASCII, so that no reader needs to guess their encoding.
"""

from __future__ import annotations

import re
import textwrap
from datetime import date

_WIDTH = 76
_SPECIAL = {
    "\\": r"\e",
    "-": r"\-",  # a hyphen that can be copied into a shell
    "'": r"\(aq",
    "`": r"\(ga",
    "^": r"\(ha",
    "~": r"\(ti",
    '"': r"\(dq",
    "…": "...",
    "–": r"\(en",
    "−": r"\-",
    "≥": r"\(>=",
}
_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z`$])")
_CODE = re.compile(r"`([^`]+)`")


def title(name: str, section: int, day: date, source: str, manual: str) -> str:
    """The first line of a page."""
    return f'.TH {name.upper()} {section} {day} "{escaped(source)}" "{escaped(manual)}"\n'


def heading(words: str) -> str:
    """A section; its name in capitals."""
    return f'.SH "{escaped(words)}"\n'


def subheading(words: str) -> str:
    """A section within a section."""
    return f'.SS "{escaped(words)}"\n'


def paragraph(words: str) -> str:
    """A paragraph of its own."""
    return ".PP\n" + prose(words)


def item(term: str, words: str) -> str:
    """A bold term, and what it means, indented."""
    return f".TP\n{bold(term)}\n{prose(words)}"


def example(lines: str) -> str:
    """Lines as they are typed."""
    typed = "\n".join(_harmless(escaped(line)) for line in lines.splitlines())
    return f".PP\n.RS 4\n.nf\n{typed}\n.fi\n.RE\n"


def bold(words: str) -> str:
    """A line in bold."""
    return rf"\fB{escaped(words)}\fR"


def prose(words: str) -> str:
    """Running text, a sentence a line; what is in backquotes is bold."""
    lines = []
    for sentence in _SENTENCE.split(" ".join(words.split())):
        marked = "".join(
            bold(piece) if odd else escaped(piece)
            for odd, piece in ((index % 2, piece) for index, piece in enumerate(_CODE.split(sentence)))
        )
        lines += textwrap.wrap(marked, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "".join(f"{_harmless(line)}\n" for line in lines)


def escaped(words: str) -> str:
    """The words within a line or within the quotes of a macro."""
    return "".join(_SPECIAL.get(char) or _named(char) for char in words)


def _named(char: str) -> str:
    if " " <= char <= "~":
        return char
    return " " if char.isspace() else rf"\[u{ord(char):04X}]"


def _harmless(line: str) -> str:
    return rf"\&{line}" if line.startswith(".") else line
