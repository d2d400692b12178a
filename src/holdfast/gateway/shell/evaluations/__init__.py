"""Evaluation sets (:mod:`.running`), and graders of answers as they come (:mod:`.judging`)."""
