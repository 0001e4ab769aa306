"""A Study in; the ordered runs out, each with the content hash that names its folder."""
