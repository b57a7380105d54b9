"""Find content and secrets in a record, and redact them before any sink sees them.

Doors for other packages: `_content`, `_redactors`, `_secrets`, `_stage`, `_text`.
"""
