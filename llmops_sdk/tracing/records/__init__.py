"""Define what spans hand to the sinks: records, attribute names, span kinds and losses.

Doors for other packages: `_guardrail_events`, `_ids`, `_losses`, `_outbox`, `_records`, `_resource`, `_semconv`,
`_span_kinds`.
"""
