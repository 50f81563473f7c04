"""Processes for work of a size that somebody else chose: with a deadline, and little else.

The event loop serves every session, and the interpreter's lock is held by whatever computes: one
comparison of two long outputs stops everybody. Such work goes to a process of its own, which is
killed at the deadline, may use a fixed amount of memory, and can write no file.

>>> async def compared():
...     return await run(plumb_fidelity.compare, real, simulated, deadline=5.0, owner=session_id)
"""

from plumb_backends.workers.pool import Workers, open_workers, run
from plumb_backends.workers.worker import MEMORY_BYTES, WorkCut, Worker

__all__ = ["MEMORY_BYTES", "WorkCut", "Worker", "Workers", "open_workers", "run"]
