"""The completions, asked as the shells ask them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from collector.cli import COMMANDS
from deb.commands import Verb, verbs
from deb.completions import bash, fish, zsh

SCRIPTS = {"bash": bash.script(), "zsh": zsh.script(), "fish": fish.script()}


def shell(name: str, *words: str, folder: Path | None = None) -> str:
    """What the shell prints; nothing may go wrong in it."""
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    done = subprocess.run([name, *words], capture_output=True, text=True, timeout=30, check=False, cwd=folder)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def completed(folder: Path, *words: str) -> set[str]:
    """What bash offers for the last word, as it splits the line."""
    (folder / "completion").write_text(SCRIPTS["bash"])
    line = " ".join(shlex.quote(word) for word in ("shelly-collector", *words))
    script = (
        f"source ./completion; COMP_WORDS=({line}); COMP_CWORD={len(words)}; compopt() {{ :; }}; "
        '_shelly_collector; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return set(shell("bash", "--norc", "-c", script, folder=folder).split("\n")) - {""}


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_shell_can_read_its_completion(name: str, tmp_path: Path) -> None:
    """A mistake would be shown to a person at each Tab."""
    (tmp_path / "completion").write_text(SCRIPTS[name])
    assert shell(name, "-n", "completion", folder=tmp_path) == ""


def test_bash_offers_every_command(tmp_path: Path) -> None:
    """And what stands without one."""
    assert completed(tmp_path, "") == {*COMMANDS, "--version", "--help"}
    assert completed(tmp_path, "ba") == {"backfill"}


@pytest.mark.parametrize(
    "verb", [verb for verb in verbs() if not verb.actions], ids=lambda verb: " ".join(verb.words)
)
def test_bash_offers_every_option_of_a_command(verb: Verb, tmp_path: Path) -> None:
    """One spelling each."""
    assert completed(tmp_path, *verb.words, "--") == {option.offered for option in verb.options}


def test_bash_offers_the_actions_of_a_command(tmp_path: Path) -> None:
    """And the options of an action, not those of another."""
    assert {"check", "show"} < completed(tmp_path, "config", "")
    assert completed(tmp_path, "config", "check", "--c") == {"--config"}
    assert completed(tmp_path, "config", "nothing", "") == set()


def test_bash_completes_files_and_folders_where_they_are_meant(tmp_path: Path) -> None:
    """Also after an equals sign; a key or a number is nobody's to guess."""
    (tmp_path / "my config.toml").touch()
    (tmp_path / "my folder").mkdir()
    for words in (
        ("run", "--config", "my"),
        ("run", "--config", "=", "my"),
        ("config", "show", "--config", "my"),
    ):
        assert completed(tmp_path, *words) == {"my config.toml", "my folder"}
    assert completed(tmp_path, "backfill", "--odir", "my") == {"my folder"}
    assert completed(tmp_path, "run", "--config", "=") >= {"my config.toml"}
    assert completed(tmp_path, "backfill", "--auth-key", "m") == set()


def test_bash_offers_nothing_after_an_unknown_command(tmp_path: Path) -> None:
    """It would be wrong."""
    assert completed(tmp_path, "nonsense", "-") == set()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ba", {"backfill"}),
        ("config ", {"check", "show"}),
        ("config check --c", {"--config"}),
        ("backfill --auth", {"--auth_key", "--auth-key"}),
        ("nonsense --c", set()),
    ],
)
def test_fish_offers_what_can_follow(line: str, offered: set[str], tmp_path: Path) -> None:
    """Commands, actions and options, each in its place."""
    (tmp_path / "completion").write_text(SCRIPTS["fish"])
    script = f"source ./completion; complete -C 'shelly-collector {line}'"
    answer = shell("fish", "--no-config", "-c", script, folder=tmp_path)
    assert {each.split("\t")[0] for each in answer.splitlines()} == offered


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_word_stands_in_every_completion(name: str) -> None:
    """Of commands, actions and options."""
    for verb in verbs():
        assert verb.words[-1] in SCRIPTS[name]
        for option in verb.options:
            shown = f"-l {option.offered[2:]} " if name == "fish" else option.offered
            assert shown in SCRIPTS[name], verb.words
