"""Ask for a typed answer: schemas, validation, and asking again when it does not validate."""
