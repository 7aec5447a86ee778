"""The page as one file: built from the page's own files, closed against everything else."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.web.one_file import one_file
from collector.web.site import STATIC


class Scripts(HTMLParser):
    """The scripts and styles of a page as a browser finds them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self._open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag in ("script", "style")
        if self._open:
            self.found.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("script", "style")

    def handle_data(self, data: str) -> None:
        if self._open:
            tag, attributes, text = self.found[-1]
            self.found[-1] = tag, attributes, text + data


def page_of(folder: Path, **modules: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text(
        '<!doctype html><html><head><link rel="stylesheet" href="static/a.css"></head>'
        '<body><script type="module" src="static/page.js"></script></body></html>'
    )
    (folder / "a.css").write_text("body { color: red; }")
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text)
    return folder


def test_everything_is_inline_and_allowed_by_its_hash_alone() -> None:
    """No source but these very texts: a script that got in by the data would not run."""
    text = one_file(STATIC, "{}")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    found = Scripts(text).found
    assert {tag for tag, _, _ in found} == {"script", "style"}
    for _, attributes, content in found:
        assert "src" not in attributes
        digest = base64.b64encode(sha256(content.encode()).digest()).decode()
        assert (f"'sha256-{digest}'" in policy) is (attributes.get("type") != "application/json")


@given(st.text() | st.sampled_from(["</script><script>alert(1)</script>", "<!--<script>", "</SCRIPT >"]))
def test_data_of_any_kind_stays_data(text: str) -> None:
    """A meter's name, a stored reason: no text ends its script or begins another."""
    data = json.dumps({"name": text}, ensure_ascii=False)
    plain, found = Scripts(one_file(STATIC, "{}")).found, Scripts(one_file(STATIC, data)).found
    assert len(found) == len(plain)
    (kept,) = [content for _, attributes, content in found if attributes.get("id") == "data"]
    if text.isprintable():  # the parser reads line ends in its own way
        assert json.loads(kept) == {"name": text}


def test_modules_become_one_that_runs(tmp_path: Path) -> None:
    """With the values they export, renamed or not, each made once, in the order of their imports."""
    if (node := shutil.which("node")) is None:
        pytest.skip("needs node")
    folder = page_of(
        tmp_path / "static",
        page='import { twice as two,\n  start } from "./b.js";\nimport { made } from "./a.js";\n'
        "console.log(two(start), made.length);\n",
        b='import { made } from "./a.js";\nexport const start = 20 + made.length;\n'
        "export function twice(x) {\n  return 2 * x;\n}\n",
        a='export const made = [];\nmade.push("a");\nexport class Unused {}\nexport async function f() {}\n',
    )
    text = one_file(folder, "{}")
    (script,) = [content for _, given, content in Scripts(text).found if given.get("type") == "module"]
    done = subprocess.run(
        [node, "--input-type=module"], input=script, capture_output=True, text=True, check=True
    )
    assert done.stdout == "42 1\n"


@pytest.mark.parametrize(
    "module",
    [
        'import "./a.js";',
        'import * as a from "./a.js";',
        'import a from "./a.js";',
        "export default 1;",
        "export let x = 1;",
        'export { x } from "./a.js";',
        'const end = "</script>";',
        'import { x } from "./page.js";',
    ],
)
def test_a_page_that_is_built_otherwise_is_refused(module: str, tmp_path: Path) -> None:
    """Rather than written and broken."""
    folder = page_of(tmp_path / "static", page=module, a="export const x = 1;")
    with pytest.raises(ValueError, match=r"script|import|export"):
        one_file(folder, "{}")


def test_a_reference_that_is_not_known_is_refused(tmp_path: Path) -> None:
    """It would be requested from nowhere."""
    folder = page_of(tmp_path / "static", page="")
    index = folder / "index.html"
    index.write_text(index.read_text().replace("<body>", '<body><img src="static/x.png">'))
    with pytest.raises(ValueError, match="static/x"):
        one_file(folder, "{}")
