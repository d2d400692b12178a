"""Files, records and processes around the posts."""
