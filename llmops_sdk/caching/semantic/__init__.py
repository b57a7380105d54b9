"""Serve stored answers to questions that mean the same: what decides, and what it decides on."""
