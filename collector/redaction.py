"""Texts made safe to show: without secrets in any usual encoding, without control characters. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection
from urllib.parse import quote

MASK = "***"
_SHORTEST = 4  # shorter ones are ignored: they would match parts of every line
_SHORTEST_BASE64 = 8
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]")  # encoders leave these unchanged
_IS_UNRESERVED = re.compile(rf"{_UNRESERVED.pattern}+")
_QUOTES = "\"'"
_ENTITIES = {"&": "&amp;|&#38;", "<": "&lt;", ">": "&gt;", '"': "&quot;|&#34;", "'": "&#x27;|&#39;"}


def printable(text: str) -> str:
    """The text with line breaks, escape sequences, NUL and bidirectional controls spelled out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def redactor(secrets: Collection[str]) -> Callable[[str], str]:
    """A function that replaces every secret in a text by `***`, raw or in any usual encoding.

    Raw, URL-quoted with any safe set, JSON- and repr-escaped, HTML-escaped, base64 in both
    alphabets and in each of its three alignments. Secrets of less than 4 characters are ignored.
    """
    usable = sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)
    forms = [form for secret in usable for form in (secret, *_base64_cores(secret))]
    if not forms:
        return str
    # The usual case: real keys are alphanumeric and look the same in a URL, in JSON and in repr.
    plain = [form for form in forms if _IS_UNRESERVED.fullmatch(form)]
    redact_literally = _literal_redactor(plain)
    if len(plain) == len(forms):
        return redact_literally
    others = set(forms).difference(plain)
    pattern = re.compile("|".join(_pattern(form) for form in forms if form in others))

    def redact(text: str) -> str:
        # Repeated until nothing is found: the text around a mask may form the secret again. The pattern
        # first: what it finds may contain one of the others, never the reverse.
        before = None
        while text != before:
            before = text
            text = redact_literally(pattern.sub(MASK, text))
        return text

    return redact


def _literal_redactor(forms: list[str]) -> Callable[[str], str]:
    """A function that replaces these texts of unreserved characters, the first ones first.

    With a thousand accounts there are thousands, and hardly ever one of them is in the text. So it looks for
    runs of characters that are long enough, and in these for the beginnings of the texts.
    """
    if not forms:
        return str
    shortest = min(map(len, forms))
    long_runs = re.compile(rf"{_UNRESERVED.pattern}{{{shortest},}}").findall
    beginnings = {form[:shortest] for form in forms}

    def redact(text: str) -> str:
        for run in long_runs(text):
            if any(run[at : at + shortest] in beginnings for at in range(len(run) - shortest + 1)):
                break
        else:
            return text
        for form in forms:
            text = text.replace(form, MASK)
        return text

    return redact


def _base64_cores(secret: str) -> list[str]:
    """The parts of the secret's base64 that do not depend on the bytes around it, in both alphabets."""
    data = secret.encode("utf-8", "surrogatepass")
    if len(data) < _SHORTEST_BASE64:
        return []
    cores: dict[str, None] = {}
    for before in range(3):
        first = (before * 8 + 5) // 6  # the characters before are shared with other bytes
        last = (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            cores[encode(b"\0" * before + data).decode()[first:last]] = None
    return list(cores)


def _pattern(text: str) -> str:
    """A regular expression for the text with each character escaped, or not, in the usual ways.

    Runs of backslashes are counted, not repeated one by one: each layer of escaping doubles them.
    They are matched as a whole (possessive `++`, never from the middle), because backtracking over a
    long run would take for ever.
    """
    parts: list[str] = []
    for run, char in re.findall(r"(\\*)([^\\]|\Z)", text):
        begins = "" if parts else r"(?<!\\)"
        if run:
            parts.append(rf"{begins}(?:\\|%5[Cc]){{{len(run)},}}+")
        if char:
            parts.append(_char_pattern(char, slashes="" if run else rf"{begins}\\++", first=not parts))
    return "".join(parts)


def _char_pattern(char: str, *, slashes: str, first: bool) -> str:
    """The pattern of one character; `slashes`: the pattern before the `u` of its escape."""
    if _UNRESERVED.fullmatch(char):
        return re.escape(char)
    quoted = quote(char, safe="", errors="surrogatepass")
    options = [re.escape(char), _any_case(quoted), rf"{slashes}u{_any_case(f'{ord(char):04x}')}"]
    if slashes and not first and char in _QUOTES:
        options.append(rf"\\++{char}")
    if slashes and not first and char == "/":
        options.append(r"\\/")
    if char == " ":
        options.append(r"\+")
    if char in _ENTITIES:
        options.append(_ENTITIES[char])
    return f"(?:{'|'.join(options)})"


def _any_case(digits: str) -> str:
    return "".join(f"[{each.upper()}{each.lower()}]" if each.isalpha() else each for each in digits)
