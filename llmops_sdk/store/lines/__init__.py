"""Convert a record to a line of JSON and back; translate other vocabularies to our columns.

Doors for other packages: `_count_loss`, `_encode`.
"""
