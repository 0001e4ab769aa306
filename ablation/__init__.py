"""Ablation studies of image classifiers: one study file, paired seeds, verdicts that the data support."""

__version__ = "0.1.0"
