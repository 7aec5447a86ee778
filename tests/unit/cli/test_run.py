"""`run` does not load certificates that it does not need."""

from __future__ import annotations

import os
from pathlib import Path
from ssl import DefaultVerifyPaths

from collector.cli.run import read_ca_certificates_when_needed

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"


def _paths(place: Path, in_file: int, in_folder: int) -> DefaultVerifyPaths:
    """A system with that many certificates in its file and in its folder."""
    file, folder = place / "cert.pem", place / "certs"
    file.write_bytes(_CERTIFICATE * in_file)
    folder.mkdir()
    for number in range(in_folder):
        (folder / f"{number:08x}.0").write_bytes(_CERTIFICATE)
        (folder / f"name-of-{number}.pem").write_bytes(_CERTIFICATE)
    names = ("SSL_CERT_FILE", str(file), "SSL_CERT_DIR", str(folder))
    return DefaultVerifyPaths(str(file), str(folder), *names)


def test_a_folder_with_all_ca_certificates_replaces_their_file(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    read_ca_certificates_when_needed(environ, _paths(tmp_path, in_file=3, in_folder=3))
    assert environ == {"SSL_CERT_FILE": os.devnull}


def test_a_folder_that_lacks_a_ca_certificate_does_not(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    read_ca_certificates_when_needed(environ, _paths(tmp_path, in_file=3, in_folder=2))
    assert environ == {}


def test_without_a_file_of_ca_certificates_nothing_changes(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    paths = _paths(tmp_path, in_file=0, in_folder=2)
    Path(paths.openssl_cafile).unlink()
    read_ca_certificates_when_needed(environ, paths)
    assert environ == {}


def test_places_that_the_environment_names_are_used(tmp_path: Path) -> None:
    paths = _paths(tmp_path, in_file=3, in_folder=3)
    for named in ({"SSL_CERT_FILE": "/a/file"}, {"SSL_CERT_DIR": "/a/folder"}):
        environ = dict(named)
        read_ca_certificates_when_needed(environ, paths)
        assert environ == named
