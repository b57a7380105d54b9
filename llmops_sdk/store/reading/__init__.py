"""Query the store: `query`, `aquery`, `connect`, results, and the follower of new lines.

Doors for other packages: `_ended`, `_filters`, `_follow`, `_isolated`, `_latest`, `_query`, `_result`, `_scope`,
`_statement`.
"""
