"""Errors that the user can fix. Any other exception is a bug of ours and shows its traceback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_WIDTH = 160


class UserError(Exception):
    """Something that the user can fix: what is wrong in one line, and a hint that says how to fix it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.hint)


class StorageError(UserError):
    """Results that cannot be written: the disk is full, the folder is gone or may not be written to."""


class UnreadableError(UserError):
    """A file of ours that is truncated or corrupted. A run with such a file is trained again, never trusted."""


@dataclass(frozen=True)
class Problem:
    """One error of a file: where it is (line and column from 1), what is wrong, and how to fix it."""

    line: int
    column: int
    message: str
    hint: str | None = None


class FileError(UserError):
    """All errors of one text file, each with its place, and the source lines to show with them, `most` at most."""

    def __init__(
        self, path: str, problems: Sequence[Problem], source: Sequence[str] = (), most: int | None = None
    ) -> None:
        self.path = path
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column, p.message)))
        self.source = tuple(source)
        self.most = most
        blocks = [self._block(problem) for problem in self.problems[:most]]
        rest = len(self.problems) - len(blocks)
        if rest:
            blocks.append(f"and {rest:,} more")
        super().__init__("\n".join(blocks))

    def _block(self, problem: Problem) -> str:
        rows = [f"{self.path}:{problem.line}:{problem.column}: {problem.message}"]
        for number in (problem.line - 1, problem.line):
            if 1 <= number <= len(self.source) and self.source[number - 1].strip():
                rows.append(f"  {number:>4} | {self.source[number - 1].rstrip()[:_WIDTH]}")
        if problem.line <= len(self.source) and problem.column <= _WIDTH:
            rows.append(f"       | {' ' * (problem.column - 1)}^")
        if problem.hint:
            rows.append(f"  {problem.hint}")
        return "\n".join(rows)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.problems, self.source, self.most)
