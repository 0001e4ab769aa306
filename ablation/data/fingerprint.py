"""What an image folder is, as a short text: the same images give the same digest, wherever they are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ablation._util.hashing import slug
from ablation.data.image_folder import Part, is_plain, list_images, open_archive

CACHE_VERSION = 2
"""Raised when the files of decoded images change their form."""
DECODED = "-d2"
"""Ends the fingerprint of images some of which `pixels` converts: versions before had decoded them to other pixels."""


def cache_folder(name: str, fingerprint: str, part: str) -> str:
    """The folder below results/data/ that holds the decoded images of one part (train, test) of a data set."""
    return slug(f"{name}-{fingerprint}-{part}-v{CACHE_VERSION}")


def _is_converted(content: bytes) -> bool:
    from ablation.data import pixels  # Pillow and numpy, which take longer to import than most data sets to be read

    return pixels.is_converted(content)


def folder_digest(root: Path, part: Part) -> tuple[str, bool]:
    """(digest of the names and bytes of all images, whether the pixels of any are converted by their meaning)."""
    digest, converted = hashlib.sha256(), False
    images = list_images(root, part).images
    archive = open_archive(root)
    try:
        for image in images:
            content = image.read(archive)
            digest.update(os.fsencode(image.name) + b"\0" + hashlib.sha256(content).digest())
            converted = converted or (not is_plain(content) and _is_converted(content))
    finally:
        if archive:
            archive.close()
    return digest.hexdigest()[:16], converted
