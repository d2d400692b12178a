"""Queue-first execution of untrusted programs: accept, queue fairly, run in sandboxes."""
