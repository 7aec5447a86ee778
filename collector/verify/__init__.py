"""Checks stored files: format, checksums, the cloud's totals; and moves wrong ones to the quarantine."""
