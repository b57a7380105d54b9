"""The check of stored traces: signals of calls to models from SQL, compared window with window and slice by slice.

The code needs numpy, which the extra `stats` installs: a million calls are compared as arrays.
"""
