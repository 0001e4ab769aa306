"""Numbers and options in words, with no more digits than the data support."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ablation._util.language import commas, tr, tr_noop

MINUS = "\u2212"
ARROW = "\u2192"
ABSENT = "\u2013"
_NAMES = {
    "lr": tr_noop("learning rate"),
    "norm": tr_noop("normalisation"),
    "augment": tr_noop("augmentation"),
    "fraction": tr_noop("data fraction"),
    "init": tr_noop("initialisation"),
    "eps": tr_noop("epsilon"),
}
_PARTS = {
    "model.init.conv": tr_noop("initialisation of convolutions"),
    "model.init.linear": tr_noop("initialisation of linear layers"),
}
_SPELT = (
    tr_noop("model"), tr_noop("optimizer"), tr_noop("schedule"), tr_noop("loss"), tr_noop("weight decay"),
    tr_noop("momentum"), tr_noop("dropout"), tr_noop("batch size"), tr_noop("epochs"), tr_noop("steps"),
    tr_noop("kernel size"), tr_noop("depth"), tr_noop("width"), tr_noop("activation"), tr_noop("pooling"),
    tr_noop("label smoothing"), tr_noop("mixup"), tr_noop("precision"), tr_noop("clip norm"), tr_noop("warmup"),
    tr_noop("warmup epochs"), tr_noop("select"), tr_noop("validation"), tr_noop("limit"), tr_noop("image size"),
    tr_noop("nesterov"), tr_noop("milestones"), tr_noop("gamma"), tr_noop("pretrained"), tr_noop("freeze"),
    tr_noop("bias"), tr_noop("residual"), tr_noop("channels"), tr_noop("hidden"), tr_noop("betas"), tr_noop("alpha"),
    tr_noop("norm position"), tr_noop("pool"), tr_noop("feature dropout"), tr_noop("input dropout"),
    tr_noop("dropconnect"), tr_noop("init"), tr_noop("conv"), tr_noop("linear"), tr_noop("stem"), tr_noop("weights"),
    tr_noop("input size"), tr_noop("data"), tr_noop("head lr multiplier"), tr_noop("beta1"), tr_noop("beta2"),
    tr_noop("eval every"), tr_noop("hold"), tr_noop("patience"), tr_noop("stages"), tr_noop("compile"),
    tr_noop("step size"), tr_noop("min lr"), tr_noop("pct start"), tr_noop("div factor"), tr_noop("final div factor"),
    tr_noop("factor"), tr_noop("threshold"), tr_noop("padding"), tr_noop("probability"), tr_noop("size"),
    tr_noop("scale"), tr_noop("ratio"), tr_noop("brightness"), tr_noop("contrast"), tr_noop("saturation"),
    tr_noop("sd"), tr_noop("lr"),
)  # fmt: skip
"""Names of options that are their own spelling, as far as another language has a word for them."""
_SECTIONS = ("model", "optimizer", "schedule")
_SECONDS = ((3600.0, "h", 60.0, "min"), (60.0, "min", 1.0, "s"))


def accuracy_digits(images: int | None) -> int:
    """Decimals of an accuracy in per cent that `images` validation images can resolve."""
    if images is None:
        return 1
    return 2 if images > 5000 else 1 if images >= 100 else 0


def percent(fraction: float | None, digits: int) -> str:
    """A fraction of 1 in per cent, without the sign."""
    return ABSENT if fraction is None else f"{100 * fraction:.{digits}f}"


def points(difference: float | None, digits: int) -> str:
    """A difference of two fractions in percentage points, always signed unless it rounds to zero."""
    if difference is None:
        return ABSENT
    text = f"{abs(100 * difference):.{digits}f}"
    if float(text) == 0:
        return text
    return f"{'+' if difference > 0 else MINUS}{text}"


def count(number: float | None) -> str:
    """A count: in full below 10,000, then with three digits and k, M, G or T."""
    if number is None:
        return ABSENT
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            scaled = number / (1e3 if unit == "k" else size)
            return f"{_three(scaled)} {unit}"
    return f"{number:,.0f}"


def rate(number: float | None) -> str:
    """A speed with three digits."""
    return ABSENT if number is None else _three(number) if number < 1000 else f"{float(f'{number:.3g}'):,.0f}"


def duration(seconds: float | None) -> str:
    """A time in its two largest units."""
    if seconds is None:
        return ABSENT
    for size, unit, smaller, small_unit in _SECONDS:
        rest = round(seconds / smaller)
        per = round(size / smaller)
        if rest >= per:
            whole, part = divmod(rest, per)
            return f"{whole:,} {unit} {part} {small_unit}" if part else f"{whole:,} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def memory(mebibytes: float | None) -> str:
    """An amount of memory, given in MiB."""
    if mebibytes is None:
        return ABSENT
    return f"{_three(mebibytes / 1024)} GiB" if mebibytes >= 1024 else f"{_three(mebibytes)} MiB"


def disk_size(count: int) -> str:
    """An amount of disk, given in bytes."""
    return f"{_three(count / 1024)} KiB" if count < 2**20 else memory(count / 2**20)


def plural(number: int, noun: str, many: str | None = None) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def _three(number: float) -> str:
    if number == 0 or not math.isfinite(number):
        return f"{number:.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:.{min(digits, 3)}f}"


def value(option: object) -> str:
    """The value of an option of a recipe, as a reader would write it."""
    if option is None:
        return tr("none")
    if isinstance(option, bool):
        return tr("on") if option else tr("off")
    if isinstance(option, float):
        return _decimal(option)
    if isinstance(option, Mapping):
        return _part(option)
    if isinstance(option, list | tuple):
        return commas([value(item) for item in option]) or tr("none")
    return str(option)


def option(path: str) -> str:
    """The name of an option: its last part, spelt out; one outside any section, of a function or command, as it is."""
    if path in _SECTIONS:
        return tr(path)
    section, _, key = path.rpartition(".")
    if key == "name" and section:
        return tr(section)
    if not section:
        return key.replace("_", " ")
    named = _PARTS.get(path) or _NAMES.get(key)
    return tr(named) if named else _spelt(key)


def _decimal(number: float) -> str:
    text = min(repr(number), f"{number:.8g}", key=len)
    if "e" in text:
        mantissa, exponent = text.split("e")
        return f"{mantissa}e{int(exponent)}"
    return text.removesuffix(".0") if number else "0"


def _spelt(key: str) -> str:
    """The key of an option in words; that of a user's own component is only written without underscores."""
    words = key.replace("_", " ")
    return tr(words) if words in _SPELT else words


def _part(part: Mapping[str, object]) -> str:
    name = part.get("name")
    rest = commas([f"{_spelt(key)} {value(own)}" for key, own in part.items() if key != "name"])
    if name is None:
        return rest or tr("none")
    return tr("{name} ({rest})", name=name, rest=rest) if rest else str(name)
