"""What type checkers infer for a user of the public names; checked by basedpyright and by mypy, both strict, not run."""

from __future__ import annotations

from typing import assert_type

import llmops_sdk as llmops

assert_type(llmops.__version__, str)
