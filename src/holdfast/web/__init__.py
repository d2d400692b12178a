"""What every HTTP API of the platform stands on: connections, bodies, answers, problems, streams.

Nothing here knows what an API is about. It raises :class:`~holdfast.web.problems.ProblemError` of the common types;
an API that has more of them extends it.
"""
