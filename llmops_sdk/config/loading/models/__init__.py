"""Models by name: the names of `[models]`, what they lead to, and the policies of calls to them."""
