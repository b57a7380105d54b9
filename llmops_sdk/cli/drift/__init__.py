"""`llmops drift …`: check stored calls for drift, scores for a change, and models by canaries."""
