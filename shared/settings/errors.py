"""What is wrong with the settings: every variable at fault, at once, each with its fix."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One variable at fault.

    ``variable`` is empty when several together are; ``value`` is fit for human eyes already.
    """

    variable: str
    value: str
    source: str
    fix: str

    def __str__(self) -> str:
        where = f" ({self.source})" if self.source else ""
        return f"{self.variable}={self.value}{where}: {self.fix}" if self.variable else self.fix


class SettingsError(Exception):
    """The settings cannot be used as they are."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)
