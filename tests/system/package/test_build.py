"""The package as a file: what is in it, for whom, and that the same tree gives the same bytes."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

import collector
from collector.cli import PROGRAM
from collector.settings import parse
from deb import changes, unit
from deb.building import PACKAGE, TREE, build
from deb.contents import contents

MADE = datetime(2026, 11, 24, tzinfo=UTC)
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
README = (TREE / "README.md").read_text()
UNIT = (TREE / "systemd" / f"{PROGRAM}.service").read_text()


def _needs(tool: str) -> pytest.MarkDecorator:
    beside = TREE / ".venv" / "bin" / tool
    missing = shutil.which(tool) is None and not beside.exists()
    return pytest.mark.skipif(missing, reason=f"no {tool} here")


def files() -> dict[str, bytes]:
    """Everything that is staged, by its path."""
    return {each.path: each.data for each in contents(TREE, "1", MADE)}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("package"))


def unpacked(package: Path) -> list[tarfile.TarInfo]:
    """What dpkg would put on the disk."""
    data = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(package)], capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getmembers()


def field(package: Path, name: str) -> str:
    """One field of the package's description."""
    told = subprocess.run(
        ["dpkg-deb", "--field", str(package), name], capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


@_needs("nfpm")
def test_the_same_tree_gives_the_same_bytes(package: Path, tmp_path: Path) -> None:
    """Whoever builds it, whenever, under whatever umask."""
    before = os.umask(0o077)
    try:
        again = build(tmp_path)
    finally:
        os.umask(before)
    assert again.name == package.name
    assert again.read_bytes() == package.read_bytes()


def test_the_page_is_in_it_with_the_licence_of_what_it_uses() -> None:
    """All of its files, byte by byte, and who wrote the library."""
    static = TREE / "collector" / "web" / "static"
    staged = files()
    for path in static.iterdir():
        assert staged[f"usr/share/{PROGRAM}/{path.relative_to(TREE)}"] == path.read_bytes()
    holder = (static / "uPlot.LICENSE").read_text().splitlines()[2].removeprefix("Copyright (c) ")
    assert f"Copyright: {holder}" in staged[f"usr/share/doc/{PROGRAM}/copyright"].decode()


def test_a_wheel_has_the_page(tmp_path: Path) -> None:
    """Whoever installs it by hand sees it, too."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(tmp_path), str(TREE)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    static = TREE / "collector" / "web" / "static"
    assert {f"collector/web/static/{path.name}" for path in static.iterdir()} <= names


@_needs("nfpm")
def test_the_line_of_the_readme_builds_it(package: Path, tmp_path: Path) -> None:
    """And prints where it is."""
    (line,) = re.findall(r"^\.venv/bin/python (systemd/package/build\.py .*)$", README, re.MULTILINE)
    words = line.replace(" dist", f" {tmp_path}").split()
    done = subprocess.run([sys.executable, *words], cwd=TREE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).read_bytes() == package.read_bytes()


def test_what_is_not_a_version_is_refused(tmp_path: Path) -> None:
    """nfpm would pack it, and dpkg refuse it. Exit code 1, and the reason."""
    words = [sys.executable, "systemd/package/build.py", "--out", str(tmp_path), "--version", "1 beta"]
    done = subprocess.run(words, cwd=TREE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "'1 beta' is not a version" in done.stderr


@_needs("nfpm")
def test_the_time_of_a_build_can_be_given(package: Path, tmp_path: Path) -> None:
    """`SOURCE_DATE_EPOCH`, as Debian's tools do."""
    later = build(tmp_path, environ={**os.environ, "SOURCE_DATE_EPOCH": "1795500000"})
    assert {member.mtime for member in unpacked(later)} == {1795500000}


@_needs("nfpm")
@_needs("dpkg-deb")
def test_everything_is_roots_and_readable(package: Path) -> None:
    """Nothing is writable for others, nothing is set-uid, and only programs are executable."""
    wrong = []
    for member in unpacked(package):
        program = member.name.startswith("./usr/bin/") or member.name.endswith(".rtupdate")
        mode = 0o755 if member.isdir() or program else 0o644
        if (member.uid, member.gid, stat.S_IMODE(member.mode)) != (0, 0, mode):
            wrong.append(f"{member.name} {member.mode:o} {member.uid}:{member.gid}")
    assert wrong == []


@_needs("nfpm")
@_needs("dpkg-deb")
def test_the_package_is_described(package: Path) -> None:
    """By the version of the program, for every computer."""
    assert field(package, "Package") == PROGRAM
    assert field(package, "Version") == changes.debian_version(collector.__version__)
    assert field(package, "Architecture") == "all"


@_needs("nfpm")
@_needs("dpkg-deb")
def test_the_package_depends_on_what_the_program_requires(package: Path) -> None:
    """Every requirement of pyproject.toml, with its bounds, by Debian's name."""
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    depends = field(package, "Depends").split(", ")
    assert f"python3 ({_spaced(project['requires-python'])})" in depends
    for requirement in project["dependencies"]:
        name, *bounds = requirement.split(";")[0].replace(">=", ",>=").replace(",,", ",").split(",")
        debian = name if name == "tzdata" else f"python3-{name}"
        wanted = [f"{debian} ({_spaced(bound)})" for bound in bounds if bound] or [debian]
        assert set(wanted) <= set(depends)


@_needs("nfpm")
@_needs("dpkg-deb")
def test_old_names_of_zones_come_with_the_package_where_there_are_any(package: Path) -> None:
    """Debian 13 has them in a package of their own; on Debian 12, which has none, it can be installed."""
    assert "tzdata" in field(package, "Depends").split(", ")
    assert "tzdata-legacy" in field(package, "Recommends").split(", ")
    assert "tzdata-legacy" not in field(package, "Depends")


def _spaced(bound: str) -> str:
    return bound.replace(">=", ">= ") if bound.startswith(">=") else bound.replace("<", "<< ")


def test_the_whole_program_is_in_it_and_nothing_else_of_the_repository() -> None:
    """No tests, no compiled modules: those are made where it is installed."""
    program = {path for path in files() if path.startswith(f"usr/share/{PROGRAM}/")}
    modules = {str(path.relative_to(TREE)) for path in (TREE / "collector").rglob("*.py")}
    assert {f"usr/share/{PROGRAM}/{module}" for module in modules} <= program
    assert not any(word in path for path in files() for word in ("test", "__pycache__", ".pyc", "deb/"))


def test_there_is_no_configuration_in_it() -> None:
    """So that it does not start before an account is configured, and an upgrade asks no question."""
    assert not any(path.startswith("etc/") for path in files())


def test_the_example_is_the_one_of_the_repository() -> None:
    """With a host and a meter in it, it only lacks the key."""
    example = files()[f"usr/share/doc/{PROGRAM}/examples/config.toml"].decode()
    settings = parse(tomllib.loads(example), {"SHELLY_COLLECTOR_AUTH_KEY": "SIMULATED0NOT0A0REAL0KEY"}, None)
    assert len(settings.meters) == 1


def test_the_pages_for_users_are_in_it() -> None:
    """By the names that the README links, with the reference."""
    folder = f"usr/share/doc/{PROGRAM}"
    packed = {path.removeprefix(f"{folder}/") for path in files() if path.startswith(folder)}
    pages = {
        "README.md",
        "docs/install.md",
        "docs/monitoring.md",
        "docs/day-files.md",
        "docs/troubleshooting.md",
    }
    reference = {f"docs/reference/{name}" for name in ("commands.md", "settings.md", "events.md")}
    assert pages | reference <= packed
    assert "docs/architecture.md" not in packed


def test_the_packaged_unit_differs_only_in_the_program_and_in_when_it_starts() -> None:
    """Every other line is the repository's."""
    ours, packaged = UNIT.splitlines(), unit.packaged(UNIT).splitlines()
    gone = [line for line in ours if line not in packaged and not line.startswith("#")]
    new = [line for line in packaged if line not in ours and not line.startswith("#")]
    assert gone == ["ExecStart=/opt/shelly-collector/bin/shelly-collector run"]
    assert new == [
        "ConditionPathExists=/etc/shelly-collector/config.toml",
        "Documentation=man:shelly-collector(1) man:shelly-collector.toml(5)",
        "ExecStart=/usr/bin/shelly-collector run",
    ]


def test_each_line_of_the_packaged_unit_has_its_reason_above_it() -> None:
    """As in the repository's."""
    lines = unit.packaged(UNIT).splitlines()
    bare = [
        line
        for above, line in zip(["", *lines], lines, strict=False)
        if line and not line.startswith(("#", "[")) and not above.startswith("# ")
    ]
    assert bare == []


def test_a_unit_that_the_package_does_not_know_is_refused() -> None:
    """Rather than packed with a program that is not there."""
    with pytest.raises(ValueError, match="must have these lines once"):
        unit.packaged(UNIT.replace("/opt/", "/srv/"))


@_needs("systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_packaged_unit(tmp_path: Path) -> None:
    """The program aside, which is not installed here."""
    path = tmp_path / f"{PROGRAM}.service"
    path.write_text(unit.packaged(UNIT).replace(f"/usr/bin/{PROGRAM}", "/bin/true"))
    words = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", str(path)]
    verdict = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (verdict.stderr, verdict.returncode) == ("", 0)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_maintainer_scripts_are_plain_shell_that_stops_at_an_error(name: str) -> None:
    """dash reads them on every Debian."""
    path = PACKAGE / name
    assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0
    assert "\nset -e\n" in path.read_text()
    if shutil.which("shellcheck"):
        verdict = subprocess.run(
            ["shellcheck", "-s", "sh", str(path)], capture_output=True, text=True, check=False
        )
        assert verdict.stdout == ""


@pytest.mark.parametrize(
    ("ours", "debians"), [("0.2.0", "0.2.0"), ("0.2.0rc1", "0.2.0~rc1"), ("0.2.0.dev3", "0.2.0~dev3")]
)
def test_a_version_sorts_as_it_is_meant(ours: str, debians: str) -> None:
    """A candidate before its release."""
    assert changes.debian_version(ours) == debians


def test_the_changes_are_told_as_debian_tells_them() -> None:
    """Those of the newest release, dated by it."""
    newest = "## 2.0 – 2027-03-04\n\nAll new.\n\n- one\n  more\n- two\n\n"
    text = f"# Changelog\n\n{newest}## 1.0 – 2026-01-02\n\n- old\n"
    made = changes.made_at(text, {})
    assert made == datetime(2027, 3, 4, tzinfo=UTC)
    told = changes.debian_changelog(text, "2.0", made)
    assert told.splitlines()[:5] == [
        "shelly-collector (2.0) stable; urgency=medium",
        "",
        "  * All new.",
        "  * one more",
        "  * two",
    ]
    assert "old" not in told
    assert told.rstrip().endswith("Thu, 04 Mar 2027 00:00:00 +0000")
