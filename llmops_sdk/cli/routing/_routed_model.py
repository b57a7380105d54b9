"""Find the routed model of a command, and its trained router."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_sdk.cli._usage import UsageError
from llmops_sdk.errors import LLMOpsError

if TYPE_CHECKING:
    from llmops_sdk.config import ResolvedModel
    from llmops_sdk.routing import Router

__all__ = ["Name", "Quality", "RoutedModel", "routed_model"]

Name = Annotated[str, typer.Argument(metavar="NAME", help="The routed model's name in [models].", show_default=False)]
Quality = Annotated[
    float | None,
    typer.Option("--quality", min=0, max=1, help="The share of the strongest model's quality to keep."),
]


@dataclass(frozen=True, slots=True)
class RoutedModel:
    """A routed model.

    Attributes:
        resolved: As the settings have it.
        path: The file of its trained router.
        store: The store's folder.
    """

    resolved: ResolvedModel
    path: Path
    store: Path

    def router(self) -> Router:
        """Return the trained router.

        Raises:
            UsageError: It is an online router.
            LLMOpsError: There is none, or it cannot be used.
        """
        from llmops_sdk.routing import Router

        if self.resolved.router.policy == "online":
            raise UsageError(
                f'{self.resolved.name!r} has policy = "online", which is no trained router: `llmops route train` '
                "shows what it has learned"
            )
        try:
            return Router.load(self.path)
        except FileNotFoundError as error:
            name = self.resolved.name
            raise LLMOpsError(
                f"there is no router in {self.path}: train it with `llmops route train {name}`"
            ) from error
        except (OSError, ValueError) as error:
            raise LLMOpsError(str(error)) from error


def routed_model(name: str, store: Path | None) -> RoutedModel:
    """Return the routed model of a name.

    Args:
        name: The name.
        store: The store's folder, or None for the configured one.

    Raises:
        UsageError: The name leads to no route.
        ConfigError: There is no such model.
    """
    from llmops_sdk.cli.output._reading import existing_store
    from llmops_sdk.config import current, resolve_model
    from llmops_sdk.routing.calls._call_router import trained_path

    resolved = resolve_model(current(), name)
    if not resolved.route:
        raise UsageError(f'{name!r} is no route: set route = ["cheap", "strong"] in [models.{name}]')
    folder = existing_store(store)
    return RoutedModel(resolved, trained_path(folder, resolved), folder)
