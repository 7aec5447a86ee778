"""The page with its data as one file, which opens without a server. Pure, apart from reading `static/`."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from pathlib import Path

_STYLE = re.compile(r'<link rel="stylesheet" href="/?static/([\w.-]+)">')
_SCRIPT = re.compile(r'<script (?:defer )?src="/?static/([\w.-]+)"></script>')
_MODULE = re.compile(r'<script type="module" src="/?static/([\w.-]+)"></script>')
_OTHER_LINK = re.compile(r'<link rel="(?:modulepreload|icon)"[^>]*>\n?')
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w.-]+)";?$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class)\b\W*(\w+))", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
_REFERENCE = re.compile(r"""(?:src|href)="/?static/[^"]*""")


def one_file(static: Path, data: str) -> str:
    """The page in that folder as one HTML file with `data`, a JSON text, in it.

    Its policy (CSP) allows these very scripts and styles, by their hashes, and nothing else.
    Raises `ValueError` if the page is built in another way than is known here.
    """
    page = _OTHER_LINK.sub("", (static / "index.html").read_text(encoding="utf-8"))
    allowed: dict[str, list[str]] = {"script": [], "style": []}

    def inline(kind: str, attributes: str, text: str) -> str:
        if f"</{kind}" in text.lower():
            raise ValueError(f"a {kind} of the page has the end of a {kind} in it")
        digest = base64.b64encode(sha256(text.encode()).digest()).decode()
        allowed[kind].append(f"'sha256-{digest}'")
        return f"<{kind}{attributes}>{text}</{kind}>"

    def file(name: str) -> str:
        return (static / name).read_text(encoding="utf-8")

    page = _STYLE.sub(lambda found: inline("style", "", file(found[1])), page)
    page = _SCRIPT.sub(lambda found: inline("script", "", file(found[1])), page)
    page = _MODULE.sub(
        lambda found: inline("script", ' type="module"', _as_one_script(static, found[1])), page
    )
    if left := _REFERENCE.search(page):
        raise ValueError(f"a reference of the page was not understood: {left[0]}")
    policy = (
        f"default-src 'none'; script-src {' '.join(allowed['script'])}; "
        f"style-src {' '.join(allowed['style'])}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = f'<head>\n<meta http-equiv="Content-Security-Policy" content="{policy}">'
    shown = data.replace("<", "\\u003c")  # so that no text in it can end the script
    block = f'<script type="application/json" id="data">{shown}</script>\n'
    before, script, after = page.replace("<head>", head, 1).partition("<script")
    return f"{before}{block}{script}{after}"


def _as_one_script(static: Path, name: str) -> str:
    """A module and all that it imports as one module without imports.

    Each becomes a function that returns its exports, in the order in which they are needed.
    """
    done: dict[str, str] = {}
    _add(static, name, done, ())
    return "".join(done.values())


def _add(static: Path, name: str, done: dict[str, str], users: tuple[str, ...]) -> None:
    if name in users:
        raise ValueError(f"modules import each other: {' '.join((*users, name))}")
    if name in done:
        return
    text = (static / name).read_text(encoding="utf-8")
    for _, other in _IMPORT.findall(text):
        _add(static, other, done, (*users, name))
    text = _IMPORT.sub(
        lambda found: f"const {{{found[1].replace(' as ', ': ')}}} = {_object(found[2])};", text
    )
    exports = _EXPORT.findall(text)
    text = _EXPORT.sub("", text)
    if left := _LEFT.search(text):
        raise ValueError(f"{name}: an import or export that is not understood: {left[0]}")
    done[name] = f"const {_object(name)} = (() => {{\n{text}\nreturn {{ {', '.join(exports)} }};\n}})();\n"


def _object(module: str) -> str:
    return f"module_{re.sub(r'[^0-9A-Za-z]', '_', module)}"
