"""Ask a model the same prompts again and again, and find out that the model behind the name has changed."""
