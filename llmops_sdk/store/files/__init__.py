"""The files in the store's folder: segments, manifest, locks, leases and blobs.

Doors for other packages: `_filesystems`, `_folders`, `_locks`.
"""
