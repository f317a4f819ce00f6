"""The one error that a person sees, and how it is worded."""


class Failure(Exception):
    """Why the run can't go on: what, about which thing, why; and perhaps advice."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


def in_one_line(failure: Failure | OSError) -> str:
    if isinstance(failure, OSError):
        where = f"{failure.filename}: " if failure.filename else ""
        return f"shacache: {where}{(failure.strerror or str(failure)).lower()}"
    hint = f"\nshacache: hint: {failure.hint}" if failure.hint else ""
    return f"shacache: {failure}{hint}"
