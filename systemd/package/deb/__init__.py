"""The Debian package: what is in it is made here, from the program itself, and nfpm packs it.

    build.py --> contents (every file, its mode) --> nfpm.yaml and the maintainer scripts --> .deb

The manual pages and the completions are generated from the parsers, the settings, the events and the
exit codes, so that a new one stands in them without being written twice.
"""
