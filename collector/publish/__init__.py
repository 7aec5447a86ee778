"""Sends the stored hours to other programs after each change: to Home Assistant and to InfluxDB."""
