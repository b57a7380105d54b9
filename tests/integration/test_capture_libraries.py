"""Capture values of libraries that the project does not depend on: Pillow's images, SQLAlchemy's lazy rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from real_backends import environment

pytestmark = pytest.mark.integration

IMAGES = """
import hashlib, io, json, sys
from pathlib import Path
from PIL import Image
import llmops_sdk as llmops

gradient = Image.linear_gradient("L").resize((300, 200))
large = Image.merge("RGB", [gradient, gradient.rotate(90), gradient])
small = large.resize((5, 4))
large.save("large.jpg")
unread = Image.open("large.jpg")
with llmops.span("look", input={
    "large": large, "small": small, "unread": unread, "palette": large.convert("P"), "alpha": large.convert("RGBA"),
    "jpeg": Path("large.jpg").read_bytes() + bytes(20_000),
}):
    large.paste((0, 0, 0), (0, 0, 300, 200))
assert unread.tile, "capturing read the file"
llmops.flush()
(said,) = llmops.query("SELECT input FROM spans").rows()[0]
said = json.loads(said)
kept = Image.open(Path(".llmops") / said["large"]["path"])
kept.load()
said["black"] = kept.getextrema() == ((0, 0), (0, 0), (0, 0))
said["opens"] = [kept.mode, kept.size]
said["digest"] = hashlib.sha256((Path(".llmops") / said["large"]["path"]).read_bytes()).hexdigest()
print(json.dumps(said))
"""

ROWS = """
import json
from sqlalchemy import ForeignKey, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column, relationship
import llmops_sdk as llmops

class Base(DeclarativeBase): pass

class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship()

class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))

class DataBase(MappedAsDataclass, DeclarativeBase): pass

class Note(DataBase):
    __tablename__ = "note"
    id: Mapped[int] = mapped_column(init=False, primary_key=True)
    text: Mapped[str]

engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
DataBase.metadata.create_all(engine)
statements = []
with Session(engine) as session:
    session.add(Author(name="Ada", books=[Book()]))
    session.add(Note(text="stored"))
    session.commit()  # expires what was loaded: asking for an attribute asks the database
    author, note = session.query(Author).one(), session.query(Note).one()
    session.expire_all()
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    with llmops.span("expired", input={"author": author, "note": note}):
        pass
    assert statements == [], statements
    assert note.text == "stored"
    with llmops.span("loaded", input={"note": note}):
        pass
llmops.flush()
print(json.dumps({name: json.loads(said) for name, said in llmops.query("SELECT name, input FROM spans").rows()}))
"""


def run(program: str, folder: Path) -> dict[str, Any]:
    """Run a program with the packages of the environment `capture`, and return what it printed."""
    (packages,) = environment("capture").parent.glob("lib/python*/site-packages")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_pillow_images_are_stored_as_at_the_call_without_being_read(tmp_path: Path):
    said = run(IMAGES, tmp_path)
    large, small, unread = said["large"], said["small"], said["unread"]
    assert (large["$type"], large["mode"], large["width"], large["height"]) == ("PIL.Image.Image", "RGB", 300, 200)
    assert (large["$media"], large["sha256"], said["opens"]) == ("image/png", said["digest"], ["RGB", [300, 200]])
    assert not said["black"], "the pixels are those of the call, not of later"
    assert (small["$media"], "path" in small, "data" in small) == ("image/png", False, True)
    assert unread == {"$type": "PIL.JpegImagePlugin.JpegImageFile", "mode": "RGB", "width": 300, "height": 200}
    assert set(said["palette"]) == {"$type", "mode", "width", "height"}
    assert said["alpha"]["$media"] == "image/png"
    assert (said["jpeg"]["$media"], said["jpeg"]["width"], said["jpeg"]["height"]) == ("image/jpeg", 300, 200)


def test_capturing_sqlalchemy_rows_sends_no_statement(tmp_path: Path):
    said = run(ROWS, tmp_path)
    assert said["expired"]["author"] == {"$type": "__main__.Author"}
    assert said["expired"]["note"] == {}
    assert said["loaded"]["note"] == {"id": 1, "text": "stored"}
