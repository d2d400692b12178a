"""Evaluation sets, run against models through a gateway (:mod:`.running`), and graders of live answers (:mod:`.judging`)."""
