"""Commands that convert and pass on weights."""
