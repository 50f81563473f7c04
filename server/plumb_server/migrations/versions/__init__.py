"""The revisions of the journal's tables, each in a file."""
