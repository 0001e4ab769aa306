"""Stored runs, or tables of other tools, in; tidy pandas tables out.

`runs` reads a study's run folders, `tables` reads CSV files of training code that is not ours, `predictions` what each
run predicted. Imported by `analysis` and everything above it.
"""
