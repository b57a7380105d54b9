"""Show results to people and to CI: Markdown for a pull request, JUnit XML, and one self-contained HTML file.

Doors for other packages: `_html`, `_junit`, `_markdown`.
"""
