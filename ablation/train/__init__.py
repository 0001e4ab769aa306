"""One run from its configuration to its record. The only package that imports torch."""
