"""A catalogue of the mistakes that people make in study files, and what they are told."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ablation.errors import FileError, UserError
from ablation.study.load import load_study

SOUND = """\
baseline:
  data: {name: digits}
  model: {name: lenet5, dropout: 0.2}
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
  schedule: {name: cosine}
  train: {epochs: 5}
seeds: [0, 1]
vary:
  model.dropout: [0.5]
"""

VARY = "vary:\n  model.dropout: [0.5]\n"

# Each mistake: a name, what is replaced in the sound study by what, and the places, words and mends that must appear.
MISTAKES = {
    "unknown key at the top": ("seeds: [0, 1]", "sedes: [0, 1]", ["7:1: unknown key 'sedes'", "did you mean 'seeds'?"]),
    "unknown key in a section": (
        "dropout: 0.2",
        "droput: 0.2",
        ["3:25: unknown key 'droput'", "did you mean 'dropout'?"],
    ),
    "unknown section": (
        "  train:",
        "  trian:",
        ["6:3: unknown key 'trian'", "did you mean 'train'?", "has no 'train'"],
    ),
    "option of another kind": (
        "{name: cosine}",
        "{name: cosine, step_size: 3}",
        ["5:28: unknown key 'step_size' in baseline.schedule (cosine)", "it is an option of step"],
    ),
    "wrong type: text for a number": (
        "lr: 0.1",
        "lr: fast",
        ["4:30: baseline.optimizer.lr is 'fast'; it must be a number"],
    ),
    "wrong type: quoted number": ("lr: 0.1", "lr: '0.1'", ["it must be a number", "without quotes"]),
    "wrong type: fraction of an epoch": (
        "epochs: 5",
        "epochs: 2.5",
        ["6:19: baseline.train.epochs is 2.5; it must be a whole"],
    ),
    "wrong type: list for a section": (
        "{name: digits}",
        "[digits]",
        ["2:9: baseline.data is ['digits']; it must be a name, or a mapping with one", "choose one: digits,"],
    ),
    "wrong type: yes for true": ("momentum: 0.9", "nesterov: yes", ["it must be true or false", "write true or false"]),
    "duplicate key": (
        "  train: {epochs: 5}",
        "  train: {epochs: 5}\n  train: {epochs: 6}",
        ["7:3: duplicate key 'train'"],
    ),
    "unknown model": (
        "lenet5",
        "lenet",
        ["3:17: baseline.model.name: unknown model 'lenet'", "did you mean 'lenet5'?"],
    ),
    "unknown data set": ("digits", "digit", ["2:16: unknown data set 'digit'", "did you mean 'digits'?"]),
    "unknown optimizer": ("sgd", "sdg", ["4:21: unknown optimizer 'sdg'", "did you mean 'sgd'?"]),
    "unknown schedule": ("cosine", "cosin", ["unknown schedule 'cosin'", "did you mean 'cosine'?"]),
    "unknown augmentation": (
        "{name: digits}",
        "{name: digits, augment: [crop, flop]}",
        ["unknown augmentation 'flop'", "'flip'"],
    ),
    "unknown norm": ("dropout: 0.2", "norm: bacth", ["baseline.model.norm is 'bacth'", "did you mean 'batch'?"]),
    "unknown initialisation": (
        "dropout: 0.2",
        "init: xaver",
        ["3:31: baseline.model.init is 'xaver'", "did you mean 'xavier'?"],
    ),
    "unknown initialisation of a kind of layer": (
        "dropout: 0.2",
        "init: {conv: xavier, linear: norml}",
        ["baseline.model.init.linear is 'norml'", "did you mean 'normal'?"],
    ),
    "unknown kind of layer": (
        "dropout: 0.2",
        "init: {convs: xavier}",
        ["3:32: unknown key 'convs' in baseline.model.init", "did you mean 'conv'?"],
    ),
    "unknown initialisation in a variant": (
        "model.dropout: [0.5]",
        "model.init.conv: [xaver]",
        ["9:21: model.init.conv is 'xaver'", "did you mean 'xavier'?"],
    ),
    "unknown initialisation in a combination": (
        VARY,
        "combine:\n  a: {model.init.linear: norml, model.dropout: 0.5}\n",
        ["9:26: model.init.linear is 'norml'", "did you mean 'normal'?"],
    ),
    "unknown kind of layer in a variant": (
        "model.dropout: [0.5]",
        "model.init.cnv: [xavier]",
        ["9:3: unknown variable 'model.init.cnv'", "did you mean 'model.init.conv'?"],
    ),
    "an initialisation that is the baseline's in another form": (
        "model.dropout: [0.5]",
        "model.init: [{conv: kaiming}]",
        ["9:16: this variant equals the baseline: it changes nothing"],
    ),
    "no name": ("{name: digits}", "{validation: 0.2}", ["baseline.data has no name", "choose one: digits, mnist"]),
    "no optimizer": (
        "  optimizer: {name: sgd, lr: 0.1, momentum: 0.9}\n",
        "",
        ["baseline has no 'optimizer'", "for example"],
    ),
    "no baseline": (re.compile(r"baseline:.*?(?=seeds)", re.S), "", ["the study has no 'baseline'"]),
    "no seeds": ("seeds: [0, 1]\n", "", ["the study has no 'seeds'", "for example seeds: [0, 1, 2]"]),
    "empty seeds": ("[0, 1]", "[]", ["7:8: seeds is empty", "at least one"]),
    "the same seed twice": ("[0, 1]", "[0, 0]", ["seed 0 is listed twice", "list each seed once"]),
    "negative seed": ("[0, 1]", "[0, -1]", ["7:12: seeds[1] is -1; it must be at least 0"]),
    "negative learning rate": ("lr: 0.1", "lr: -0.1", ["4:30: baseline.optimizer.lr is -0.1; it must be above 0"]),
    "infinite learning rate": ("lr: 0.1", "lr: .inf", ["baseline.optimizer.lr is inf; it must be a finite number"]),
    "dropout of one": ("dropout: 0.2", "dropout: 1", ["baseline.model.dropout is 1; it must be below 1"]),
    "fraction 0": ("model.dropout: [0.5]", "data.fraction: [0, 0.5]", ["9:19: data.fraction is 0; it must be above 0"]),
    "fraction in percent": (
        "model.dropout: [0.5]",
        "data.fraction: [50]",
        ["9:19: data.fraction is 50; it must be at most 1"],
    ),
    "even kernel": ("dropout: 0.2", "dropout: 0.2, kernel_size: 4", ["the kernel size must be odd", "use 3, 5 or 7"]),
    "no budget": ("epochs: 5", "batch_size: 5", ["neither epochs nor steps", "for example epochs: 30"]),
    "two budgets": ("epochs: 5", "epochs: 5, steps: 100", ["both epochs and steps"]),
    "warm-up longer than the run": (
        "{name: cosine}",
        "{name: cosine, warmup_epochs: 9}",
        ["5:43: the warm-up of 9 epochs fills"],
    ),
    "milestones out of order": (
        "{name: cosine}",
        "{name: multistep, milestones: [4, 2]}",
        ["the milestones must increase"],
    ),
    "nesterov without momentum": ("momentum: 0.9", "nesterov: true", ["Nesterov needs a momentum above 0"]),
    "cutout larger than the image": (
        "{name: digits}",
        "{name: digits, augment: [cutout]}",
        ["cutout of 8 pixels covers the 8x8 image", "use a size below 8"],
    ),
    "mixup among the augmentations": (
        "{name: digits}",
        "{name: digits, augment: [mixup]}",
        ["2:34: unknown augmentation 'mixup'", "it is the option train.mixup"],
    ),
    "an option of another augmentation": (
        "{name: digits}",
        "{name: digits, augment: [{name: flip, padding: 2}]}",
        ["unknown key 'padding' in baseline.data.augment[0] (flip)", "it is an option of crop"],
    ),
    "noise before another augmentation": (
        "{name: digits}",
        "{name: digits, augment: [noise, flip]}",
        ["2:33: noise is applied to the normalised pixels, after all other", "put it last"],
    ),
    "a colour jitter of nothing": (
        "{name: digits}",
        "{name: digits, augment: [{name: color_jitter, brightness: 0, contrast: 0, saturation: 0}]}",
        ["this colour jitter changes nothing", "set brightness"],
    ),
    "a range upside down": (
        "{name: digits}",
        "{name: digits, augment: [{name: random_resized_crop, scale: [1, 0.5]}]}",
        ["the range runs from high to low", "write [0.5, 1]"],
    ),
    "a range of one number": (
        "{name: digits}",
        "{name: digits, augment: [{name: random_resized_crop, scale: 0.5}]}",
        ["scale is 0.5; it must be a list"],
    ),
    "a range of more than the image": (
        "{name: digits}",
        "{name: digits, augment: [{name: random_resized_crop, scale: [0.5, 2]}]}",
        ["scale[1] is 2; it must be at most 1"],
    ),
    "one cycle with a warm-up": (
        "{name: cosine}",
        "{name: one_cycle, warmup_epochs: 1}",
        ["unknown key 'warmup_epochs' in baseline.schedule (one_cycle)", "it is an option of constant"],
    ),
    "a plateau that would raise the learning rate": (
        "{name: cosine}",
        "{name: plateau, factor: 10}",
        ["baseline.schedule.factor is 10; it must be below 1"],
    ),
    "torch's name of the plateau": (
        "{name: cosine}",
        "{name: reduce_on_plateau}",
        ["unknown schedule 'reduce_on_plateau'", "one_cycle, plateau"],
    ),
    "an exponential decay without its rate": (
        "{name: cosine}",
        "{name: exponential}",
        ["baseline.schedule has no 'gamma'"],
    ),
    "a misspelt optimizer": ("sgd", "rmsprob", ["unknown optimizer 'rmsprob'", "did you mean 'rmsprop'?"]),
    "no patience at all": (
        "epochs: 5",
        "epochs: 5, patience: 0",
        ["baseline.train.patience is 0; it must be at least 1"],
    ),
    "holding what does not exist": (
        "epochs: 5",
        "epochs: 5, hold: step",
        ["baseline.train.hold is 'step'", "did you mean 'steps'?"],
    ),
    "holding steps with all the data": (
        "model.dropout: [0.5]",
        "train.hold: [steps]",
        ["this variant equals the baseline"],
    ),
    "stages that are a number": (
        "train: {epochs: 5}",
        "train: {stages: 3}",
        ["baseline.train.stages is 3; it must be a list", "write stages: [3]"],
    ),
    "channels of another network": (
        "dropout: 0.2",
        "channels: [64, 128, 256, 512]",
        ["3:35: lenet5 has 2 stages of convolutions, not 4", "the default is [6, 16]"],
    ),
    "kernels of another network": (
        "model.dropout: [0.5]",
        "model.kernel_size: [[5, 3, 3]]",
        ["9:23: lenet5 takes 2 kernel sizes, not 3"],
    ),
    "an even kernel among others": (
        "dropout: 0.2",
        "kernel_size: [5, 2]",
        ["baseline.model.kernel_size[1]: the kernel size must be odd"],
    ),
    "kernels that are all the same": (
        "model.dropout: [0.5]",
        "model.kernel_size: [[5, 5]]",
        ["this variant equals the baseline"],
    ),
    "image too small for the pools": (
        "lenet5",
        "vgg16",
        ["3:17: vgg16 needs images of at least 32x32 pixels; digits has 8x8"],
    ),
    "a stem for a network without": ("dropout: 0.2", "stem: large", ["lenet5 has no option stem"]),
    "a norm's place without a norm": (
        "dropout: 0.2",
        "norm_position: after",
        ["3:40: norm_position has no effect without a norm"],
    ),
    "unknown variable": (
        "model.dropout: [0.5]",
        "model.droput: [0.5]",
        ["9:3: unknown variable 'model.droput'", "model.dropout"],
    ),
    "variable without its section": (
        "model.dropout: [0.5]",
        "dropout: [0.5]",
        ["unknown variable 'dropout'", "write model.dropout"],
    ),
    "one value instead of a list": (
        "model.dropout: [0.5]",
        "model.dropout: 0.5",
        ["vary.model.dropout is 0.5; it must be a list"],
    ),
    "no value at all": ("model.dropout: [0.5]", "model.dropout: []", ["9:18: vary.model.dropout has no values"]),
    "delta equal to the baseline": (
        "[0.5]",
        "[0.5, 0.2]",
        ["9:24: this variant equals the baseline: it changes nothing"],
    ),
    "delta equal to a default": (
        "model.dropout: [0.5]",
        "model.kernel_size: [5]",
        ["this variant equals the baseline"],
    ),
    "the same delta twice": ("[0.5]", "[0.5, 0.5]", ["9:24: this variant is the same as 'dropout=0.5'"]),
    "two variables in one delta": (
        "model.dropout: [0.5]",
        "model: [{dropout: 0.5, norm: batch}]",
        ["9:11: this changes 2 variables: model.norm, model.dropout", "declare the change under combine"],
    ),
    "two variables behind a new name": (
        "model.dropout: [0.5]",
        "model: [{name: resnet9, norm: none}]",
        ["this changes 2 variables: model.name, model.norm"],
    ),
    "a combination of one": (
        "vary:\n  model",
        "combine:\n  both: {model.norm: batch}\nvary:\n  model",
        ["9:3: combine.both changes fewer"],
    ),
    "a combination with a fault": (
        "vary:\n  model",
        "combine:\n  both: {model.norm: bach, model.dropout: 0.1}\nvary:\n  model",
        ["9:22: model.norm is 'bach'", "did you mean 'batch'?"],
    ),
    "a variant without its parameters": (
        "model.dropout: [0.5]",
        "schedule: [step]",
        ["9:14: schedule has no 'step_size'"],
    ),
    "missing image folder": (
        "{name: digits}",
        "{name: image_folder, path: no/such/place}",
        ["2:36: no folder or zip file at 'no/such/place'", "relative to where you start"],
    ),
    "no path for the images": ("{name: digits}", "{name: image_folder}", ["baseline.data has no 'path'"]),
    "tabs": ("  model:", "\tmodel:", ["3:1: a tab in the indentation", "indent with spaces"]),
    "unclosed bracket": ("[0, 1]", "[0, 1", ["7:8: this [ is not closed", "add the closing bracket"]),
    "a tag": ("seeds: [0, 1]", "seeds: !!python/object:os.system [0]", ["7:8: the tag", "is not allowed"]),
    "a list at the top": (re.compile(".*", re.S), "- a\n- b\n", ["1:1: a study file is a mapping"]),
    "an empty file": (re.compile(".*", re.S), "", ["1:1: the file is empty"]),
    "only a comment": (re.compile(".*", re.S), "# nothing yet\n", ["1:1: the file is empty"]),
    "a key that is a list": ("seeds: [0, 1]", "seeds: [0, 1]\n? [a, b]\n: 1", ["8:3: a key must be plain text"]),
    "an unknown design": (
        VARY,
        "components:\n  dropout: {off: {model.dropout: 0}}\ndesign: leave_on_out\n",
        ["10:9: design is 'leave_on_out'", "did you mean 'leave_one_out'?"],
    ),
    "an unknown design in a list": (
        VARY,
        "components:\n  dropout: {off: {model.dropout: 0}}\ndesign: [add_one_in, factorail]\n",
        ["10:22: design[1] is 'factorail'", "did you mean 'factorial'?"],
    ),
    "a design twice": (
        VARY,
        "components:\n  dropout: {off: {model.dropout: 0}}\ndesign: [factorial, factorial]\n",
        ["10:9: design: 'factorial' is listed twice", "name each once"],
    ),
    "a component without options": (
        VARY,
        "components:\n  dropout: {}\ndesign: leave_one_out\n",
        ["9:3: the component 'dropout' has no options", "off: {model.dropout: 0}"],
    ),
    "a component that is a value": (
        VARY,
        "components:\n  dropout: 0\ndesign: leave_one_out\n",
        ["9:12: components.dropout is 0; it must be a mapping"],
    ),
    "a component that says neither on nor off": (
        VARY,
        "components:\n  dropout: {model.dropout: 0}\ndesign: leave_one_out\n",
        ["9:13: unknown key 'model.dropout' in components.dropout", "known: on, off, needs"],
    ),
    "a component whose off is the baseline": (
        VARY,
        "components:\n  dropout: {off: {model.dropout: 0.2}}\ndesign: leave_one_out\n",
        ["9:18: 'dropout' off is the same training as the baseline", "give other options"],
    ),
    "a component whose on is its off": (
        VARY,
        "components:\n  dropout: {on: {model.dropout: 0.2}, off: {model.dropout: 0.2}}\ndesign: leave_one_out\n",
        ["9:12: on and off of 'dropout' are the same training"],
    ),
    "a component that the baseline has neither on nor off": (
        VARY,
        "components:\n  dropout: {on: {model.dropout: 0.5}, off: {model.dropout: 0}}\ndesign: leave_one_out\n",
        ["9:3: in the baseline, the component 'dropout' is neither on nor off", "model.dropout: 0.5 or 0"],
    ),
    "a component whose sides name different options": (
        VARY,
        "components:\n"
        "  dropout: {on: {model.dropout: 0.2, model.norm: none}, off: {model.dropout: 0}}\n"
        "design: leave_one_out\n",
        ["9:3: on and off of 'dropout' name different options: model.norm", "give the same options in both"],
    ),
    "a design without components": (
        VARY,
        "design: factorial\n",
        ["8:1: there are no components for the design", "declare them under components"],
    ),
    "components without a design": (
        VARY,
        "components:\n  dropout: {off: {model.dropout: 0}}\n",
        ["8:1: the components have no design", "add design: leave_one_out or"],
    ),
    "a component twice": (
        VARY,
        "components:\n  dropout: {off: {model.dropout: 0}}\n  dropout: {off: {model.norm: batch}}\ndesign: factorial\n",
        ["10:3: duplicate key 'dropout'", "the first one is in line 9"],
    ),
    "an unknown variable in a component": (
        VARY,
        "components:\n  dropout: {off: {model.droput: 0}}\ndesign: factorial\n",
        ["9:19: unknown variable 'model.droput'", "did you mean 'model.dropout'?"],
    ),
    "a wrong value in a component": (
        VARY,
        "components:\n  dropout: {off: {model.dropout: 2}}\ndesign: factorial\n",
        ["9:34: model.dropout is 2; it must be below 1"],
    ),
    "an initialisation in two components": (
        VARY,
        "components:\n  a: {on: {model.init.conv: xavier}}\n  b: {on: {model.init: default}}\ndesign: factorial\n",
        ["10:3: model.init.conv belongs to the component 'a' and to 'b'", "give each option to one"],
    ),
    "an option in two components": (
        VARY,
        "components:\n  a: {off: {model.dropout: 0}}\n  b: {off: {model.dropout: 0.1}}\ndesign: factorial\n",
        ["10:3: model.dropout belongs to the component 'a' and to 'b'", "give each option to one"],
    ),
    "too many components for a factorial design": (
        VARY,
        "components:\n"
        "  a: {off: {model.dropout: 0}}\n"
        "  b: {on: {model.norm: batch}}\n"
        "  c: {on: {model.pool: avg}}\n"
        "  d: {on: {model.activation: tanh}}\n"
        "  e: {on: {model.init: xavier}}\n"
        "  f: {on: {model.width: 2}}\n"
        "design: factorial\n",
        ["15:9: a factorial design of 6 components has 64 variants, x 2 seeds = 128 runs", "at most 5"],
    ),
    "leaving one out where not all is there": (
        VARY,
        "components:\n  a: {off: {model.dropout: 0}}\n  b: {on: {model.norm: batch}}\ndesign: leave_one_out\n",
        [
            "11:9: leave_one_out needs every component on in the baseline, but these are off: b",
            "set model.norm: batch in the baseline",
        ],
    ),
    "a need that is no component": (
        VARY,
        "components:\n"
        "  a: {off: {model.dropout: 0}, needs: nrom}\n"
        "  norm: {on: {model.norm: batch}}\n"
        "design: add_one_in\n",
        ["9:39: 'a' needs an unknown component 'nrom'", "did you mean 'norm'?"],
    ),
    "needs in a circle": (
        VARY,
        "components:\n"
        "  a: {off: {model.dropout: 0}, needs: norm}\n"
        "  norm: {on: {model.norm: batch}, needs: [a]}\n"
        "design: add_one_in\n",
        ["9:39: the component 'a' needs itself"],
    ),
    "a baseline without what a component needs": (
        VARY,
        "components:\n"
        "  a: {off: {model.dropout: 0}, needs: norm}\n"
        "  norm: {on: {model.norm: batch}}\n"
        "design: add_one_in\n",
        ["9:39: in the baseline 'a' is on, but 'norm', which it needs, is off", "switch both on"],
    ),
    "a need that is not told": (
        VARY,
        "components:\n"
        "  norm: {on: {model.norm: batch}}\n"
        "  place: {on: {model.norm_position: after}}\n"
        "design: add_one_in\n",
        ["10:15: 'place' on is the same training as the baseline", "declare that: needs"],
    ),
    "a combination named like an variant of the design": (
        VARY,
        "components:\n"
        "  norm: {on: {model.norm: batch}}\n"
        "  place: {on: {model.pool: avg}}\n"
        "design: factorial\n"
        "combine:\n"
        "  everything: {model.dropout: 0.5, model.norm: layer}\n",
        ["11:9: the name 'everything' is already used", "rename"],
    ),
    "an variant of a design that cannot be": (
        VARY,
        "components:\n  deep: {on: {model.name: vgg16}}\ndesign: factorial\n",
        ["10:9: vgg16 needs images of at least 32x32 pixels"],
    ),
    "a grid of one option": (
        VARY,
        "grid:\n  g: {model.dropout: [0.1, 0.5]}\n",
        ["9:3: grid.g has fewer than two options", "under vary"],
    ),
    "wrong values in a grid": (
        VARY,
        "grid:\n  g: {model.dropout: [0.1, 5], model.norm: [batch, bach]}\n",
        ["9:28: model.dropout is 5", "9:52: model.norm is 'bach'", "did you mean 'batch'?"],
    ),
    "an option of a grid without values": (
        VARY,
        "grid:\n  g: {model.dropout: [], model.norm: [batch]}\n",
        ["9:22: grid.g.model.dropout is empty", "at least one"],
    ),
    "a value of a grid twice": (
        VARY,
        "grid:\n  g: {model.dropout: [0.1, 0.1], model.norm: [batch]}\n",
        ["two points of grid.g are the same training: 'dropout=0.1, norm=batch' again", "list each value once"],
    ),
    "another name of weight decay": (
        "momentum: 0.9",
        "l2: 0.1",
        ["4:35: unknown key 'l2'", "did you mean 'weight_decay'?"],
    ),
    "the learning rate spelt out": ("lr: 0.1", "learning_rate: 0.1", ["4:26: unknown key", "did you mean 'lr'?"]),
    "epochs in the wrong section": (
        "dropout: 0.2",
        "epochs: 5",
        ["3:25: unknown key 'epochs'", "write it in the baseline, as train: {epochs: ...}"],
    ),
    "the learning rate outside of its section": (
        "seeds: [0, 1]",
        "seeds: [0, 1]\nlr: 0.1",
        ["8:1: unknown key 'lr'", "write it in the baseline, as optimizer: {lr: ...}"],
    ),
    "a section outside of the baseline": (
        "seeds: [0, 1]",
        "seeds: [0, 1]\nmodel: lenet5",
        ["8:1: unknown key 'model'", "it is a key of the baseline"],
    ),
    "seeds inside the baseline": (
        "  train:",
        "  seeds: 3\n  train:",
        ["6:3: unknown key 'seeds'", "of the whole file"],
    ),
    "batchsize": ("epochs: 5", "epochs: 5, batchsize: 8", ["unknown key 'batchsize'", "did you mean 'batch_size'?"]),
    "bs": ("epochs: 5", "epochs: 5, bs: 8", ["unknown key 'bs'", "did you mean 'batch_size'?"]),
    "wd under vary": (
        "model.dropout: [0.5]",
        "wd: [0.1]",
        ["9:3: unknown variable 'wd'", "write optimizer.weight_decay"],
    ),
    "dropout_rate": ("dropout: 0.2", "dropout_rate: 0.2", ["unknown key 'dropout_rate'", "did you mean 'dropout'?"]),
    "no space after a colon": ("epochs: 5", "epochs:5", ["6:11: unknown key 'epochs:5'", "with a colon and a space"]),
    "seeds without brackets": (
        "[0, 1]",
        "0,1,2",
        ["7:8: seeds is '0,1,2'; it must be a list", "write seeds: [0, 1, 2]"],
    ),
    "seeds as a range": ("[0, 1]", "2-4", ["seeds is '2-4'", "write seeds: [2, 3, 4]"]),
    "values without brackets": (
        "[0.5]",
        "0.1, 0.5",
        ["9:18: vary.model.dropout is", "write model.dropout: [0.1, 0.5]"],
    ),
    "a short form that is misspelt": ("{name: cosine}", "cosin", ["5:13: unknown schedule 'cosin'", "'cosine'"]),
    "a short form that lacks an option": ("{name: cosine}", "step", ["5:3: baseline.schedule has no 'step_size'"]),
    "a key indented too far": ("  train:", "     train:", ["6:6: wrong indentation: 5 spaces, where 2 or 0 would fit"]),
    "a key indented too little": ("  train:", " train:", ["6:2: wrong indentation: 1 space, where 2 or 0 would fit"]),
    "a line without a colon": (
        "  schedule: {name: cosine}",
        "  schedule",
        ["5:3: this line has no colon", "key: value"],
    ),
    "a comma left out": ("digits}", "digits limit: 90}", ["2:28: a comma is missing before this"]),
    "a bracket of the wrong kind": ("digits}", "digits]", ["2:22: ] does not close the {"]),
    "a quote never closed": ("digits}", "'digits}", ["2:16: this quote is never closed"]),
    "a colon in a title": (
        "baseline:",
        "title: What: this\nbaseline:",
        ["1:12: a colon inside a value", "into quotes"],
    ),
    "a name with a line break": (
        VARY,
        'combine:\n  "a\\nb": {model.dropout: 0.5, model.norm: layer}\n',
        ["9:3: the name 'a\\nb' has a line break"],
    ),
    "a control that repeats the baseline": (
        re.compile(r"seeds: .*", re.S),
        "seeds: [0, 1000000]\ncontrols: [a/a]\n",
        ["7:12: the control of seed 0 would be the baseline of seed 1000000"],
    ),
    "too many runs": (
        re.compile(r"seeds: .*", re.S),
        f"seeds: 100000\nvary: {{optimizer.lr: {[n / 1000 for n in range(1, 100)]}}}\n",
        ["7:8: 100 variants x 100,000 seeds = 10,000,000 runs", "the limit is 100,000 runs"],
    ),
    "a number beyond single precision": ("lr: 0.1", "lr: 1e300", ["4:30:", "1e+300 is too large or too small"]),
    "a number below single precision": ("[0.5]", "[1e-300]", ["9:19:", "1e-300 is too large or too small"]),
    "a grid too large": (
        VARY,
        "grid:\n  g: {optimizer.lr: [1,2,3,4,5,6,7,8,9,10,11], optimizer.weight_decay: [1,2,3,4,5,6,7,8,9,10]}\n",
        ["9:3: grid.g has 110 points, x 2 seeds = 220 runs", "at most 100"],
    ),
}


def break_it(what: str | re.Pattern[str], by: str) -> str:
    if isinstance(what, re.Pattern):
        return what.sub(by, SOUND, count=1)
    assert what in SOUND
    return SOUND.replace(what, by, 1)


def test_the_study_is_sound_before_it_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(SOUND)
    assert [v.name for v in load_study(path).variants] == ["baseline", "dropout=0.5"]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_located_and_comes_with_its_mend(mistake: str, tmp_path: Path) -> None:
    what, by, expected = MISTAKES[mistake]
    path = tmp_path / "study.yaml"
    path.write_text(break_it(what, by), encoding="utf-8")
    with pytest.raises(FileError) as caught:
        load_study(path)
    message = str(caught.value)
    for words in expected:
        assert words in message
    assert message.startswith(f"{path}:")


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(SOUND.replace("lenet5", "lenet6").replace("lr: 0.1", "lr: 0").replace("[0, 1]", "[]"))
    with pytest.raises(FileError) as caught:
        load_study(path)
    assert [problem.line for problem in caught.value.problems] == [3, 4, 7]


def test_the_offending_line_is_shown_with_a_pointer(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(SOUND.replace("lr: 0.1", "lr: 0"))
    with pytest.raises(FileError) as caught:
        load_study(path)
    shown, pointer = str(caught.value).splitlines()[2:4]
    assert shown.endswith("optimizer: {name: sgd, lr: 0, momentum: 0.9}")
    assert shown[pointer.index("^")] == "0"


def test_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "dropout.yaml").write_text(SOUND)
    with pytest.raises(UserError, match=r"did you mean .*dropout\.yaml"):
        load_study(tmp_path / "dropuot.yaml")


def test_a_missing_file_is_not_taken_for_one_that_is_named_quite_differently(tmp_path: Path) -> None:
    (tmp_path / "zh.yaml").write_text(SOUND)
    with pytest.raises(UserError, match=r"study files nearby: .*zh\.yaml") as caught:
        load_study(tmp_path / "nosuch.yaml")
    assert "did you mean" not in str(caught.value)


def test_a_pipe_is_refused_without_being_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(UserError, match="is a pipe or device, not a file"):
        load_study(tmp_path / "pipe.yaml")


def test_a_file_of_20_gigabytes_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    with path.open("wb") as file:
        file.truncate(20 * 10**9)
    with pytest.raises(UserError, match="has 20,000,000,000 bytes; the limit is 1,000,000"):
        load_study(path)


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("images", "images/inner"),
        ("images/inner/train", "images/inner"),
        ("images/inner/train/cat", "images/inner"),
    ],
)
def test_an_image_folder_of_another_level_is_named(
    named: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("images/inner/train/cat").mkdir(parents=True)
    Path("study.yaml").write_text(SOUND.replace("{name: digits}", f"{{name: image_folder, path: {named}}}"))
    with pytest.raises(FileError) as caught:
        load_study(Path("study.yaml"))
    assert f"2:36: {named} has no folder train/" in str(caught.value)
    assert f"write path: {meant}, the folder that contains train/" in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"baseline: \xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        load_study(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder, not a file"):
        load_study(tmp_path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.dropuot=0.5", "did you mean 'model.dropout'?"),
        ("model.dropout", "write it as KEY=VALUE"),
        ("model.dropout=2", "--set model.dropout=2: baseline.model.dropout is 2; it must be below 1"),
        ("data.name=digitz", "--set data.name=digitz: unknown data set 'digitz'"),
        ("seeds=[]", "--set seeds=[]: seeds is empty"),
        ("lr=0.1", "write optimizer.lr"),
        ("learning_rate=0.1", "write optimizer.lr"),
    ],
)
def test_a_wrong_setting_of_the_command_line_is_named(setting: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(SOUND)
    with pytest.raises(UserError) as caught:
        load_study(path, overrides=[setting])
    assert message in str(caught.value)


def test_the_command_prints_the_problem_and_exits_with_1(ablate, study_file) -> None:  # type: ignore[no-untyped-def]
    path = study_file(SOUND.replace("lr: 0.1", "lr: 0"))
    result = ablate("run", path.name)
    assert result.returncode == 1
    assert "tiny.yaml:4:30: baseline.optimizer.lr is 0; it must be above 0" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (path.parent / "results").exists()
