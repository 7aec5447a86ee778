"""What a day of energy is. Pure: reads nothing but the time-zone data, as zoneinfo does; no third party."""
