"""The tree in docs/development.md shows every room of the package."""

from __future__ import annotations

from package_tree import PAGE, with_tree


def test_the_development_page_shows_every_folder_of_the_package():
    page = PAGE.read_text("utf-8")

    assert page == with_tree(page), "run `make docs`"
    assert "store/\n" not in page  # each folder has a line of its own that says what it holds
