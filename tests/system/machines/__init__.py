"""Whole Debian machines in containers, with the systemd that the unit is written for."""
