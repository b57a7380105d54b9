"""Tests of prompts as code: cases with a verdict over repeats, from functions and from files.

Doors for other packages: `_case_file`, `_eval_case`, `_repeats`.
"""
