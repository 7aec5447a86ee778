"""What a day of energy is. Pure: no I/O, no third party."""
