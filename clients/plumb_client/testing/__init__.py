"""A plumb server in a container, for tests; needs `pip install './plumb[testing]'`.

    from plumb_client.testing import PlumbContainer

    with PlumbContainer() as server, server.client() as plumb:
        with plumb.session("shell") as shell:
            print(shell.step("uname").text)

The pytest fixtures over it are the plug-in `plumb_pytest`, which loads nothing of this before one
of them is used.
"""

from plumb_client.testing.container import EngineUnavailable, PlumbContainer

__all__ = ["EngineUnavailable", "PlumbContainer"]
