"""List every place where recorded data can lie: prune, the command line and the tests use this one list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from llmops_sdk.store.datasets._versions import FOLDER as DATASET_FOLDER
from llmops_sdk.store.files._damaged import DAMAGED
from llmops_sdk.store.files._folders import OUTBOX_FOLDER
from llmops_sdk.store.files._spill import SPILL_FOLDER
from llmops_sdk.store.files._sweep import IMPORT_FOLDER
from llmops_sdk.store.schema._views import RECORD_STREAMS
from llmops_sdk.tracing.capture._blobs import FOLDER as BLOB_FOLDER

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["DataPlace", "cache_folders", "data_places"]

_CACHE_FOLDER = "cache"


class DataPlace(NamedTuple):
    """A folder or file that can hold recorded data."""

    kind: str
    """"lines and rows", "data sets", "images", "waiting for export", "import", "temporary", "damaged", "unfinished
    prune" or "cache"."""
    path: Path


def data_places(store: Path, settings: Settings) -> list[DataPlace]:
    """Return every place where data of a store and of its caches can lie, whether or not it exists.

    Files that you export, snapshots and backups lie where you put them; a killed export leaves a folder `.NAME.TOKEN`
    there, which the next export of that name removes.

    Args:
        store: The store's folder.
        settings: The settings in force.
    """
    streams = {stream.segment_folder: None for stream in RECORD_STREAMS.values()}
    streams |= {stream.parquet_folder: None for stream in RECORD_STREAMS.values()}
    return [
        *(DataPlace("lines and rows", store / name) for name in streams),
        DataPlace("data sets", store / DATASET_FOLDER),
        DataPlace("images", store / BLOB_FOLDER),
        DataPlace("waiting for export", store / OUTBOX_FOLDER),
        DataPlace("import", store / IMPORT_FOLDER),
        DataPlace("temporary", store / SPILL_FOLDER),
        DataPlace("damaged", store / DAMAGED),
        DataPlace("unfinished prune", store / "PRUNE.json"),
        *(DataPlace("cache", folder) for folder in cache_folders(store, settings)),
    ]


def cache_folders(store: Path, settings: Settings) -> list[Path]:
    """Return the folders of the response caches: the store's own, and for the configured store those of the settings.

    Args:
        store: The store's folder.
        settings: The settings in force.
    """
    return list(dict.fromkeys(_cache_folders(store, settings)))


def _cache_folders(store: Path, settings: Settings) -> Iterator[Path]:
    yield store / _CACHE_FOLDER
    if store != settings.store.path.absolute():
        return
    for section in (settings.cache, *(model.cache for model in settings.models.values())):
        if section is not None and section.path is not None:
            yield section.path.absolute()
