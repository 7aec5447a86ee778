"""The status over HTTP: the local page."""
