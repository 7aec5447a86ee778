"""Shelly Cloud: the only room that knows its URLs, field names, errors and limits."""
