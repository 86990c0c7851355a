"""A judge model of the user's behind the gateway: what it is asked, what it gives, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.gateway import Gateway
from pytest_ragcheck.gateway.deepeval_transport import DeepEvalTransport, fingerprint
from pytest_ragcheck.gateway.retry import RetryPolicy
from pytest_ragcheck.metrics.judged.judge import Judge
from pytest_ragcheck.store import Store


class Verdict(BaseModel):
    verdict: str


PLAIN = {"type": "object", "properties": {"verdict": {"type": "string"}}}


class Model:
    """What deepeval asks of a model; replies or raises one after another, the last one again and again."""

    def __init__(self, *outcomes, temperature=0.0, api_key="sk-of-the-user"):
        self.temperature = temperature
        self.api_key = api_key
        self._outcomes = list(outcomes) or ["so"]
        self._asked = []
        self._in_flight = 0
        self._most = 0

    def get_model_name(self):
        return "local-7b"

    async def a_generate(self, prompt, schema=None):
        self._asked.append((prompt, schema))
        self._in_flight += 1
        self._most = max(self._most, self._in_flight)
        try:
            await asyncio.sleep(0.01)
        finally:
            self._in_flight -= 1
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class WithoutSchemas(Model):
    async def a_generate(self, prompt):
        return await super().a_generate(prompt)


class Behind:
    """A judge over the model, and the gateway between them."""

    def __init__(self, model, store=None, **settings):
        self.model = model
        self.wire = DeepEvalTransport(model)
        retries = RetryPolicy(base=0.001, attempts=3)
        self.gateway = Gateway(
            transport=self.wire, base_url=self.wire.endpoint, store=store, retries=retries, **settings
        )
        self.judge = Judge(gateway=self.gateway, model=model.get_model_name(), schema_of=self.wire.schema_of)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.gateway.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "said",
    [
        Verdict(verdict="yes"),
        '{"verdict": "yes"}',
        'Here it is:\n```json\n{"verdict": "yes"}\n```\nWell?',
        {"verdict": "yes"},
        (Verdict(verdict="yes"), 0.01),
        ('{"verdict": "yes"}', None),
    ],
)
async def test_every_form_in_which_models_reply(said):
    async with Behind(Model(said)) as behind:
        assert await behind.judge.ask("Is it?", schema=Verdict) == Verdict(verdict="yes")
        assert behind.model._asked == [("Is it?", Verdict)]
    async with Behind(WithoutSchemas(said)) as behind:
        assert await behind.judge.ask("Is it?", schema=Verdict) == Verdict(verdict="yes")


@pytest.mark.asyncio
async def test_text_and_plain_schemas():
    async with Behind(Model("so it is")) as behind:
        assert await behind.judge.ask("Is it?") == "so it is"
    async with Behind(Model('{"verdict": "no"}')) as behind:
        assert await behind.judge.ask("Is it?", schema=PLAIN) == {"verdict": "no"}
        ((prompt, schema),) = behind.model._asked
        assert (prompt.startswith("Is it?\n"), json.dumps(PLAIN) in prompt, schema) == (True, True, None)


@pytest.mark.asyncio
async def test_the_same_is_asked_once_and_no_more_at_a_time_than_may_be(tmp_path):
    with Store(tmp_path / "cache.sqlite") as store:
        async with Behind(Model(Verdict(verdict="yes")), store, concurrency=3) as behind:
            prompts = [f"Is it {n % 12}?" for n in range(36)]
            await asyncio.gather(*(behind.judge.ask(prompt, schema=Verdict) for prompt in prompts))
            assert len(behind.model._asked) == 12
            assert behind.model._most == 3
            assert behind.gateway.snapshot().cached == 24
        async with Behind(Model(RuntimeError("not asked")), store) as behind:
            assert await behind.judge.ask("Is it 1?", schema=Verdict) == Verdict(verdict="yes")
        async with Behind(Model(Verdict(verdict="no"), temperature=1.0), store) as behind:
            assert await behind.judge.ask("Is it 1?", schema=Verdict) == Verdict(verdict="no")


def test_what_changes_the_replies_is_in_the_fingerprint_and_keys_are_not():
    assert fingerprint(Model()) == fingerprint(Model("other", api_key="sk-another"))
    assert fingerprint(Model()) != fingerprint(Model(temperature=1.0))
    assert fingerprint(Model()) != fingerprint(WithoutSchemas())
    nested = Model()
    nested.generation_kwargs = {"max_tokens": 100, "api_key": "a"}
    prints = {fingerprint(Model()), fingerprint(nested)}
    nested.generation_kwargs["max_tokens"] = 200
    prints.add(fingerprint(nested))
    assert len(prints) == 3
    nested.generation_kwargs["api_key"] = "b"
    assert fingerprint(nested) in prints


class Status(Exception):  # noqa: N818
    def __init__(self, status, **headers):
        super().__init__(f"status {status}")
        self.status_code = status
        self.response = SimpleNamespace(status_code=status, headers=headers)


class APIConnectionError(Exception):
    pass


class RetryError(Exception):
    """As tenacity's, in which deepeval's own models wrap what failed."""

    def __init__(self, inner):
        super().__init__("RetryError[<Future at 0x7f state=finished raised Status>]")
        self.last_attempt = SimpleNamespace(exception=lambda: inner)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "trouble",
    [Status(529), Status(503), Status(429, **{"Retry-After": "0.01"}), APIConnectionError("gone"), TimeoutError("slow"),
     ConnectionResetError("reset"), RetryError(Status(500)), "{", ""],
    ids=repr,
)  # fmt: skip
async def test_trouble_of_the_moment_is_tried_again(trouble):
    async with Behind(Model(trouble, Verdict(verdict="yes"))) as behind:
        assert await behind.judge.ask("Is it?", schema=Verdict) == Verdict(verdict="yes")
        assert len(behind.model._asked) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        (Status(400), "api-error", "local-7b: 400 Status: status 400"),
        (Status(401), "judging", "local-7b: Status: status 401"),
        (KeyError("truths"), "judging", "local-7b: KeyError: 'truths'"),
        (TypeError("a_generate() takes 1"), "judging", "local-7b: TypeError: a_generate() takes 1"),
        (RetryError(ValueError("two\nlines")), "judging", "local-7b: ValueError: two lines"),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_what_no_retry_mends_is_an_error_with_its_cause(fault, kind, told):
    async with Behind(Model(fault)) as behind:
        with pytest.raises(MeasurementError) as caught:
            await behind.judge.ask("Is it?", schema=Verdict)
        assert (caught.value.kind, str(caught.value)) == (kind, told)
        assert len(behind.model._asked) == 1


@pytest.mark.asyncio
async def test_something_else_than_text_is_an_error():
    async with Behind(Model(3.5)) as behind:
        with pytest.raises(MeasurementError, match="the judge gave float, not text"):
            await behind.judge.ask("Is it?")


@pytest.mark.asyncio
async def test_a_model_that_never_answers_is_given_up():
    class Hanging(Model):
        async def a_generate(self, prompt, schema=None):
            await asyncio.Event().wait()

    async with Behind(Hanging(), request_timeout=0.05) as behind:
        with pytest.raises(MeasurementError, match=r"no answer within 0.05 s; gave up after 3 attempts") as caught:
            await behind.judge.ask("Is it?")
        assert caught.value.kind == "timeout"


@pytest.mark.asyncio
async def test_keys_do_not_reach_an_error(monkeypatch):
    monkeypatch.setenv("LOCAL_MODEL_API_KEY", "local-secret-value")
    async with Behind(Model(RuntimeError("Bearer local-secret-value was refused"))) as behind:
        with pytest.raises(MeasurementError) as caught:
            await behind.judge.ask("Is it?")
    assert "local-secret-value" not in str(caught.value)


@pytest.mark.asyncio
async def test_tokens_are_told_or_guessed():
    class Cost(float):
        input_tokens = 120
        output_tokens = 7

    async with Behind(Model(("so", Cost(0.5)))) as behind:
        await behind.judge.ask("Is it?")
        assert (behind.gateway.snapshot().usage.input_tokens, behind.gateway.snapshot().usage.output_tokens) == (120, 7)
    async with Behind(Model("a" * 40)) as behind:
        await behind.judge.ask("b" * 80)
        assert (behind.gateway.snapshot().usage.input_tokens, behind.gateway.snapshot().usage.output_tokens) == (20, 10)
        assert behind.gateway.snapshot().unpriced == 1
