"""Data sets with content-addressed versions, from rows, files and stored traces.

Doors for other packages: `_stdin`.
"""

from __future__ import annotations

from llmops_sdk._lazy import lazy_names
from llmops_sdk.errors import DatasetError

TYPE_CHECKING = False  # as in `_lazy`
if TYPE_CHECKING:
    from llmops_sdk.datasets._dataset import Dataset
    from llmops_sdk.datasets._diff import Diff
    from llmops_sdk.datasets._item import Item
    from llmops_sdk.datasets._saved import remove, versions
    from llmops_sdk.datasets._split import Split
    from llmops_sdk.store.datasets._versions import StoredVersion

__all__ = ["Dataset", "DatasetError", "Diff", "Item", "Split", "StoredVersion", "remove", "versions"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_dataset": "Dataset",
        "_diff": "Diff",
        "_item": "Item",
        "_saved": "StoredVersion remove versions",
        "_split": "Split",
    },
)
