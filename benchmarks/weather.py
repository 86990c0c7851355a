"""Speed in bad weather: ``python benchmarks/weather.py``, ``--pipeline`` or ``--real``.

Without an option the gateway alone meets many kinds of weather in virtual time (``weather_virtual.py``). With
``--pipeline`` the engine and a pipeline of the user's meet one of them, in virtual time too (``weather_pipeline.py``).
With ``--real`` whole processes meet a mock server that refuses and fails, in real time (``weather_real.py``).
``--help`` after either option shows its own.
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> None:
    if "--real" in arguments:
        import weather_real

        weather_real.main([argument for argument in arguments if argument != "--real"])
        return
    if "--pipeline" in arguments:
        import weather_pipeline

        weather_pipeline.main([argument for argument in arguments if argument != "--pipeline"])
        return
    import weather_virtual

    weather_virtual.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
