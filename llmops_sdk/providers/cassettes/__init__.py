"""Record a real model's answers once, and replay them in tests."""
