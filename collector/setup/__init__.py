"""`setup`: from host and key to a configuration. What the user types and sees is in `cli/setup.py`."""
