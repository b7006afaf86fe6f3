"""Commands that get, convert and check data."""
