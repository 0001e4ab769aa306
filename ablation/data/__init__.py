"""A data set by name in; fingerprints, and arrays of decoded images out.

`image_folder` and `archives` find the images, `pixels` decodes them, `sources` prepares arrays on disk that all workers
map into memory, `duplicates` finds test images among the training images.
"""
