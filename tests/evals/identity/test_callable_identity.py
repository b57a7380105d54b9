"""What a task's or a scorer's results depend on: edits change the digest, and nothing else does."""

from __future__ import annotations

import collections
import enum
import functools
import os
import re
import string
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from types import ModuleType

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmops_sdk as llmops
from llmops_sdk.evals import Judge, scorer
from llmops_sdk.evals.identity._callable_identity import callable_digest, callable_name
from llmops_sdk.evals.identity._digest import digest


def made(source, **names):
    """Return the function `f` of a source text, as an edit in a notebook makes it."""
    space = {"__name__": "notebook", **names}
    exec(textwrap.dedent(source), space)
    return space["f"]


BASE = """
    PROMPT = "Answer: "
    LIMITS = {"words": 10, "styles": ["plain", "terse"]}
    def below(text):
        return PROMPT + text
    class Formatter:
        PREFIX = "> "
        def format(self, text):
            return self.PREFIX + text
    def f(text, style="plain"):
        assert LIMITS
        return Formatter().format(below(text))
"""


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("", "", False),
        ("Answer: ", "Answer; ", True),
        ('="plain"', '="terse"', True),
        ('"words": 10', '"words": 11', True),
        ('["plain", "terse"]', '["plain", "long"]', True),
        ("return PROMPT + text", "return PROMPT + text.strip()", True),
        ('"> "', '">> "', True),
        ("self.PREFIX + text", "text + self.PREFIX", True),
        ("def f(", "UNUSED = 1\n    def f(", False),
        ("def f(", "# a comment\n    def f(", False),
    ],
)
def test_an_edit_changes_the_digest_and_a_comment_does_not(old, new, changes):
    assert (callable_digest(made(BASE)) != callable_digest(made(BASE.replace(old, new, 1)))) == changes


@pytest.mark.parametrize(
    "source",
    [
        "P = re.compile('x' * 300 + 'OLD')\ndef f(text): return P.sub('', text)",
        "P = collections.OrderedDict(a='OLD')\ndef f(text): return P['a']",
        "P = collections.defaultdict(str, a='OLD')\ndef f(text): return P['a']",
        "P = collections.deque(['OLD'])\ndef f(text): return P[0]",
        "P = np.array(['OLD'])\ndef f(text): return P[0]",
        "P = string.Template('OLD $text')\ndef f(text): return P.substitute(text=text)",
        "P = types.SimpleNamespace(prompt='OLD')\ndef f(text): return P.prompt",
        "class S(str): pass\nP = S('OLD')\ndef f(text): return P",
        "class C:\n P = ('OLD',)\ndef f(text): return C.P",
        "class C:\n P = {'a': ['OLD']}\ndef f(text): return C.P",
        "class C:\n class D:\n  P = 'OLD'\ndef f(text): return C.D.P",
        "class C(enum.Enum):\n P = 'OLD'\ndef f(text): return C.P.value",
        "class C:\n @functools.cached_property\n def p(self): return 'OLD'\nc = C()\ndef f(text): return c.p",
        "class C:\n __slots__ = ('p',)\nc = C()\nc.p = 'OLD'\ndef f(text): return c.p",
        "class C(pydantic.BaseModel):\n a: int = pydantic.Field(description='OLD')\ndef f(text): return C",
        # What it changes in place is its own list: the prompt is none.
        "P = ['OLD']\ndef f(text):\n found = []\n found.append(P[0])\n return found",
        "P = {'a': 'OLD'}\ndef f(text):\n found = {}\n found[text] = P['a']\n return found",
        "P = ['OLD']\nSEEN = {}\ndef f(text):\n SEEN[P[0] if text else text] = P\n return P",
    ],
)
def test_an_edit_of_a_value_of_any_kind_changes_the_digest(source):
    modules = {one.__name__: one for one in (collections, enum, functools, pydantic, re, string, types)}
    old, new = (made(source.replace("OLD", word), np=np, **modules) for word in ("Be brief.", "Be brief!"))
    assert callable_digest(old) == callable_digest(made(source.replace("OLD", "Be brief."), np=np, **modules))
    assert callable_digest(old) != callable_digest(new)


@pytest.mark.parametrize(
    "source",
    [
        "S = {}\ndef f(text):\n if text not in S: S[text] = 1\n return S[text]",
        "S = {'a': {}}\ndef f(text):\n S['a'][text] = 1",
        "S = {}\ndef f(text):\n found = S\n for one in text: found.setdefault(one, []).append(one)",
        "class C:\n S = []\n def p(self, text): self.S.append(text)\nc = C()\ndef f(text): c.p(text)",
        "S = []\ndef f(text): return [S.append(one) for one in text]",
        "S = {}\nP = 1\ndef f(text): S[text if P else 'x'] = text",
        "S = {'a': 1}\ndef f(text):\n S['a'] += 1",
    ],
)
def test_a_container_that_the_code_changes_is_state(source):
    function = made(source)
    before = callable_digest(function)
    function("a")
    assert callable_digest(function) == before


def closed_over(prompt):
    return lambda text: prompt + text


class Agent:
    def __init__(self, prompt):
        self.prompt = prompt
        self.calls = 0
        self.log = []

    def __call__(self, text):
        self.calls += 1
        self.log.append(text)
        return self.prompt + text

    def ask(self, text):
        return self(text)


def plain(prompt, text):
    return prompt + text


def prompt_function(prompt):
    @llmops.llm("offline/echo", system=prompt)
    def ask(text):
        return text

    return ask


def in_a_client(prompt):
    client = llmops.LLM("offline/echo", system=prompt)
    return lambda text: client.chat(text).text


def in_a_module(prompt):
    prompts = ModuleType("prompts")
    prompts.SYSTEM = prompt
    return made("def f(text): return prompts.SYSTEM + text", prompts=prompts)


def in_a_scorer(prompt):
    return scorer(version=prompt)(lambda output: 1.0).score


def in_a_judge(prompt):
    judge = Judge(prompt)
    return lambda text: judge


@pytest.mark.parametrize(
    "make",
    [
        closed_over,
        Agent,
        lambda prompt: Agent(prompt).ask,
        functools.partial(functools.partial, plain),
        lambda prompt: functools.partial(plain, prompt=prompt),
        prompt_function,
        lambda prompt: llmops.trace(closed_over(prompt)),
        in_a_client,
        in_a_module,
        lambda prompt: closed_over((prompt, frozenset({prompt}))),
        lambda prompt: closed_over({"a": [prompt]}),
        lambda prompt: closed_over(re.compile(prompt)),
        lambda prompt: closed_over(Path(prompt)),
        in_a_scorer,
        in_a_judge,
    ],
)
def test_a_prompt_that_is_edited_by_one_character_changes_the_digest(make):
    assert callable_digest(make("Be brief.")) == callable_digest(make("Be brief."))
    assert callable_digest(make("Be brief.")) != callable_digest(make("Be brief!"))


@given(left=st.text(), right=st.text())
def test_digests_of_closures_are_equal_only_for_equal_values(left, right):
    assert (callable_digest(closed_over(left)) == callable_digest(closed_over(right))) == (left == right)


def test_state_does_not_change_the_digest():
    count, log, seen = 0, [], {}

    def task(text):
        nonlocal count
        count += 1
        log.append(text)
        seen[text] = count

    agent = Agent("x")
    before = callable_digest(task), callable_digest(agent), callable_digest(agent.ask)
    task("a")
    agent("a")
    assert (callable_digest(task), callable_digest(agent), callable_digest(agent.ask)) == before


def test_a_client_of_a_library_counts_by_its_type():
    lock = __import__("threading").Lock()
    assert callable_digest(closed_over(lock)) == callable_digest(closed_over(__import__("threading").Lock()))


class Endless:
    def __init__(self):
        self.next = self
        self.many = {number: Agent(str(number)) for number in range(3_000)}

    def __call__(self, text):
        return text

    def __getattr__(self, name):
        return Endless


@pytest.mark.parametrize("target", [Endless(), print, dict, functools.partial(print), Agent, str.upper, [].append])
def test_odd_callables_have_a_digest_and_a_name(target):
    assert callable_digest(target) == callable_digest(target)
    assert callable_name(target)


def test_a_function_that_calls_itself_has_a_digest():
    assert callable_digest(made("def f(n): return f(n - 1) if n else 0"))


def test_the_digest_is_the_same_in_another_process(tmp_path):
    file = tmp_path / "task.py"
    file.write_text(
        textwrap.dedent("""
        import collections, dataclasses, enum, functools, re
        import pydantic
        from llmops_sdk.evals.identity._callable_identity import callable_digest
        WORDS = frozenset({"a", "b", "c", "d"})
        NAMES = {"x", "y", "z"}
        class Colour(enum.Enum):
            RED = "r"
            ODD = object
        class Answer(pydantic.BaseModel):
            text: str = pydantic.Field(default="", description="short")
            kinds: set[str] = {"p", "q"}
        @dataclasses.dataclass(slots=True)
        class Part:
            name: str
        PARTS = collections.OrderedDict(a=Part("a"), b=Answer(text="b"))
        class Agent:
            kinds = {"u", "v", Colour.RED, Colour.ODD}
            @functools.cached_property
            def other(self): return PARTS, Answer, Colour
            def __init__(self): self.parts = {"k": (1, 2.5), "j": re.compile("a+")}
            def __call__(self, text): return text in WORDS or text in {"p", "q", "r"} or text in NAMES
        print(callable_digest(functools.partial(Agent(), text="a")))
        """)
    )
    found = {
        subprocess.run(
            [sys.executable, str(file)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(JSON)
def test_any_json_value_has_a_digest_that_does_not_depend_on_the_order_of_keys(value):
    assert digest({"a": value, "b": 1}) == digest({"b": 1, "a": value})
    assert digest([value]) != digest([value, value])
