"""Evidence in passages, found by words, and statements held to what the passages say."""
