"""The base of every error that Holdfast raises on purpose.

Expected outcomes (a rejected request, an expired deadline) are return values;
an exception means that somebody has to act, so its text says what was wrong,
where, and what to do.
"""


class HoldfastError(Exception):
    """Base class. ``exit_code`` is what the command line leaves with.

    0 is success, 1 a failure while working, 2 an input that was wrong.
    """

    exit_code: int = 1
