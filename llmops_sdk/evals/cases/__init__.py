"""Tests of prompts as code: cases with a verdict over repeats, from functions and from files."""
