"""A suite: one question file with its settings, and what answers and measures it."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.baseline.datasets import QuestionFile
from pytest_ragcheck.dataset import load_questions, resolve_gold
from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.heavy_imports import without_collections
from pytest_ragcheck.metrics.judged.kinds import KINDS
from pytest_ragcheck.metrics.registry import create_metrics, required_inputs
from pytest_ragcheck.rag.adapters.messages import search_text
from pytest_ragcheck.rag.importing import is_import_path
from pytest_ragcheck.session import systems
from pytest_ragcheck.session.config_file import find_configuration
from pytest_ragcheck.session.embedders import configured_embedder
from pytest_ragcheck.session.judges import Judges
from pytest_ragcheck.session.metric_choice import MetricChoice, check_threshold_names
from pytest_ragcheck.session.user_metrics import made_for
from pytest_ragcheck.store import Store, digest, state_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_ragcheck.gateway import Completer
    from pytest_ragcheck.gateway.limiter import AdmissionControl
    from pytest_ragcheck.metrics.base import Metric
    from pytest_ragcheck.metrics.judged.metric import Judging
    from pytest_ragcheck.metrics.registry import MetricSpec
    from pytest_ragcheck.model import Question
    from pytest_ragcheck.rag.claude import ClaudeGenerator
    from pytest_ragcheck.rag.corpus import Corpus
    from pytest_ragcheck.rag.embedding import CachedEmbedder
    from pytest_ragcheck.rag.index import Index
    from pytest_ragcheck.rag.pipeline import Generator, Pipeline
    from pytest_ragcheck.rag.recorded import RecordedAnswers
    from pytest_ragcheck.session.access import CheckedGateway
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.session.gateways import Gateways
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.planning import PlannedGenerator
    from pytest_ragcheck.session.user_metrics import FixtureMetrics

__all__ = ["Suite"]


class Suite:
    """One question file under one configuration.

    Making it reads and checks questions, documents and settings, and raises the first RagcheckError;
    models, index and vectors wait until they are needed. ``root`` is the session's, from which the suite is named;
    None: the folder of the configuration.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        options: Options,
        store: Store,
        gateways: Gateways,
        metrics: Mapping[str, float | None] | None,
        root: Path | None = None,
    ) -> None:
        if settings.questions is None:
            raise ConfigurationError(
                f'{settings.origin}: no questions; set `questions = "questions.yaml"` there, or name the file: '
                "pytest --ragcheck questions.yaml"
            )
        self.settings = settings
        self.store = store
        self.own_metrics = metrics
        """What the test says of metrics in place of the configuration; None: nothing."""
        self._options = options
        self.gateways = gateways
        self._fixture_judges = False
        self._imports_begun = False
        self.is_set_up = False
        """Whether the reference pipeline was used."""
        self.local_name = _relative(settings.questions, settings.root)
        """The question file as seen from the configuration: the same in every session."""
        self.file = _question_file(settings, settings.questions, self.local_name)
        self.name = self.local_name if root is None else self.file.name_from(root.resolve())
        """The question file as seen from the root of the session: no other suite has it, but those of other marks."""
        self.identity = digest(*map(repr, (settings, sorted((metrics or {}).items())))).hex()
        shown = _relative(settings.questions, Path.cwd())
        loaded = self.written = load_questions(settings.questions, name=shown)
        resolved = loaded if self.corpus is None else resolve_gold(loaded, self.corpus.texts)
        self.questions = tuple(replace(question, dataset=self.name) for question in resolved)
        check_threshold_names(loaded)
        choice = MetricChoice(settings, self.name, self.questions, options.metrics)
        self._configured = choice.chosen(settings.metrics if metrics is None else metrics)
        self._check_metrics()
        self._check_access()
        self._check_system()
        if self.corpus is not None and is_import_path(settings.embedder):
            _ = self.embedder  # tells at once what is wrong with it

    @cached_property
    def corpus(self) -> Corpus | None:
        """The documents; None where none are configured."""
        from pytest_ragcheck.rag.corpus import read_corpus

        if not self.settings.documents:
            return None
        try:
            return read_corpus(self.settings.documents, self.settings.root, self.store)
        except ConfigurationError as problem:
            raise ConfigurationError(f"{self.settings.origin}: {problem}") from None

    @cached_property
    def embedder(self) -> CachedEmbedder:
        """The configured embedder, behind the store."""
        from pytest_ragcheck.rag.embedding import CachedEmbedder

        return CachedEmbedder(configured_embedder(self.settings), self.store)

    @cached_property
    def index(self) -> Index:
        """The vector index over the documents; ConfigurationError where none are configured."""
        from pytest_ragcheck.rag.index import Index

        if self.corpus is None:
            raise ConfigurationError(
                f'{self.settings.origin}: no documents; set `documents = ["docs/**/*.md"]`, '
                "or override the fixture ragcheck_pipeline with your own system"
            )
        return Index(
            self.corpus,
            folder=self._index_folder(),
            embedder=self.embedder,
            store=self.store,
            size=self.settings.chunk_size,
            overlap=self.settings.chunk_overlap,
            exact_up_to=self.settings.exact_search_up_to,
        )

    def _index_folder(self) -> Path:
        try:
            return state_folder(self.settings.root) / "index"
        except OSError:  # --ragcheck-cache off in a read-only checkout
            folder = tempfile.mkdtemp(prefix="ragcheck-index-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            return Path(folder)

    @property
    def notices(self) -> list[str]:
        """What the user should know of how it was measured."""
        if not self.is_set_up or self.index.recall is None:
            return []
        among = f"an approximate search among {len(self.index.chunks):,} chunks"
        return [
            f"{self.name}: {among}; it found {self.index.recall:.1%} of what an exact one finds (exact_search_up_to)"
        ]

    @property
    def has_own_system(self) -> bool:
        """Whether the configuration names a system of the user's in place of the reference pipeline."""
        return systems.is_own_system(self.settings)

    @cached_property
    def recorded(self) -> RecordedAnswers:
        """The recorded answers that the configuration names."""
        return systems.read_recorded(self.settings, self.written)

    @cached_property
    def pipeline(self) -> Pipeline:
        """The reference pipeline: retrieve from the index, answer with the configured generator."""
        from pytest_ragcheck.rag.offline import OfflineGenerator
        from pytest_ragcheck.rag.pipeline import ReferencePipeline

        generator: Generator | None
        if self.settings.generator == systems.NONE:
            generator = None
        elif self._options.plan:
            generator = self._planned_generator
        elif self.model_generator is None:
            generator = OfflineGenerator(self.index, self.store, reads_store=self._options.cache != "refresh")
        else:
            generator = self.model_generator
        return ReferencePipeline(self.index, generator, top_k=self.settings.top_k)

    @cached_property
    def _planned_generator(self) -> PlannedGenerator:
        from pytest_ragcheck.session.planning import PlannedGenerator

        if self.model_generator is None:
            return PlannedGenerator(None, [])
        requests = self.gateways.planned(self.settings)
        return PlannedGenerator(self.model_generator, requests, is_cached=self.gateway.is_cached)

    @cached_property
    def model_generator(self) -> ClaudeGenerator | None:
        """The configured model behind the gateway; None where no model is configured."""
        if self.has_own_system or self.settings.generator in {systems.EXTRACTIVE, systems.NONE}:
            return None
        provider, _, model = self.settings.generator.partition(":")
        if provider == systems.ANTHROPIC and model:
            return self._model_generator(model)
        raise systems.unknown_generator(self.settings)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """One object for each metric that is measured."""
        names = self._configured
        needs_embedder = any("embedder" in required_inputs(name) for name in names)
        embed = self.embedder.embed_soon if needs_embedder else None
        metrics = create_metrics(
            names,
            top_k=self.settings.top_k,
            embed=embed,
            documents=None if self.corpus is None else self.corpus.texts,
            judging=self.judging,
            judging_by=self.judges.by,
        )
        return self._planned(metrics) if self._options.plan else metrics

    def _planned(self, metrics: Iterable[Metric]) -> tuple[Metric, ...]:
        from pytest_ragcheck.session.planning import PlannableMetric, PlannedMetric

        requests = self.judges.planned if self.is_judged else []
        known_answer = self._planned_generator.known_answer
        return tuple(
            PlannedMetric(metric, requests, known_answer) if isinstance(metric, PlannableMetric) else metric
            for metric in metrics
        )

    @cached_property
    def judging(self) -> Judging | None:
        """What judged metrics share; None where none is measured."""
        if not self._judged:
            return None
        return self.judges.configured

    @cached_property
    def judges(self) -> Judges:
        """Who can judge here."""
        return Judges(
            settings=self.settings,
            options=self._options,
            store=self.store,
            gateways=self.gateways,
            thresholds={name: least for name, least in self._configured.items() if least is not None},
        )

    def _model_generator(self, model: str) -> ClaudeGenerator:
        from pytest_ragcheck.rag.claude import ClaudeGenerator

        said = self.settings.generation
        chosen: dict[str, Any] = {"template": said.prompt, "system": said.system, "max_tokens": said.max_tokens}
        chosen = {name: value for name, value in chosen.items() if value is not None}
        try:
            return ClaudeGenerator(gateway=self.gateway, model=model, parameters=said.parameters, **chosen)
        except ConfigurationError as problem:
            raise ConfigurationError(f"{self.settings.origin}: generation.prompt: {problem}") from None

    @cached_property
    def gateway(self) -> CheckedGateway:
        """The door to the models of this suite."""
        return self.gateways.of(self.settings, self.store)

    @property
    def limiter(self) -> AdmissionControl:
        """The limiter of the judge's calls, or else of the configured model's."""
        return self.judges.limiter if self.is_judged else self.gateways.limiter(self.settings)

    @property
    def pipeline_gateway(self) -> Completer:
        """What makes the model calls of the user's pipeline; under ``--ragcheck-plan`` it only notes them."""
        from pytest_ragcheck.session.planning import PlannedGateway

        return PlannedGateway(self.gateways.planned(self.settings)) if self._options.plan else self.gateway

    def metrics_of_fixture(self, given: Sequence[MetricSpec]) -> FixtureMetrics:
        """What the fixture gave, made for this suite; ConfigurationError where one needs a judge and there is none."""
        wanted = [spec for spec in given if self._options.metrics is None or spec.name in self._options.metrics]
        self._fixture_judges = self._fixture_judges or any("judge" in spec.needs for spec in wanted)
        made = made_for(wanted, self.judges, top_k=self.settings.top_k)
        return made if not self._options.plan else replace(made, metrics=self._planned(made.metrics))

    def set_up(
        self,
        questions: Sequence[Question],
        *,
        is_shared: bool = False,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Build or load what the reference pipeline needs to answer ``questions``; nothing if the store has it all.

        ``is_shared``: other processes set up the same. ``meanwhile`` as in
        :meth:`~pytest_ragcheck.rag.index.Index.make_ready`.
        """
        self.is_set_up = True
        texts = [search_text(question) for question in questions]
        for_all = is_shared and self.store.path is not None
        self.index.make_ready(texts, self.settings.top_k, for_all=for_all, meanwhile=meanwhile)

    def thresholds(self, question: Question) -> Mapping[str, float]:
        """The least values for one question, by metric."""
        least = {name: value for name, value in self._configured.items() if value is not None}
        own = {name: value for name, value in question.thresholds.items() if name in self._configured}
        return least | own

    @property
    def is_judged(self) -> bool:
        """Whether a judge scores anything here."""
        return bool(self._judged) or self._fixture_judges

    @property
    def _judged(self) -> tuple[str, ...]:
        return tuple(name for name in self._configured if "judge" in required_inputs(name))

    def _check_metrics(self) -> None:
        for name in self._configured:
            if "embedder" in required_inputs(name):
                _ = self.embedder  # tells at once what is not installed
            if "judge" in required_inputs(name):
                self._check_judge(name)

    def _check_system(self) -> None:
        """What can be known of a system of the user's before it is asked."""
        if self.settings.answers is not None:
            _ = self.recorded
        elif systems.is_endpoint(self.settings):
            endpoint = systems.make_endpoint(self.settings)
            systems.check_history(endpoint, self.written)
            if not self._options.plan and self._options.cache != "only":
                systems.check_environment(endpoint, self.settings)

    @property
    def contexts_needed_by(self) -> frozenset[str]:
        """The metrics that look at contexts."""
        return frozenset(name for name in self._configured if "contexts" in required_inputs(name))

    def _check_judge(self, name: str) -> None:
        from pytest_ragcheck.metrics.judged.library import check_installed

        if self.settings.judge is None:
            raise ConfigurationError(
                f'{self.settings.origin}: metric {name!r} needs a judge; set `judge = "anthropic:MODEL"` there, '
                "or leave the metric out"
            )
        if name in KINDS:
            check_installed()
        _ = self.judges.own_model  # tells at once what is wrong with it

    def _check_access(self) -> None:
        """A missing key is told before anything is asked, unless the store may have all the answers."""
        if not self._asks_models() or not self._asks_anthropic():
            return
        from pytest_ragcheck.gateway.anthropic_transport import KEY_VARIABLES, check_credentials

        has_key = any(os.environ.get(name) for name in KEY_VARIABLES)
        if has_key or not self._may_have_replies():
            check_credentials()

    def is_sure_to_ask(self, *, generates: bool) -> bool:
        """Whether a model will be called; where the store holds replies, that shows only when they are needed.

        ``generates``: whether the configured generator is used.
        """
        return self._asks_models(generates=generates) and not self._may_have_replies()

    def begin_imports(self) -> None:
        """Import what calls and named judged metrics need, in a thread and in that order; returns at once.

        To be called where a model is sure to be called, as early as the processor has time for it.
        """
        if self._imports_begun:
            return
        self._imports_begun = True
        from pytest_ragcheck.gateway.anthropic_transport import import_sdk

        imports: list[Callable[[], None]] = [import_sdk] if self._asks_anthropic() else []
        if self.judging is not None and set(self._judged) & set(KINDS):
            imports.append(self.judging.library.load)
        threading.Thread(target=_do_all, args=(imports,), name="ragcheck-imports", daemon=True).start()

    async def open(self) -> None:
        """Do what the first call would have to wait for; ConfigurationError where no call can work."""
        self.begin_imports()
        if self._asks_anthropic():
            await self.gateway.open()

    def _asks_models(self, *, generates: bool = True) -> bool:
        asks = (generates and self.model_generator is not None) or bool(self._judged)
        return asks and not self._options.plan and self._options.cache != "only"

    def _asks_anthropic(self) -> bool:
        return self.model_generator is not None or (bool(self._judged) and self.judges.own_model is None)

    def _may_have_replies(self) -> bool:
        from pytest_ragcheck.gateway.replies import KIND

        return self._options.cache == "use" and KIND in self.store.size().entries


def _question_file(settings: Settings, questions: Path, former_name: str) -> QuestionFile:
    """Two paths to one folder are one; a link to a file is a question file of its own, with a baseline next to it."""
    folder = questions.parent.resolve()
    own, nearest = map(_path_of_configuration, (settings.root, folder))
    return QuestionFile(
        questions=folder / questions.name, configuration=None if own == nearest else own, former_name=former_name
    )


def _path_of_configuration(folder: Path) -> Path | None:
    found = find_configuration(folder)
    return None if found is None else found.path.resolve()


def _do_all(imports: Iterable[Callable[[], None]]) -> None:
    # Whoever needs a module that cannot be imported tries again, and raises what is wrong.
    with suppress(Exception), without_collections(freeze=True):
        for import_it in imports:
            import_it()


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
