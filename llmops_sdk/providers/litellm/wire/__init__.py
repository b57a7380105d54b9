"""Read what the vendor itself said, where litellm drops or renames it."""
