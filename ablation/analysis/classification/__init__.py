"""What is only true of a classification: classes, chance and ceiling of accuracy, networks that disagree on images.

The rest of the analysis knows metrics as data. It asks here which runs are no better than guessing (`chance`), how two
trained networks compare on the same images (`networks`), and what comes of each class (`classes`).
"""
