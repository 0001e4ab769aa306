"""Stored runs, or tables and stores of other tools, in; tidy pandas tables out.

`runs` reads a study's run folders, `tables` reads CSV files of training code that is not ours, `foreign` turns the
files of other tools into such tables, `predictions` has what each run predicted. Imported by `analysis` and everything
above it.
"""
