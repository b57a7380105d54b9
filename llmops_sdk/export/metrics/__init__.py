"""Client metrics of the GenAI conventions: durations, tokens and time to the first chunk.

Doors for other packages: `_chunk_times`.
"""
