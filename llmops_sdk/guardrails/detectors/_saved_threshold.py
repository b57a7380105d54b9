"""Refuse a saved threshold of another version of a detector."""

from __future__ import annotations

from llmops_sdk.errors import ConfigError

__all__ = ["checked_version"]


def checked_version(saved: str | None, current: str, guard: str) -> None:
    """Check that a saved threshold was calibrated with the detector as it is now.

    An error and not a warning: with another version the threshold stands for another share of false positives, and
    nobody would notice.

    Args:
        saved: The version that stands beside the threshold in the configuration, or None.
        current: The version of the detector.
        guard: The name of the guard.

    Raises:
        ConfigError: The versions differ.
    """
    if saved is not None and saved != current:
        raise ConfigError(
            f"the threshold of the guard {guard!r} was calibrated with its version {saved!r}, and the version is now "
            f"{current!r}: run `llmops guard calibrate` again, or remove threshold and version",
            key="version",
            value=saved,
        )
