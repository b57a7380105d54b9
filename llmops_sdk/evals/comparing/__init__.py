"""Compare two experiments on the items that both have, and decide about a change: better, worse or undecided."""
