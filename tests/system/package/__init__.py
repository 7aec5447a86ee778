"""The Debian package: what is generated, what is in it, and what it does to a machine."""
