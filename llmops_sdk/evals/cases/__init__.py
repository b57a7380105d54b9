"""Tests of prompts as code: cases with a verdict over repeats, from functions and from files.

Doors for other packages: `_case_file`, `_case_results`, `_details`, `_eval_case`, `_history`, `_import_names`,
`_repeats`, `_rule`, `_suite`.
"""
