"""The command line of the mock Messages API, and the behaviour that it asks for."""

from __future__ import annotations

import argparse

from pytest_ragcheck.testing.faults import FAULTS, STOP_REASONS, Behaviour, RateHeaders, Storm

__all__ = ["build_behaviour", "build_parser"]


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of ``python -m pytest_ragcheck.testing.messages_api``."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_ragcheck.testing.messages_api",
        description="A Messages API on 127.0.0.1 to rehearse against. Ctrl-C ends it and prints what it saw; "
        "GET /__stats__ does so meanwhile, with ?seconds by second, with ?log call by call.",
        epilog="faults: " + "; ".join(f"{name} ({what})" for name, what in FAULTS.items()),
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="the median")
    parser.add_argument(
        "--model-latency", type=_rate, action="append", default=[], metavar="MODEL=SECONDS", help="may be repeated"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other requests that fail")
    _add_limits(parser)
    parser.add_argument("--fault", type=_rate, action="append", default=[], metavar="NAME=RATE", help="may be repeated")
    parser.add_argument(
        "--storm",
        type=_storm,
        action="append",
        default=[],
        metavar="NAME=START:SECONDS",
        help="every request meets this fault for a while; START counts from the first request; may be repeated",
    )
    parser.add_argument(
        "--stop-reason", type=_rate, action="append", default=[], metavar="NAME=RATE", help=", ".join(STOP_REASONS)
    )
    return parser


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests-per-minute", type=float, metavar="N")
    parser.add_argument("--request-burst", type=int, metavar="N")
    parser.add_argument("--fixed-window", action="store_true", help="refill all requests of a burst at once")
    parser.add_argument("--input-tokens-per-minute", type=float, metavar="N")
    parser.add_argument("--output-tokens-per-minute", type=float, metavar="N")
    parser.add_argument("--max-in-flight", type=int, metavar="N")
    parser.add_argument(
        "--max-in-flight-later",
        type=_change,
        action="append",
        default=[],
        metavar="START=N",
        help="another limit from START seconds after the first request on; may be repeated, in order",
    )
    parser.add_argument(
        "--retry-after", type=_retry_after, default=1.0, metavar="VALUE", help="seconds, none, or any text (default: 1)"
    )
    parser.add_argument("--retry-after-date", action="store_true", help="send it as an HTTP date")
    parser.add_argument(
        "--no-computed-retry-after",
        action="store_true",
        help="send --retry-after, not the true wait, also where --requests-per-minute refuses",
    )
    parser.add_argument(
        "--no-ratelimit-headers",
        action="store_true",
        help="do not send headers about limits that a client would heed: 4,000 requests and 2 million tokens a minute",
    )
    misleading = parser.add_argument_group("misleading rate headers")
    misleading.add_argument("--ratelimit-on-refusals", action="store_true", help="send the headers with a 429 alone")
    misleading.add_argument("--ratelimit-remaining", type=int, metavar="N", help="always this many requests")
    misleading.add_argument("--ratelimit-reset", type=float, metavar="SECONDS", help="from now; below 0 it has passed")
    misleading.add_argument("--ratelimit-skew", type=float, default=0.0, metavar="SECONDS", help="of the clock")


def build_behaviour(options: argparse.Namespace) -> Behaviour:
    """Build the behaviour from parsed options; raises :class:`ConfigurationError` where one is wrong."""
    headers = RateHeaders(
        refusals_only=options.ratelimit_on_refusals,
        remaining=options.ratelimit_remaining,
        reset=options.ratelimit_reset,
        skew=options.ratelimit_skew,
    )
    return Behaviour(
        latency=options.latency,
        model_latency=dict(options.model_latency),
        seed=options.seed,
        requests_per_minute=options.requests_per_minute,
        request_burst=options.request_burst,
        fixed_window=options.fixed_window,
        input_tokens_per_minute=options.input_tokens_per_minute,
        output_tokens_per_minute=options.output_tokens_per_minute,
        max_in_flight=options.max_in_flight,
        max_in_flight_later=tuple(options.max_in_flight_later),
        retry_after=options.retry_after,
        retry_after_computed=not options.no_computed_retry_after,
        retry_after_date=options.retry_after_date,
        ratelimit_headers=False if options.no_ratelimit_headers else headers,
        faults=dict(options.fault),
        storms=tuple(options.storm),
        stop_reasons=dict(options.stop_reason),
    )


def _rate(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=RATE, as in overloaded=0.05") from None


def _storm(text: str) -> Storm:
    name, _, period = text.partition("=")
    start, _, seconds = period.partition(":")
    try:
        return Storm(name, float(start), float(seconds))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=START:SECONDS, as in overloaded=10:30") from None


def _change(text: str) -> tuple[float, int]:
    start, _, most = text.partition("=")
    try:
        return float(start), int(most)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not START=N, as in 10=64") from None


def _retry_after(text: str) -> float | str | None:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        return text
