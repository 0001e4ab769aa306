"""A study file in; a Study, or all errors of the file with their places, out.

`strict_yaml` reads, `schema` says what a study may be, `variants`, `designs` and `expansion` make its variants, and
`validation_errors` words what is wrong.
"""
