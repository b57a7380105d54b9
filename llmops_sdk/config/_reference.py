"""Writes `docs/configuration.md`: `python -m llmops_sdk.config._reference` in the project's folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from llmops_sdk.config._environment import NOT_SETTINGS
from llmops_sdk.config._keys import Key, known_keys
from llmops_sdk.config._otel import VARIABLES

__all__ = ["EXAMPLE", "reference"]

EXAMPLE = """\
model = "smart"                        # the one line that changes the provider

[models.smart]                         # chat("...", model="smart")
model = "anthropic/claude-sonnet-4-5"
fallbacks = ["gpt-4.1", "local"]       # where its calls go when it fails
[models.smart.retry]
attempts = 4                           # the other keys come from [retry]

[models.local]
model = "http://127.0.0.1:8000/v1#llama-3.2"   # any OpenAI-compatible server

[models."gpt-4.1"]                     # a name with other characters is quoted
model = "openai/gpt-4.1"
api_key_env = "TEAM_OPENAI_KEY"

[retry]                                # for every model
attempts = 3

[timeout]
total = 120
between_chunks = "none"                # TOML has no null

[cache]
exact = true
ttl = 3600

[guardrails]
input = ["cards"]

[store]
path = "var/traces"                    # relative to this file
retention_days = 30

[export]
endpoint = "http://127.0.0.1:4318"
content = false                        # prompts and answers stay on this machine

[export.headers]
x-team = "search"

[prices."claude-sonnet-4-5"]           # USD per million tokens
input = 3.0
output = 15.0
"""

_HEAD = """\
<!-- Written by `python -m llmops_sdk.config._reference`. Change that module or the docstrings of the models. -->
# Configuration

Nothing has to be configured: the first use reads what it finds. `llmops.configure(...)` reads it again, with the
arguments given, and puts it in force for new calls; calls in flight finish on the old settings, and when something is
wrong, `ConfigError` is raised and the last good settings stay in force. `llmops.settings()` returns the settings in
force, `llmops.settings().source("retry.attempts")` says where a value comes from, and the logger `llmops_sdk` writes
all of them with their sources at level DEBUG.

## Where values come from

The first of these that has a key decides it, key by key: `LLMOPS_RETRY__ATTEMPTS=5` changes one key of `[retry]`.

1. **Arguments** of `configure`: `configure(model="openai/gpt-4.1-mini", retry={"attempts": 5})`, or
   `configure(retry__attempts=5)`. Each call replaces the arguments of the call before it.
2. **Environment variables** that begin with `LLMOPS_`, with `__` between the parts of a key.
3. **`llmops.toml`**, or the file that `configure(config_file=...)` or `LLMOPS_CONFIG_FILE` names instead. It is looked
   for in the current folder and the folders above it, up to the project's root (the first folder with a
   `pyproject.toml` or `.git`), and never above the home folder.
4. **`[tool.llmops]`** in the `pyproject.toml` of the project's root.
5. **OpenTelemetry's own variables**, listed below.
6. The defaults.

A key that does not exist and a value of the wrong type (`attempts = "3"`) raise `ConfigError`, which names the file or
variable, the key, the value and the nearest known key. All mistakes are told at once. Values whose key looks like a
secret are not shown.

**Paths.** `~` is the home folder. A relative path is relative to the file that sets it; one from the environment or
from an argument, to the current folder. The default store, `.llmops`, lies in the folder of the `llmops.toml` that was
found, else in the project's root, else in the current folder; naming a file elsewhere does not move it.

**Whose file.** A `llmops.toml` or `pyproject.toml` that belongs to another user is ignored, with a warning, because in
a shared folder it could decide where prompts are sent. Root's files are taken: they are usual in containers, and root
could change the program anyway. When the program runs as root, only root's own files are taken. A file that is named
by `config_file` or `LLMOPS_CONFIG_FILE` is taken whoever owns it.

## An example

```toml
{example}```

## The model

`model`, and `model=` of each call, is one of

| form | example | meaning |
|---|---|---|
| a name from `[models]` | `"smart"` | that table; it may name another one |
| `"provider/model"` | `"openai/gpt-4.1-mini"`, `"ollama/llama3.2"`, `"offline/echo"` | that provider's model |
| `"https://server/v1#model"` | `"http://127.0.0.1:8000/v1#llama-3.2"` | a server with the OpenAI API, and its model |

In `[models.<name>]` the tables `retry`, `fallback`, `timeout`, `cache` and `guardrails` need only the keys that differ;
the others come from the general table. `fallbacks` are asked in order when the model fails, and after them the
fallbacks of these ([what goes on to another model](providers.md#when-a-provider-fails)). A price is looked up under the
whole model, then under the part after the provider.

## Environment variables

Every key has one: `retry.attempts` is `LLMOPS_RETRY__ATTEMPTS`, and `models.smart.model` is
`LLMOPS_MODELS__SMART__MODEL`. For a name that is in use, other characters are written `_`: with `[models."gpt-4.1"]` in
a file, `LLMOPS_MODELS__GPT_4_1__MODEL` means that one; a new name is taken in lower case. `true`/`false`, `1`/`0`,
`yes`/`no` and `on`/`off` are booleans; lists are JSON or names between commas; tables are JSON, headers also
`name=value,name=value`; `none` is null. An empty variable counts as not set. Any other variable that begins with
`LLMOPS_` is an error, but for {others}.

These variables of OpenTelemetry are read, where no key of ours is set:

| variable | key |
|---|---|
{otel}

- `OTEL_EXPORTER_OTLP_ENDPOINT` is a base URL, to which `/v1/traces`, `/v1/metrics` and `/v1/logs` are added over HTTP;
  those for one signal are used as they are. `export.endpoint` wins over all of them, and then the variables' headers
  are sent only if they name no other backend.
- `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` and `OTEL_LOGS_EXPORTER` are `none` or `otlp`; for spans also
  `console`, and a list between commas. `otlp` without an endpoint means `http://localhost:4318`. What each other
  variable of the standard does stands in [export.md](export.md#variables-of-opentelemetry).
- The time-out is in seconds, as OpenTelemetry's Python exporters read it.
- `OTEL_SDK_DISABLED=true` turns off tracing, the store of traces and export, like `LLMOPS_ENABLED=false`. Retries,
  guards and the cache belong to the calls and stay: a switch for telemetry must not let a card number out.
- `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`: `SPAN_ONLY`, `SPAN_AND_EVENT` and `true` send content;
  `NO_CONTENT`, `EVENT_ONLY` and `false` do not.
- A value that is not known is ignored with a warning, as the standard asks.

## Every key
"""


def reference() -> str:
    """The whole page."""
    others = ", ".join(f"`{name}`" for name in NOT_SETTINGS)
    otel = "\n".join(f"| `{variable}` | `{key}` |" for variable, key in VARIABLES)
    head = _HEAD.replace("{example}", EXAMPLE).replace("{others}", others).replace("{otel}", otel)
    return head + "\n".join(_tables()) + "\n"


def _tables() -> Iterator[str]:
    keys = list(known_keys().values())
    yield "\n### Top level\n"
    yield from _rows([key for key in keys if len(key.path) == 1 and key.kind in {"value", "table"}])
    for section in keys:
        # What a named model has in place of a general section has the same keys.
        if section.kind != "section" or (section.path[0] == "models" and len(section.path) > 2):
            continue
        yield f"\n### `[{section.name}]`\n\n{section.doc}\n"
        below = [key for key in keys if key.path[:-1] == section.path]
        yield from _rows(below)


def _rows(keys: list[Key]) -> Iterator[str]:
    yield "| key | takes | default | meaning |"
    yield "|---|---|---|---|"
    for key in keys:
        default = f"`{key.default}`" if key.default else "–" if key.kind in {"section", "named"} else "required"
        yield f"| `{key.path[-1]}` | {key.expected} | {default} | {key.doc} |"


def main(target: Path) -> None:
    """Write the page."""
    target.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/configuration.md"))
