"""The pytest side: options, selection, fixtures, recording."""
