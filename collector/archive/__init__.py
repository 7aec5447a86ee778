"""The archive: day files, ledger, checksums, mark, lock."""
