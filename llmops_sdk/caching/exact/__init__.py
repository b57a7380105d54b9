"""The exact tier: serve the stored answer of an equal request, with one call at a time for each request."""
