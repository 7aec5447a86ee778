"""Completions for bash, zsh and fish: static files that start no Python while a person waits."""

from __future__ import annotations

from deb.commands import Option

FILES, FOLDERS = "FILE", "DIR"
"""The words for values that are completed from the file system."""

HEADER = "# Completion of {program} for {name}; generated from its parsers.\n"


def takes_files(option: Option) -> bool:
    """Whether its value is the path of a file."""
    return option.value == FILES


def takes_folders(option: Option) -> bool:
    """Whether its value is the path of a folder."""
    return option.value == FOLDERS
