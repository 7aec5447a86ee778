"""The service: its process, schedule, status, and what it sends to systemd and to monitors."""
