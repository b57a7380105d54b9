"""Commands that change a store or move data into and out of it, one module a command."""
