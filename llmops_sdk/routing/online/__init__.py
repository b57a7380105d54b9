"""Learn from each score as it comes: models compared by means that forget, and that start anew where scores change."""
