"""Pure functions that turn results into text for people."""
