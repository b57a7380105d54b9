"""The bank of support_assistant.py: its help pages and its customers' questions."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Article(NamedTuple):
    title: str
    text: str
    questions: list[str]
    words: frozenset[str]


def words(text: str) -> frozenset[str]:
    """Return the words of a text that describe its subject."""
    return frozenset(word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 3 or word == "pin")


def load_articles(path: Path) -> list[Article]:
    articles: list[Article] = []
    for section in path.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        text, *questions = body.strip().split("\n- ")
        articles.append(Article(title, text.strip(), [q.strip() for q in questions], words(section)))
    return articles


ARTICLES = load_articles(Path(__file__).with_name("bank_articles.md"))


def card_number(rng: random.Random) -> str:
    """Return a random number with a valid check digit (Luhn)."""
    digits = [4, *(rng.randrange(10) for _ in range(14))]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[::2])
    digits.append(-(doubled + sum(digits[1::2])) % 10)
    return " ".join("".join(map(str, digits[i : i + 4])) for i in range(0, 16, 4))


def made_questions(count: int) -> Iterator[str]:
    """Yield questions about the help pages, with repeats. Every tenth has a card number."""
    rng = random.Random(7)
    known = [question for article in ARTICLES for question in article.questions]
    for number in range(count):
        question = rng.choice(known)
        yield f"{question} My card is {card_number(rng)}." if number % 10 == 3 else question


def read_questions(path: Path, column: str | None, limit: int | None) -> Iterator[str]:
    """Yield a column of a CSV file, row by row. A ValueError names the fault and its line."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        try:
            header = rows.fieldnames or []
            name = column or next((name for name in ("text", "question") if name in header), "text")
            if name not in header:
                raise ValueError(f'{path} has no column "{name}" (it has: {", ".join(header) or "nothing at all"})')
            texts = (row[name].strip() for row in rows if row[name])
            for number, text in enumerate(text for text in texts if text):
                if number == limit:
                    return
                yield text
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path}, after line {rows.line_num}: not a CSV file in UTF-8 ({error})") from error
