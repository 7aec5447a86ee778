"""The files: day files, ledger, lock."""
