"""Keeps the hourly history of Shelly energy meters as plain files."""

__version__ = "0.1.0"
