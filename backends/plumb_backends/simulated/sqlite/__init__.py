"""The baseline `sqlite`: SQLite answering as MySQL, its statements translated by sqlglot.

It has a state and computes, and knows nothing of what makes MySQL MySQL: types, modes, coercions,
messages, information_schema. The rendering is that of the real backend, so that only the database
differs.

An agent's SQL never runs in the server. Each session has a process of its own (`worker` is its
server's side, `__main__` its own), which splits, translates, runs and renders, and can do nothing
else (`confinement`).
"""

from plumb_backends.simulated.sqlite.actor import Sqlite

__all__ = ["Sqlite"]
