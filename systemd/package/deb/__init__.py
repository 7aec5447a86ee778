"""The Debian package: what is in it is made here, from the program itself, and nfpm packs it.

    build.py --> contents (every file, its mode) --> nfpm.yaml and the maintainer scripts --> .deb

The manual pages, the completions and the pages of docs/reference are generated from the parsers, the
settings, the events, the metrics and the exit codes, so that a new one is written once.
"""
