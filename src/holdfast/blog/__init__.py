"""The engineering blog: posts with a strict arc, whose every number is read from a recorded drill."""
