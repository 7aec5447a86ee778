"""What the whole product does in a fixed list of scenarios, written into a folder.

Two builds that do the same write the same folder; `python -m tests.record --help` says how to compare them.
"""
