"""How `make docs` builds the site. Its reference comes from the code: `_ext/reference`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from ablation.versions import __version__  # noqa: E402

project = "ablation"
copyright = "the ablation-lab developers"
author = "The ablation-lab developers"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "reference"]
myst_heading_anchors = 4
source_suffix = {".md": "markdown"}
exclude_patterns = ["_ext", "_build"]

default_role = "code"  # docstrings write `code` with single backticks
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
nitpick_ignore_regex = [
    ("py:.*", ".*")
]  # types of signatures have no pages of their own; links between pages are checked

html_theme = "furo"
html_title = f"ablation {__version__}"
html_copy_source = False
html_show_sourcelink = False
