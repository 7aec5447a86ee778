"""Whether the stand-in for Home Assistant answers as the real one does."""
