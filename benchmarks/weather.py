"""Speed in bad weather: ``python benchmarks/weather.py``, and with ``--real`` in real time.

In real time whole processes meet a mock server that refuses and fails (``weather_real.py``). Without it the gateway
alone meets many kinds of weather in virtual time (``weather_virtual.py``). ``--help`` after either shows its options.
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> None:
    if "--real" in arguments:
        import weather_real

        weather_real.main([argument for argument in arguments if argument != "--real"])
        return
    import weather_virtual

    weather_virtual.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
