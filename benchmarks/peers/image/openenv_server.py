"""The environment that OpenEnv serves in its container: a line of bash a step.

The openenv-core package brings no environment with a shell; this is the least that makes one.
"""

import subprocess

import uvicorn
from openenv.core.env_server import Action, Environment, Observation, State, create_fastapi_app


class Command(Action):
    """A line of bash."""

    command: str


class Printed(Observation):
    """What it printed, and its exit status."""

    text: str = ""
    exit_code: int = 0


class Shell(Environment[Command, Printed, State]):
    """Runs each line in a bash of its own."""

    def reset(self, seed: int | None = None, episode_id: str | None = None) -> Printed:
        """There is nothing to go back to."""
        return Printed()

    def step(self, action: Command, timeout_s: float | None = None) -> Printed:
        """Runs it."""
        done = subprocess.run(
            ["bash", "-c", action.command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return Printed(text=done.stdout.decode(errors="replace"), exit_code=done.returncode)

    @property
    def state(self) -> State:
        """None to speak of."""
        return State()


if __name__ == "__main__":
    uvicorn.run(
        create_fastapi_app(Shell, Command, Printed), host="0.0.0.0", port=8000, log_level="error"
    )
