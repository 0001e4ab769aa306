"""Components by name: models, data sets, optimizers, schedules, augmentations, metrics."""
