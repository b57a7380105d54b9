"""Find personal data: addresses, numbers and dates of people.

Doors for other packages: `_pii`.
"""
