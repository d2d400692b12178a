"""Posts, their arc and their numbers: text in, pages out. Knows no file and no clock."""
