"""Export and import files, take in foreign records, write snapshots.

Doors for other packages: `_export`, `_export_rows`, `_foreign_records`, `_target_file`.
"""
