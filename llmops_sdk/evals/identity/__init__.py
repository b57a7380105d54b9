"""Tell what the results of a task or a scorer depend on: stored results are used only where nothing changed."""
