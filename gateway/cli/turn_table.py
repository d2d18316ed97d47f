"""The turns of a call as a table for people: a row a turn, a column a stage, and the medians.

Reads the turns as the API gives them, and shows only stages that one of them has.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from shared.turn_stages import Stage, known, origin_ms

Row = list[str]


def turn_table(turns: Sequence[Mapping[str, Any]]) -> tuple[Row, list[Row]]:
    """Return column names and rows. ``at`` is in seconds, all other times are in ms.

    A stage is shown by its offset from the caller's last word, else from the turn's first stage.
    """
    told = [known(turn["stages"]) for turn in turns]
    columns = [stage for stage in Stage if any(stage in stages for stages in told)]
    offsets = [{stage: ms - origin_ms(stages) for stage, ms in stages.items()} for stages in told]
    rows = [
        [
            str(turn["number"]),
            f"{round(origin_ms(stages) / 1000, 1) + 0.0:.1f}",
            *(_ms(offset.get(stage)) for stage in columns),
            _ms(turn["reply_ms"]),
            _ms(turn["own_ms"]),
        ]
        for turn, stages, offset in zip(turns, told, offsets, strict=True)
    ]
    # A greeting's offsets count from something else, and would blur those of the replies.
    replies = [offset for offset in offsets if Stage.CALLER_STOPPED in offset] or offsets
    last = [
        "median",
        "",
        *(_median(offset.get(stage) for offset in replies) for stage in columns),
        _median(turn["reply_ms"] for turn in turns),
        _median(turn["own_ms"] for turn in turns),
    ]
    names = [stage.replace("_", " ") for stage in columns]
    return ["turn", "at", *names, "reply", "own"], [*rows, last]


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if abs(value) < 10 and value else f"{value:.0f}"


def _median(values: Iterable[float | None]) -> str:
    found = [value for value in values if value is not None]
    return _ms(median(found)) if found else "-"
