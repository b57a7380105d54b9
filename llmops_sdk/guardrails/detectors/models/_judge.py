"""Judge texts by a policy in words, with a model."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from llmops_sdk._util._callables import call_style_of
from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, GuardContext
from llmops_sdk.guardrails.detectors._mapped import digest
from llmops_sdk.guardrails.detectors.models._ask import Judge, aask, ask
from llmops_sdk.guardrails.detectors.models._bounds import bounded, checked_max_chars, checked_threshold
from llmops_sdk.guardrails.detectors.models._question import Question, read_answer, write_question
from llmops_sdk.providers import Provider

__all__ = ["JudgeDetector"]

_VERSION = "1"
"""Changes with the question."""
_LEAST_CHARS = 100
_REMEMBERED = 1_024

_judging: ContextVar[bool] = ContextVar("llmops_judging", default=False)
"""Whether a judge is being asked, here or above."""


@contextmanager
def _asking() -> Generator[None]:
    token = _judging.set(True)
    try:
        yield
    finally:
        _judging.reset(token)


class _Scores:
    """The scores of the latest texts by a digest: each turn of a conversation brings the earlier ones again.

    It needs no lock, which a fork could leave locked: each step is one operation on a dict.
    """

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._recent: dict[bytes, float] = {}
        self._older: dict[bytes, float] = {}

    def key(self, text: str) -> bytes:
        """Return the digest of a text, which tells nothing outside this process."""
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=16).digest()

    def get(self, key: bytes) -> float | None:
        """Return a score, or None."""
        score = self._recent.get(key)
        if score is None and (score := self._older.get(key)) is not None:
            self.put(key, score)
        return score

    def put(self, key: bytes, score: float) -> None:
        """Remember a score; forget the older half when the newer one is full."""
        if len(self._recent) >= _REMEMBERED // 2:
            self._older, self._recent = self._recent, {}
        self._recent[key] = score


@public("llmops_sdk.guardrails.detectors")
class JudgeDetector:
    """Finds texts that break a policy, which a model decides.

    A call to the model takes about a second and costs money, once for each message of the user or for the answer; a
    text that was judged before, as the earlier turns of a conversation, is not sent again. A model can be wrong, and an
    attacker can try to persuade it: use a judge for what no other guard can tell.

    The call to the model passes no guard. Its span stands below that of the guarded call, with tokens and cost and
    without content. A function may call anything itself; judges that its calls meet let everything pass.

    Args:
        policy: What a text must or must not do, in words.
        provider: Who answers: a provider, or a function that takes a prompt and returns an answer.
        model: The model to ask, as in "openai/gpt-4.1-mini"; required with a provider. In the configuration it is
            enough, as the provider is opened from it.
        threshold: The score from which a text counts as found, above 0 and at most 1.
        max_chars: The most characters to send. Of a longer text the judge gets the first and the last half of this
            many, and the detection has `truncated` set.

    Raises:
        ConfigError: The policy is empty, nobody can answer, or a value is out of its range.

    Example:
        >>> import json, re
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors.models._judge import JudgeDetector
        >>> def ask(prompt: str) -> str:  # your model
        ...     wanted = re.findall('"id": "([0-9a-f]+)"', prompt)[-1]
        ...     return json.dumps({"id": wanted, "score": 0.9 if "aspirin" in prompt else 0.1})
        >>> judge = JudgeDetector("The text must not give medical advice.", ask)
        >>> judge.detect("Take two aspirin.", GuardContext(rail="output")).found
        True
    """

    name = "judge"
    whole_text = True

    def __init__(
        self,
        policy: str,
        provider: Judge | None = None,
        *,
        model: str = "",
        threshold: float = 0.5,
        max_chars: int = 20_000,
    ) -> None:
        if not isinstance(policy, str) or not policy.strip():  # pyright: ignore[reportUnnecessaryIsInstance] - a file may hold anything
            raise ConfigError("the guard `judge` needs a policy, in words", key="policy", value=policy)
        self._provider = _checked_provider(provider, model)
        self._policy, self._model = policy, model
        self._max_chars = checked_max_chars(max_chars, _LEAST_CHARS)
        self.threshold = checked_threshold(threshold)
        self.version = f"{_VERSION}:{digest(policy, model, threshold, max_chars)}"
        self._scores = _Scores()

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - all rails alike
        """Return whether a text breaks the policy.

        Raises:
            JudgeAnswerError: The model's answer is not a judgement.
            LLMOpsError: The call to the model failed.
        """
        known = self._known(text)
        if known is not None:
            return known
        question = self._question(text)
        with _asking():
            answer = ask(self._provider, self._model, question, self.name)
        return self._judged(text, read_answer(question, answer))

    async def adetect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - all rails alike
        """Return whether a text breaks the policy, async.

        Raises:
            JudgeAnswerError: The model's answer is not a judgement.
            LLMOpsError: The call to the model failed.
        """
        known = self._known(text)
        if known is not None:
            return known
        question = self._question(text)
        with _asking():
            answer = await aask(self._provider, self._model, question, self.name)
        return self._judged(text, read_answer(question, answer))

    def _known(self, text: str) -> Detection | None:
        """Return what needs no model: nothing inside a judge's own call or in an empty text, or a score of before."""
        if _judging.get() or not text.strip():
            return Detection(threshold=self.threshold)
        score = self._scores.get(self._scores.key(text))
        return None if score is None else self._detection(text, score)

    def _judged(self, text: str, score: float) -> Detection:
        self._scores.put(self._scores.key(text), score)
        return self._detection(text, score)

    def _question(self, text: str) -> Question:
        return write_question(self._policy, bounded(text, self._max_chars))

    def _detection(self, text: str, score: float) -> Detection:
        is_found = score >= self.threshold
        return Detection(
            found=is_found,
            score=score,
            threshold=self.threshold,
            reason="breaks the policy" if is_found else "",
            truncated=len(text) > self._max_chars,
        )


def _checked_provider(provider: Judge | None, model: str) -> Judge:
    if provider is None:
        raise ConfigError(
            'a judge needs a model: set model = "provider/model" in [guardrails.options] of the guard, or give the '
            "detector a provider or a function"
        )
    if isinstance(provider, Provider):
        if not model:
            raise ConfigError('a judge with a provider needs the name of the model: model="provider/model"')
        return provider
    if not callable(provider) or call_style_of(provider) != "function":
        raise ConfigError(f"a judge needs a provider or a plain function, not {type(provider).__name__}")
    return provider
