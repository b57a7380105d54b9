"""Typed answers: schemas, validation, and asking again for an answer that is not valid."""
