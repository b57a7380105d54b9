"""Turn a Python value into bounded JSON without running the application's code.

Doors for other packages: `_arguments`, `_blobs`, `_embedded`, `_encode`.
"""
