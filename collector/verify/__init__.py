"""Stored files against their format, their checksums and the cloud's totals; and how they are mended."""
