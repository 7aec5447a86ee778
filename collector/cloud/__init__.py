"""Shelly Cloud: the only package that knows its URLs, field names, errors and limits."""
