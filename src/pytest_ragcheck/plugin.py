"""The pytest hooks: each hands over to the session room."""
