"""Ask a judge's model: traced, cached, and asked again a bounded number of times when it gives no verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from llmops_sdk.client import LLM
from llmops_sdk.config import CacheSettings
from llmops_sdk.errors import ConfigError, VerdictError
from llmops_sdk.evals.judges._verdict import parse_verdict
from llmops_sdk.providers import Response
from llmops_sdk.tracing import span

__all__ = ["WITHOUT_CACHE", "Answered", "JudgeModel"]

WITHOUT_CACHE: ContextVar[bool] = ContextVar("llmops-judges-without-cache", default=False)
"""Whether judges ask their model in any case: what the cache has may be from a model that serves no more."""

_SHOWN = 2_000  # characters of an answer that are kept beside its verdict
_REMINDER = "That has no verdict that can be read. Answer again, and end with one line: Verdict: LABEL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A verdict, what the judge wrote, and how many of its answers had none."""

    label: str
    text: str
    garbage: int


class JudgeModel:
    """The model behind a judge, and how it is asked.

    Args:
        name: The judge's name, for its spans.
        model: The model, or None for the configured one.
        options: Further options of `llmops.LLM`, such as `temperature` or `cache`.
        labels: The labels that the judge may give.
        reasks: How often the judge is asked again after an answer without a verdict.
    """

    def __init__(
        self, name: str, model: str | None, options: Mapping[str, Any], *, labels: Sequence[str], reasks: int
    ) -> None:
        if not 0 <= reasks <= 10:
            raise ConfigError(f"reasks is {reasks!r}: give a number from 0 to 10", key="reasks", value=reasks)
        self._name = name
        self._model = model
        self._labels = tuple(labels)
        self._options: dict[str, Any] = {"temperature": 0.0, "cache": {"exact": True}, **options}
        self._options["cache"] = _cache_option(self._options["cache"])
        if isinstance(self._options["cache"], dict):
            # A later run asks again about a case without a verdict, so the cache must not answer it.
            self._options["cache"] = {"admit": self._has_verdict, **self._options["cache"]}
        self._reasks = reasks
        self._llm: LLM | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Return what the verdicts depend on, as JSON."""
        options = {key: value for key, value in self._options.items() if key not in {"cache", "retry", "timeout"}}
        return {"model": self._model, "options": {key: repr(value) for key, value in sorted(options.items())}}

    async def ask(self, messages: Sequence[Mapping[str, Any]], *, vote: int, attributes: Mapping[str, Any]) -> Answered:
        """Return the verdict on a prompt.

        Args:
            messages: The prompt.
            vote: Which of several questions about the same output this is: another one is not answered by the cache.
            attributes: Attributes of the judge's span.

        Raises:
            VerdictError: No answer had a verdict.
            ProviderError: The model cannot be called.
        """
        said = [dict(message) for message in messages]
        texts: list[str] = []
        async with span(f"judge {self._name}", kind="evaluator", attributes=dict(attributes)) as judging:
            for _ in range(self._reasks + 1):
                response = await self._open().achat(said, **self._of_vote(vote))
                texts.append(response.text)
                label = parse_verdict(response.text, self._labels)
                if label is not None:
                    judging.set_attribute("llmops.judge.label", label)
                    return Answered(label=label, text=response.text[:_SHOWN], garbage=len(texts) - 1)
                said += [{"role": "assistant", "content": response.text}, {"role": "user", "content": _REMINDER}]
            raise VerdictError(
                f"the judge {self._name} gave no verdict in {len(texts)} answers; its last one is in `.answer`",
                judge=self._name,
                answer=texts[-1][:_SHOWN],
            )

    def _open(self) -> LLM:
        if self._llm is None:
            self._llm = LLM(self._model, **self._options)
        return self._llm

    def _has_verdict(self, response: Response) -> bool:
        return parse_verdict(response.text, self._labels) is not None

    def _of_vote(self, vote: int) -> dict[str, Any]:
        if WITHOUT_CACHE.get():
            return {"cache": False}
        cache: Any = self._options["cache"]
        if not vote or not isinstance(cache, dict):
            return {}
        return {"cache": {**cache, "namespace": f"{cache.get('namespace') or ''}vote {vote}"}}  # pyright: ignore[reportUnknownMemberType]


def _cache_option(cache: Any) -> Any:
    """Return the option `cache` in the form of a mapping, to which a judge adds its own keys; or what it is."""
    if cache is True:
        return {"exact": True}
    return cache.model_dump(exclude_unset=True) if isinstance(cache, CacheSettings) else cache
