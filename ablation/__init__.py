"""Ablation studies of image classifiers: one study file, paired seeds, verdicts that the data support."""

from ablation.versions import __version__ as __version__
