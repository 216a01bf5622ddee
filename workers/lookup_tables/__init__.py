"""Tables of the enrich stage seen from outside of it: entries, sizes, and why a change has its owner."""
