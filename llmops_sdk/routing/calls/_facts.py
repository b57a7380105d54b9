"""What a call needs of a model, and which models can take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from llmops_sdk.pricing._builtin import Abilities, builtin_abilities
from llmops_sdk.providers import count_messages

__all__ = ["CallFacts", "Candidate", "facts_of"]

_ROOM = 1.1
"""Other vendors count more tokens in a text than the encoding here."""
_DEFAULT_ANSWER = 1_024
_LONG = 2_000
"""Every model of the built-in table takes a prompt of so many characters."""
_IMAGES = frozenset({"image_url", "input_image", "image"})


@dataclass(slots=True, kw_only=True)
class CallFacts:
    """What decides about a call, beside its words.

    Attributes:
        messages: The conversation in the OpenAI chat shape.
        tools: Whether it has tools.
        images: Whether it has images.
        schema: Whether the answer must follow a JSON schema.
        characters: The characters of all its texts.
        answer_tokens: The longest answer.
        tags: The tags of its context.
        prompt_name: The prompt's name, or "".
    """

    messages: Sequence[Mapping[str, Any]]
    tools: bool
    images: bool
    schema: bool
    characters: int
    answer_tokens: int
    tags: tuple[str, ...] = ()
    prompt_name: str = ""
    _tokens: int | None = None

    def fits(self, window: int) -> bool:
        """Return whether prompt and answer fit into a context window; tokens are counted only where it is close.

        Args:
            window: Tokens.
        """
        if self.characters + self.answer_tokens <= window:
            return True  # there is hardly a text with more tokens than characters
        if self._tokens is None:
            self._tokens = round(count_messages(self.messages) * _ROOM)
        return self._tokens + self.answer_tokens <= window


def facts_of(
    messages: Sequence[Mapping[str, Any]],
    *,
    tools: bool,
    schema: bool,
    max_tokens: object = None,
    tags: tuple[str, ...] = (),
    prompt_name: str | None = None,
) -> CallFacts:
    """Return the facts of a call.

    Args:
        messages: The conversation in the OpenAI chat shape.
        tools: Whether it has tools.
        schema: Whether the answer must follow a JSON schema.
        max_tokens: The longest answer, as the caller gave it.
        tags: The tags of its context.
        prompt_name: The prompt's name.
    """
    characters, images = 0, False
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            characters += len(content)
            continue
        for part in cast("Sequence[object]", content) if isinstance(content, list | tuple) else ():
            if isinstance(part, str):
                characters += len(part)
            elif isinstance(part, Mapping):
                named = cast("Mapping[str, object]", part)
                text = named.get("text")
                characters += len(text) if isinstance(text, str) else 0
                images = images or named.get("type") in _IMAGES
    longest = max_tokens if isinstance(max_tokens, int) and max_tokens > 0 else _DEFAULT_ANSWER
    return CallFacts(
        messages=messages,
        tools=tools,
        images=images,
        schema=schema,
        characters=characters,
        answer_tokens=longest,
        tags=tags,
        prompt_name=prompt_name or "",
    )


class Candidate:
    """A model of a route, and what it can take: as `[models]` says, else as the built-in table does.

    Args:
        name: Its name in the route.
        model: Provider and model.
        configured: What `[models]` says.
    """

    def __init__(self, name: str, model: str, configured: Abilities) -> None:
        self.name, self.model = name, model
        self._configured = configured
        self._known: Abilities | None = None

    def can_take(self, facts: CallFacts) -> bool:
        """Return whether it can take a call; what nobody knows of a model does not count against it.

        Args:
            facts: Of the call.
        """
        own = self._configured
        if facts.tools or facts.images or facts.schema or facts.characters > _LONG:
            own = self._abilities()
        if (facts.tools and own.tools is False) or (facts.images and own.images is False):
            return False
        if facts.schema and own.schema is False:
            return False
        return own.context_window is None or facts.fits(own.context_window)

    def _abilities(self) -> Abilities:
        if self._known is None:
            own = self._configured
            # Reading the table takes a quarter of a second, once in a process.
            table = Abilities() if self.model.startswith("offline/") else builtin_abilities(self.model)
            self._known = Abilities(
                context_window=table.context_window if own.context_window is None else own.context_window,
                tools=table.tools if own.tools is None else own.tools,
                images=table.images if own.images is None else own.images,
                schema=table.schema if own.schema is None else own.schema,
            )
        return self._known
