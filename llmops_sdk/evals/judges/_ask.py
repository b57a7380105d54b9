"""Ask a judge's model: traced, cached, and asked again a bounded number of times when it gives no verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_sdk.client import LLM
from llmops_sdk.config import CacheSettings
from llmops_sdk.errors import ConfigError, VerdictError
from llmops_sdk.evals.judges._verdict import parse_verdict
from llmops_sdk.tracing import span

__all__ = ["Answered", "JudgeModel"]

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
        reasks: How often the judge is asked again after an answer without a verdict.
    """

    def __init__(self, name: str, model: str | None, options: Mapping[str, Any], *, reasks: int) -> None:
        if not 0 <= reasks <= 10:
            raise ConfigError(f"reasks is {reasks!r}: give a number from 0 to 10", key="reasks", value=reasks)
        self._name = name
        self._model = model
        self._options: dict[str, Any] = {"temperature": 0.0, "cache": {"exact": True}, **options}
        self._reasks = reasks
        self._llm: LLM | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Return what the verdicts depend on, as JSON."""
        options = {key: value for key, value in self._options.items() if key not in {"cache", "retry", "timeout"}}
        return {"model": self._model, "options": {key: repr(value) for key, value in sorted(options.items())}}

    async def ask(
        self, messages: Sequence[Mapping[str, Any]], labels: Sequence[str], *, vote: int, attributes: Mapping[str, Any]
    ) -> Answered:
        """Return the verdict on a prompt.

        Args:
            messages: The prompt.
            labels: The labels that the judge may give.
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
                label = parse_verdict(response.text, labels)
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

    def _of_vote(self, vote: int) -> dict[str, Any]:
        cache: Any = self._options["cache"]
        if not vote or not cache:
            return {}
        given: Any = cache
        if cache is True:
            given = {"exact": True}
        elif isinstance(cache, CacheSettings):
            given = cache.model_dump(exclude_unset=True)
        return {"cache": {**given, "namespace": f"{given.get('namespace') or ''}vote {vote}"}}
