"""Find content and secrets in records, and redact them before any sink sees them.

`_secrets` is the only table of secret formats. A detector of its own loops over `PATTERNS` for a text that
`_sieves.may_hold_secret` does not rule out: `SecretPattern.spans` gives the secrets of one format.

Doors for other packages: `_content`, `_hash_key`, `_redaction_stage`, `_redactors`, `_secrets`, `_sieves`,
`_text_redactor`.
"""
