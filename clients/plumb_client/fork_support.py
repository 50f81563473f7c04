"""Turns gRPC's own handling of forks off. To be imported before `grpc` is: it looks at once.

Its handlers wait in the child for threads that are not there: `fork()` itself would not return in
it, also where the child has no use for plumb. Whoever sets the variable keeps what it says.
"""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
