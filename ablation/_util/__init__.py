"""Small helpers without knowledge of studies: text, hashing, atomic files."""
