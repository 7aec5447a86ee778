"""Collecting for one account: a day of one meter, the workers that collect days, and outages."""
