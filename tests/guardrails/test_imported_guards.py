"""Guards of the application that stand in the configuration by their place in the code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.guardrails import ConfiguredGuard, GuardOptions, check, policy_version, resolve

MODULE = """
import re
from llmops_sdk.guardrails import Detection, Verdict

class Orders:
    name = "orders"

    def __init__(self, label="ORDER"):
        self.label = label
        self.version = f"1:{label}"

    def check(self, text, context):
        new, count = re.subn(r"O-[0-9]{6}", f"[{self.label}]", text)
        return Verdict("redact", new, "an order number") if count else Verdict("pass")

class Finder:
    name, version = "finder", "1"

    def detect(self, text, context):
        return Detection()

class Holder:
    guard = Orders("HELD")

def make(label):
    return Orders(label)

ready = Orders()
finder = Finder()
number = 7
"""


@pytest.fixture(autouse=True)
def shop(tmp_path, monkeypatch):
    """Put a package of the application, with some broken modules, on the path; forget it at the end."""
    folder = tmp_path / "code" / "shop_app"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "guards.py").write_text(MODULE)
    (folder / "broken.py").write_text("import no_such_library")
    (folder / "raises.py").write_text("raise OSError('no disk')")
    monkeypatch.syspath_prepend(str(folder.parent))
    yield
    for name in [one for one in sys.modules if one.startswith("shop_app")]:
        del sys.modules[name]


def configured(name: str = "shop_app.guards:Orders", options: str = "") -> None:
    Path("llmops.toml").write_text(f'model = "offline/echo"\n[guardrails]\ninput = ["{name}"]\n{options}')
    # A file that the program names, as one in the project of the program.
    llmops.configure(config_file="llmops.toml")


@pytest.mark.parametrize(
    ("name", "options", "label"),
    [
        ("shop_app.guards:Orders", "", "ORDER"),
        ("shop_app.guards:Orders", "label = 'O'\ntimeout = 5", "O"),
        ("shop_app.guards:ready", "on_error = 'open'", "ORDER"),
        ("shop_app.guards:Holder.guard", "", "HELD"),
        ("shop_app.guards:make", "label = 'MADE'", "MADE"),
    ],
)
def test_a_file_names_a_guard_of_the_application(name, options, label):
    configured(name, f"[guardrails.options.'{name}']\n{options}")
    assert "shop_app.guards" not in sys.modules  # it is imported for the first call
    assert llmops.chat("Where is O-123456?").text == f"Where is [{label}]?"
    assert check("O-123456", [name]).text == f"[{label}]"

    @llmops.guard(output=[name])
    def ask() -> str:
        return "O-123456"

    assert ask() == f"[{label}]"


def test_options_of_every_guard_are_options_of_one_in_code_and_its_own_are_in_the_key():
    name = "shop_app.guards:Orders"
    (guard,) = resolve([name], {name: {"timeout": 5, "label": "O"}})
    assert isinstance(guard, ConfiguredGuard)
    assert guard.options == GuardOptions(timeout=5)
    assert policy_version([guard]) != policy_version(resolve([name], {name: {"timeout": 5}}))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shop_app.gaurds:Orders", "there is no module 'shop_app.gaurds' that this program can import"),
        ("shp_app.guards:Orders", "there is no module 'shp_app' that"),
        ("crads:redcat", "there is no module 'crads'.*did you mean 'cards'"),
        ("crads:block", "there is no guard 'crads'.*did you mean 'cards:block'"),
        ("shop_app.guards:Order", "shop_app.guards has no 'Order': did you mean 'Orders'"),
        ("shop_app.guards:Orders.nothing", "shop_app.guards has no 'nothing'"),
        ("shop_app.guards:number", "is not a guard but of the type int: a guard has a name, a version and check"),
        ("shop_app.guards:finder", "is not a guard but of the type Finder: wrap it in DetectorGuard"),
        (
            "shop_app.guards:make",
            r"cannot be made: TypeError: .*label.* Its options are the arguments of make\(label\)",
        ),
        (
            "shop_app.broken:guard",
            "importing its module failed: ModuleNotFoundError: No module named 'no_such_library'",
        ),
        ("shop_app.raises:guard", "importing its module failed: OSError: no disk"),
    ],
)
def test_a_guard_that_cannot_be_had_is_an_error_with_the_place_in_the_file(name, message):
    configured(name)
    with pytest.raises(llmops.ConfigError, match=message) as caught:
        llmops.chat("hello")
    assert caught.value.source == str(Path("llmops.toml").resolve())
    assert caught.value.key == "guardrails.input"
    with pytest.raises(llmops.ConfigError, match=message):
        check("hello", [name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shop_app.guards:Orders": {"labl": "x"}}, r"unexpected keyword argument 'labl'.*Orders\(label='ORDER'\)"),
        ({"shop_app.guards:ready": {"label": "x"}}, "is an object, so it has no option 'label': name its class"),
        ({"shop_app.guards:ready": {"timeout": 0}}, "timeout is 0"),
    ],
)
def test_options_that_the_guard_does_not_take_are_errors(options, message):
    with pytest.raises(llmops.ConfigError, match=message):
        check("hello", list(options), options=options)


def test_the_decorator_imports_nothing_before_a_call():
    ask = llmops.guard(input=["no_such_module.guards:Orders"])(str.upper)
    with pytest.raises(llmops.ConfigError, match="there is no module 'no_such_module'"):
        ask("hello")
