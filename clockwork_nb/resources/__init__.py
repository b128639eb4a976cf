"""Resource types: one folder each, with its attributes, its templates and its read-only look at the world."""
