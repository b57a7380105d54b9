"""What each page of the local page shows: one module a page, each a function from a request to an answer."""
