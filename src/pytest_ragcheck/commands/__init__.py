"""What ``python -m pytest_ragcheck`` can do: a module for each command, with ``add_parser(commands)``."""
