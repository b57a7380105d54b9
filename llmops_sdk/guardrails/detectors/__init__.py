"""Guards that find sensitive data in texts, one family per module."""
