"""Run a text classifier from a local folder, in the ONNX format."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from typing import Literal

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext
from llmops_sdk.guardrails.detectors._mapped import digest, merged
from llmops_sdk.guardrails.detectors._saved_threshold import checked_version
from llmops_sdk.guardrails.detectors.models._bounds import bounded, checked_max_chars, checked_threshold
from llmops_sdk.guardrails.detectors.models._onnx import OnnxModel, load

__all__ = ["ClassifierDetector"]

_BATCH = 8
_LEAST_WINDOW = 16


@public("llmops_sdk.guardrails.detectors")
class ClassifierDetector:
    """Finds texts that a classifier of yours recognises, such as a model for injections or toxicity.

    It runs models of Hugging Face in the ONNX format, on the CPU, in one thread a call; nothing is downloaded and
    PyTorch is not needed. It reads windows of the text, and the highest score counts, so nothing is cut at 512 tokens.

    Args:
        path: The folder, with `tokenizer.json` and `model.onnx` or `model_quantized.onnx` in it or in `onnx/`.
        label: What to find: a label of the model's `config.json`, as in "INJECTION", or the number of an output.
            Required unless the model has one output.
        threshold: The score from which a text counts as found, above 0 and at most 1; calibrate it on your texts.
        activation: "softmax" if the labels exclude each other, "sigmoid" if not; a model with one output has "sigmoid".
        temperature: The number by which the model's outputs are divided first, if it was calibrated with one.
        window: Tokens of a window; a quarter of it overlaps with the next.
        max_chars: The most characters to read. Of a longer text the detector reads the first and the last half of this
            many, and the detection has `truncated` set.
        version: The version that `llmops guard calibrate` printed with the threshold, or None.

    Raises:
        ConfigError: The folder holds no such model, the label is unknown, or a value is out of its range; or `version`
            is not the detector's, so that the threshold does not hold.
        MissingDependencyError: onnxruntime or tokenizers is not installed.
    """

    name = "classifier"

    def __init__(
        self,
        path: str,
        label: str | int | None = None,
        *,
        threshold: float = 0.5,
        activation: Literal["softmax", "sigmoid"] = "softmax",
        temperature: float = 1.0,
        window: int = 256,
        max_chars: int = 20_000,
        version: str | None = None,
    ) -> None:
        self.threshold = checked_threshold(threshold)
        self._max_chars = checked_max_chars(max_chars, 1_000)
        if activation not in ("softmax", "sigmoid"):
            raise ConfigError(
                f'activation is {activation!r}: use "softmax" or "sigmoid"', key="activation", value=activation
            )
        if not isinstance(temperature, int | float) or not 0 < temperature < math.inf:  # pyright: ignore[reportUnnecessaryIsInstance] - a file may hold anything
            raise ConfigError(
                f"temperature is {temperature!r}: give a number above 0", key="temperature", value=temperature
            )
        if type(window) is not int or window < _LEAST_WINDOW:
            raise ConfigError(
                f"window is {window!r}: give a whole number from {_LEAST_WINDOW}", key="window", value=window
            )
        self._model = load(path, window)
        self._index = _index_of(label, self._model)
        self._kind = _kind(self._model.labels.get(self._index, ""))
        self._sigmoid = activation == "sigmoid" or self._model.outputs == 1
        self._temperature = temperature
        base = f"1:{self._model.digest}:{digest(self._index, self._sigmoid, temperature, window, max_chars)}"
        checked_version(version, base, self.name)
        self.version = base if threshold == 0.5 else f"{base}:{threshold:g}"

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - all rails alike
        """Return whether the classifier recognises a part of the text, and which."""
        parts = bounded(text, self._max_chars)
        best, found = 0.0, list[Finding]()
        for base, part in zip((0, len(text) - len(parts[-1])), parts, strict=False):
            for start, end, score in self._windows(part):
                best = max(best, score)
                if score >= self.threshold:
                    found.append(Finding(self._kind, base + start, base + end, score))
        return Detection(
            found=bool(found),
            findings=merged(found),
            score=best,
            threshold=self.threshold,
            reason=f"classified as {self._kind}" if found else "",
            truncated=len(text) > self._max_chars,
        )

    async def adetect(self, text: str, context: GuardContext) -> Detection:
        """Return whether the classifier recognises a part of the text, async: the model runs in a thread."""
        return await asyncio.to_thread(self.detect, text, context)

    def _windows(self, text: str) -> Iterator[tuple[int, int, float]]:
        """Yield the place and the score of each window."""
        windows = self._model.windows(text)
        for first in range(0, len(windows), _BATCH):
            batch = windows[first : first + _BATCH]
            for window, outputs in zip(batch, self._model.run([one.ids for one in batch]), strict=True):
                if window.start < window.end:
                    yield window.start, window.end, self._score(outputs)

    def _score(self, outputs: Sequence[float]) -> float:
        scaled = [one / self._temperature for one in outputs]
        if not all(map(math.isfinite, scaled)):
            raise ValueError("the model gives an output that is not a number")
        if self._sigmoid:
            return 1 / (1 + math.exp(-max(-700.0, min(700.0, scaled[self._index]))))
        top = max(scaled)
        weights = [math.exp(one - top) for one in scaled]
        return weights[self._index] / sum(weights)


def _index_of(label: str | int | None, model: OnnxModel) -> int:
    labels = list(model.labels.values())
    known = f"the model has {model.outputs} outputs" + (f" with the labels {', '.join(labels)}" if labels else "")
    if label is None:
        if model.outputs == 1:
            return 0
        raise ConfigError(f"name the label to find: {known}", key="label")
    index = next((number for number, name in model.labels.items() if name == label), label)
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < model.outputs:
        raise ConfigError(f"there is no label {label!r}: {known}", key="label", value=label)
    return index


def _kind(label: str) -> str:
    """Return a label as the kind of a finding."""
    plain = "".join(one if one.isascii() and one.isalnum() else "_" for one in label.upper()[:40])
    return plain or "CLASSIFIED"
