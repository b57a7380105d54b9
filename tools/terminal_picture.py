"""Draw docs/terminal.svg: a small program and the commands that look at its trace, run offline in a real terminal.

Run it with `make picture`. Each command runs in a pseudo-terminal, in an empty folder, without settings from outside.
The picture shows exactly what the commands print. Long lines wrap at a space. It uses the reader's own
monospace font and loads nothing. Ids and times differ from run to run; everything else stays the same.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.color import parse_rgb_hex
from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.terminal_theme import TerminalTheme
from rich.text import Text

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "terminal.svg"
COLUMNS = 112

SETTINGS = """\
model = "offline/script"

[options]
latency = 0.4
failures = { sequence = ["ok", "ok", "rate_limit", "ok"], retry_after = 0.1 }
answers = ["I am sorry. A new card arrives in three working days."]
"""
PROGRAM = """\
import llmops_sdk as llmops


@llmops.trace(kind="retriever", capture_input=False)
def search(question):
    return ["New cards arrive in three working days."]


@llmops.llm(cache=True, guards=["cards"])
def answer(question, article):
    return f"{article}\\n{question}"


@llmops.trace(kind="agent", capture_input=False)
def support(question):
    (article,) = search(question)
    return answer(question, article)


llmops.chat("The first call of a process also imports; it has no user, so the query below leaves it out.")
for user in ("bob", "ada", "eve"):
    with llmops.context(user_id=user, session_id="s1"):
        card = "" if user == "bob" else " 4242 4242 4242 4242"
        print(f"{user}:", support(f"I lost my card{card}."))
"""
SQL = """\
llmops sql "SELECT user_id, model, status, attempts, cache, input_tokens, round(duration_ms) AS ms
            FROM llm_calls WHERE user_id IS NOT NULL ORDER BY start_time" """

COLOURS = ("454b5c", "f38b94", "96d696", "eecd8c", "85b0fa", "caa6f7", "89d7d4", "d0d6e4")
THEME = TerminalTheme((24, 27, 36), (208, 214, 228), [parse_rgb_hex(colour) for colour in COLOURS])
FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>A traced call, looked at with llmops show and llmops sql</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px;
}}
.{unique_id}-title {{ font: 600 16px ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def printed(command: str, folder: Path) -> str:
    """Run a shell command in a terminal of COLUMNS columns; return what it prints, with the escapes for colour."""
    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    kept = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**kept, "PATH": path, "HOME": str(folder), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    running = subprocess.Popen(
        ["/bin/sh", "-c", command], stdin=terminal, stdout=terminal, stderr=terminal, cwd=folder, env=environment
    )
    os.close(terminal)
    chunks: list[bytes] = []
    try:
        while chunk := os.read(ours, 65536):
            chunks.append(chunk)
    except OSError:  # Linux tells the end of a terminal so
        pass
    os.close(ours)
    text = b"".join(chunks).decode("utf-8").replace("\r\n", "\n")
    if running.wait(60):
        sys.exit(f"{command} failed:\n{text}")
    return text


def draw(console: Console, command: str, output: str) -> None:
    """Put a prompt, a command and its output on the picture."""
    shown = Syntax(command.strip(), "bash", theme="ansi_dark").highlight(command.strip())
    lines = Text.assemble(("$ ", "bold green"), shown, Text.from_ansi(output.rstrip("\n")))
    console.print(Padding(lines, (1, 1, 0, 1)))


def main() -> None:
    with tempfile.TemporaryDirectory() as name, Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        folder = Path(name)
        (folder / "llmops.toml").write_text(SETTINGS, "utf-8")
        (folder / "support.py").write_text(PROGRAM, "utf-8")
        console = Console(record=True, width=COLUMNS + 2, file=nowhere, force_terminal=True, color_system="truecolor")
        draw(console, "python support.py", printed("python support.py", folder))
        find = "SELECT trace_id FROM llm_calls WHERE user_id = 'ada' LIMIT 1"
        trace_id = printed(f"llmops sql {shlex.quote(find)} --format csv", folder).split()[-1]
        draw(console, f"llmops show {trace_id[:12]}", printed(f"llmops show {trace_id}", folder))
        draw(console, SQL, printed(SQL, folder))
        picture = console.export_svg(title="llmops", theme=THEME, code_format=FRAME, unique_id="llmops")
    if loaded := re.findall(r"https?://(?!www\.w3\.org/2000/svg)\S+|url\((?!#)[^)]*\)", picture):
        sys.exit(f"the picture would load {loaded}")
    PICTURE.write_text(picture, "utf-8")
    sys.stdout.write(f"{PICTURE}: {len(picture) / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
