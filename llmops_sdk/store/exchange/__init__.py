"""Export and import files, take in foreign records, write snapshots.

Doors for other packages: `_export`, `_foreign_records`.
"""
