"""The data set: an immutable list of items with a version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llmops_sdk._util._public import public
from llmops_sdk.datasets._diff import Diff, diff
from llmops_sdk.datasets._item import Item, item_line, version_of
from llmops_sdk.datasets._read_files import form_of, read_rows
from llmops_sdk.datasets._rows import Columns, items_of_rows
from llmops_sdk.datasets._split import Split, split_groups
from llmops_sdk.datasets._storage import find_version, load_items
from llmops_sdk.datasets._write_files import ExportForm, write_items
from llmops_sdk.errors import DatasetError
from llmops_sdk.store.datasets._names import check_name
from llmops_sdk.store.datasets._write import write_version
from llmops_sdk.store.reading._query import StorePath, store_folder

__all__ = ["Dataset"]


@public("llmops_sdk.datasets")
@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """An immutable list of items, whose version is a digest of its content.

    Make one with `from_rows`, `from_file`, `from_query` or `load`. Every method that changes something returns a new
    data set. Iterating gives the items.

    Attributes:
        items: The items.
        name: The name that it was loaded with, saved as or given, or None.
        erased: The number of items that `llmops prune` has erased from the loaded version.
        source: Where the items come from: rows, file, query or split.
        detail: The name of the file, the SQL, or the version that was split; None where there is none.

    Example:
        >>> from llmops_sdk.datasets import Dataset
        >>> dataset = Dataset.from_rows([{"input": "2 + 2", "expected": "4", "topic": "sums"}])
        >>> dataset.items[0].expected, dataset.items[0].metadata, len(dataset.version)
        ('4', {'topic': 'sums'}, 64)
    """

    items: tuple[Item, ...]
    name: str | None = None
    erased: int = 0
    source: str = "rows"
    detail: str | None = None

    def __post_init__(self) -> None:
        """Check the name."""
        if self.name is not None:
            check_name(self.name)

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[Mapping[str, Any] | Item],
        *,
        name: str | None = None,
        input: str = "input",
        expected: str = "expected",
        id: str | None = None,  # noqa: A002 - the public contract
    ) -> Dataset:
        """Make a data set of rows.

        `source_trace_id` or `trace_id` names the trace of a row. The keys of a mapping `metadata` and all other columns
        become metadata. Values are JSON; times and UUIDs become text.

        Args:
            rows: The rows, mappings of columns.
            name: The data set's name.
            input: The column of inputs.
            expected: The column of expected outputs; it may be missing if this is not given.
            id: The column of ids; by default `id`, where a row has one. A missing id is derived from the content.

        Raises:
            DatasetError: A row has no input, a value that is no JSON, or an id that another row has; or there are more
                than a million rows, 1 GiB in all, or 8 MiB in one.

        Example:
            >>> from llmops_sdk.datasets import Dataset
            >>> rows = [{"question": "2 + 2", "answer": "4"}, {"question": "3 + 3", "answer": "6"}]
            >>> [item.expected for item in Dataset.from_rows(rows, input="question", expected="answer")]
            ['4', '6']
        """
        return cls(items_of_rows(enumerate(rows, 1), Columns(input, expected, id)), name)

    @classmethod
    def from_file(
        cls,
        path: StorePath,
        *,
        form: str | None = None,
        name: str | None = None,
        input: str = "input",
        expected: str = "expected",
        id: str | None = None,  # noqa: A002 - the public contract
    ) -> Dataset:
        r"""Make a data set of a JSONL, CSV or Parquet file; JSONL and CSV may be compressed with gzip.

        Each line of JSONL is an object. In CSV every value is text, and an empty cell counts as missing. Columns count
        as in `from_rows`. A file that `export` wrote gives the same data set again.

        Args:
            path: The file.
            form: "jsonl", "csv" or "parquet"; by default as the name ends.
            name: The data set's name.
            input: The column of inputs.
            expected: The column of expected outputs.
            id: The column of ids.

        Raises:
            DatasetError: The file cannot be read or is too large, or a line is not valid; `line` has its number.

        Example:
            >>> from pathlib import Path
            >>> from llmops_sdk.datasets import Dataset
            >>> _ = Path("sums.csv").write_text("input,expected,topic\n2 + 2,4,sums\n")
            >>> Dataset.from_file("sums.csv").items[0].expected
            '4'
        """
        file = Path(path)
        chosen = form_of(file.name, form)
        word = "row" if chosen == "parquet" else "line"
        items = items_of_rows(read_rows(file, chosen), Columns(input, expected, id), word=word, path=str(file))
        return cls(items, name, source="file", detail=file.name)

    @classmethod
    def from_query(
        cls,
        sql: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        input: str = "input",
        expected: str = "expected",
        id: str | None = None,  # noqa: A002 - the public contract
        path: StorePath | None = None,
        timeout: float | None = None,
    ) -> Dataset:
        """Make a data set of a query over the stored traces.

        A column `trace_id` or `span_id` names the trace of an item. Its session and user are kept in the metadata, for
        `split`, and for `llmops prune`, which erases the items of a user. JSON columns are parsed.

        Args:
            sql: One statement that only reads, as for `llmops.query`.
            params: Values for `?` or `$1` (a sequence) or for `$name` (a mapping).
            name: The data set's name.
            input: The column of inputs.
            expected: The column of expected outputs.
            id: The column of ids.
            path: The store's folder; by default the configured one.
            timeout: Seconds after which the query fails, or None.

        Raises:
            DatasetError: The query has no such columns, or a row is not usable.
            QueryError: The SQL is invalid, not allowed, or took too long.
            StoreError: The store cannot be read.

        Example:
            >>> from llmops_sdk.datasets import Dataset
            >>> len(Dataset.from_query("SELECT trace_id, input, output AS expected FROM llm_calls"))
            0
        """
        from llmops_sdk.datasets._query_rows import rows_of_query

        columns = Columns(input, expected, id)
        items = items_of_rows(rows_of_query(sql, params, columns, path=path, timeout=timeout), columns)
        return cls(items, name, source="query", detail=sql)

    @classmethod
    def load(cls, name: str, version: str | None = None, *, path: StorePath | None = None) -> Dataset:
        """Load a saved version.

        Args:
            name: The data set's name, or `NAME@VERSION`.
            version: At least 6 hex digits from the beginning of the version; None for the one that was saved last.
            path: The store's folder; by default the configured one.

        Raises:
            DatasetError: There is none, or several versions begin with these digits; `nearest` has what is there.
            StoreError: Its file is damaged, or the store cannot be read.

        Example:
            >>> from llmops_sdk.datasets import Dataset
            >>> saved = Dataset.from_rows([{"input": "2 + 2"}]).save("sums")
            >>> Dataset.load("sums") == Dataset.load("sums", saved.version[:12]) == saved
            True
        """
        stored = find_version(store_folder(path), name, version)
        items, erased = load_items(stored)
        found = cls(items, stored.name, erased, stored.source, stored.detail)
        # After an erasure it keeps the name of its version: results of experiments refer to it.
        found.__dict__["version"] = stored.version
        return found

    def save(self, name: str | None = None, *, path: StorePath | None = None) -> Dataset:
        """Save this version into the store's folder, and return it with the name.

        The same content is one version, however often it is saved. Retention does not remove data sets.

        Args:
            name: The name; by default the one that it has.
            path: The store's folder; by default the configured one.

        Raises:
            DatasetError: It has no name or an impossible one, or `llmops prune` has erased items of this version.
            StoreError: The store cannot be written.

        Example:
            >>> from llmops_sdk.datasets import Dataset
            >>> Dataset.from_rows([{"input": "2 + 2"}]).save("sums").name
            'sums'
        """
        if name is None and self.name is None:
            raise DatasetError('the data set has no name: save("NAME")')
        chosen = check_name(self.name if name is None else name)
        write_version(
            store_folder(path), chosen, self.version, map(item_line, self.items), items=len(self.items),
            erased=self.erased, source=self.source, detail=self.detail,
        )  # fmt: skip
        return self if chosen == self.name else self._with(self.items, chosen, keep=True)

    @cached_property
    def version(self) -> str:
        """Return the SHA-256 of the items in whatever order, 64 hex digits; the first 12 are enough for people."""
        return version_of(self.items)

    def add(
        self,
        rows: Iterable[Mapping[str, Any] | Item],
        *,
        input: str = "input",
        expected: str = "expected",
        id: str | None = None,  # noqa: A002 - the public contract
    ) -> Dataset:
        """Return a data set with further items.

        Args:
            rows: The rows, as for `from_rows`.
            input: The column of inputs.
            expected: The column of expected outputs.
            id: The column of ids.

        Raises:
            DatasetError: A row is not usable, or has an id that an item has.
        """
        columns = Columns(input, expected, id)
        return self._with(items_of_rows(enumerate(rows, 1), columns, before=self.items))

    def filter(self, keep: Callable[[Item], bool]) -> Dataset:
        """Return a data set of the items for which a function is true.

        Args:
            keep: The function.
        """
        return self._with(tuple(item for item in self.items if keep(item)))

    def sample(self, count: int, *, seed: int = 0) -> Dataset:
        """Return a data set of some items, the same ones for the same seed, in their order here.

        Args:
            count: The number of items; all if there are not more.
            seed: Another seed gives other items.

        Raises:
            ValueError: The number is negative.

        Example:
            >>> from llmops_sdk.datasets import Dataset
            >>> len(Dataset.from_rows([{"input": number} for number in range(100)]).sample(10))
            10
        """
        if count < 0:
            raise ValueError(f"count is the number of items, and not {count}")
        ranked = sorted(self.items, key=lambda item: hashlib.sha256(f"{seed}:{item.id}".encode()).digest())
        chosen = {item.id for item in ranked[:count]}
        return self._with(tuple(item for item in self.items if item.id in chosen))

    def split(
        self,
        shares: Mapping[str, float],
        *,
        seed: int = 0,
        by: Sequence[str] = ("duplicates", "session", "user"),
    ) -> Split[Dataset]:
        """Split without leakage: items that belong together are in one part.

        A digest of its content assigns a group, so the same items are split the same way. New items move no old ones,
        unless one joins two groups or brings the first user or session into one. The reached shares come near the asked
        ones with many groups; `Split.shares` has them. A part that would be empty gets the nearest group.

        Args:
            shares: The parts and their shares, which sum up to 1.
            seed: Another seed gives another split.
            by: What keeps items together: "duplicates" (inputs that are equal but for case, spacing and punctuation),
                "session" (the same session or trace), "user", or the name of a column of the metadata.

        Raises:
            ValueError: The shares do not sum up to 1, or a name is not usable.

        Example:
            >>> from llmops_sdk.datasets import Dataset
            >>> dataset = Dataset.from_rows([{"input": f"question {number}"} for number in range(100)])
            >>> parts = dataset.split({"train": 0.8, "test": 0.2})
            >>> len(parts["train"]) + len(parts["test"])
            100
        """
        parts, groups = split_groups(self.items, shares, seed=seed, by=by)
        detail = f"{self.name or 'unnamed'}@{self.version}"
        made = {
            part: Dataset(
                tuple(items), None if self.name is None else f"{self.name[:70]}-{part}", source="split", detail=detail
            )
            for part, items in parts.items()
        }
        return Split(made, groups=groups)

    def diff(self, other: Dataset) -> Diff:
        """Return what changes from this data set to another, by the items' ids.

        Derived ids are digests of input and expected: then an edited item counts as removed and added.

        Args:
            other: The later data set.

        Example:
            >>> from llmops_sdk.datasets import Dataset
            >>> before = Dataset.from_rows([{"id": 1, "input": "2 + 2", "expected": "5"}])
            >>> after = Dataset.from_rows([{"id": 1, "input": "2 + 2", "expected": "4"}, {"id": 2, "input": "3 + 3"}])
            >>> print(before.diff(after))
            change   id  column    before  after
            -------  --  --------  ------  -------
            added    2   input             "3 + 3"
            changed  1   expected  "5"     "4"
            1 added, 0 removed, 1 changed, 0 unchanged
        """
        return diff(self.items, other.items)

    def export(
        self, path: StorePath, *, form: ExportForm | None = None, omit: Sequence[str] = (), force: bool = False
    ) -> Path:
        """Write the items to a file, completely or not at all, and return its path.

        JSONL and Parquet have every value; in CSV no cell is a formula. `from_file` reads each of them back. With
        "huggingface" the path is a folder, which `datasets.load_dataset(folder)` reads.

        Args:
            path: The file that ends with `.jsonl`, `.csv` (or these and `.gz`) or `.parquet`, or the folder.
            form: "jsonl", "csv", "parquet" or "huggingface"; by default as the name ends.
            omit: Columns of the metadata to leave out, such as "user_id"; also "source_trace_id".
            force: Replace an existing file, or the files of an existing folder.

        Raises:
            DatasetError: The form is not known, or the file exists and `force` is False.
            StoreError: The file cannot be written, or is inside the store.

        Example:
            >>> from llmops_sdk.datasets import Dataset
            >>> Dataset.from_rows([{"input": "2 + 2"}]).export("sums.jsonl").name
            'sums.jsonl'
        """
        return write_items({"train": self.items}, path, title=self.name, form=form, omit=omit, force=force)

    def _with(self, items: tuple[Item, ...], name: str | None = None, *, keep: bool = False) -> Dataset:
        made = Dataset(items, name or self.name, self.erased if keep else 0, self.source, self.detail)
        if keep:
            made.__dict__["version"] = self.version
        return made

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        """Yield the items."""
        return iter(self.items)

    def __eq__(self, other: object) -> bool:
        """Return whether both have the same content; names and the order of items do not count."""
        if not isinstance(other, Dataset):
            return NotImplemented
        return self.version == other.version and self.erased == other.erased

    def __hash__(self) -> int:
        """Return the hash of the version."""
        return hash(self.version)

    def __repr__(self) -> str:
        """Return the name, the beginning of the version and the number of items."""
        erased = f", {self.erased} erased" if self.erased else ""
        return f"Dataset({self.name or 'unnamed'}@{self.version[:12]}: {len(self.items)} items{erased})"
