"""The real shell: one hardened container a session, one interactive bash in it.

Here is what a turn of the terminal means: timeouts and interrupts, the end of processes, the
restart of a shell that was lost, and how an action ended.
"""

import asyncio
import dataclasses
import re
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from plumb_backends.environment import (
    Action,
    Ending,
    Observation,
    OutputSink,
    ProbeResult,
    Program,
    ProgramResult,
    Provenance,
    ShellDetail,
)
from plumb_backends.errors import InvalidInput, SandboxUnavailable
from plumb_backends.grounding import Grounding, run_scripts
from plumb_backends.kinds.shell import KIND, ShellOptions, check_action
from plumb_backends.real.bash import START_WITHIN, Bash, end_foreground, end_readers
from plumb_backends.real.capture import capture_files, capture_people, mark_pids
from plumb_backends.real.card import shell_card
from plumb_backends.real.changed import ImageFiles, image_files
from plumb_backends.real.engine import Sandbox
from plumb_backends.real.guest.asking import answering, ask
from plumb_backends.real.hardening import SandboxSpec
from plumb_backends.real.marks import Prompt
from plumb_backends.real.program import end_processes, run_helper, run_program
from plumb_backends.real.sandboxes import Sandboxes
from plumb_backends.real.scripts import Scripts
from plumb_backends.real.shell_state import Told, differing
from plumb_backends.real.terminal import without_announcements
from plumb_backends.real.turn import Turn, TurnEnd
from plumb_backends.snapshot import Entry, Snapshot

_OBEY_WITHIN = 2.0
"""Seconds that bash gets to show its prompt after what it ran is gone."""

_HUNG_UP_WITHIN = 1.0
"""Seconds that an engine gets to end the streams of a sandbox that has ended."""

_RENDERED_WITHIN = 3.0  # where the action has left less of its time

_HEARD_WITHIN = 1.0
"""Seconds after which it is looked for who else reads the terminal; bash does within 1 ms."""

_STOP_ATTEMPTS = 3
"""In a list (`a; b; c`) the shell goes on with the next command when one is killed."""

_KILLED = 128 + signal.SIGKILL
_OOM_KILLS = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)
_TOUCHES_TERMINAL = re.compile(rb"stty|reset|tset|tput|termios|setraw|setcbreak")
_SANE_INPUT = ("isig", "-istrip", "-igncr", "-iuclc", "intr", "^C", "quit", "^\\", "susp", "^Z",
               "start", "^Q", "stop", "^S")  # fmt: skip


class RealShell:
    """One session's shell. Made by `RealShellProvider.create`."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        spec: SandboxSpec,
        grounding: Grounding,
        options: ShellOptions,
        max_output_bytes: int,
    ) -> None:
        self._sandboxes = sandboxes
        self._spec = spec
        self._grounding = grounding
        self._options = options
        self._max_output_bytes = max_output_bytes
        self._sandbox: Sandbox | None = None
        self._shell: Bash | None = None
        self._turn: Turn | None = None
        self._oom_kills = 0
        self._first_told = Told()

    async def start(self) -> Sequence[ProgramResult]:
        """Gets a sandbox, runs the init scripts and starts the shell.

        Raises:
            InitFailed, ImageMissing, LimitReached, SandboxUnavailable: Nothing is left behind.
        """
        # The shell is started last, for the scripts may write its start-up files.
        taken = await self._sandboxes.get(
            self._spec,
            has_terminal=not self._options.dumb_terminal,
            has_scripts=bool(self._grounding.scripts),
        )
        self._sandbox, self._shell, waiting = taken.sandbox, taken.shell, taken.waiting
        self._sandbox.on_end = self._hang_up_soon
        scripts = Scripts(self._sandbox, taken.runner)
        try:
            results = await run_scripts(self._grounding, scripts.run)
            await scripts.end()
            if self._shell is None:
                self._shell = await Bash.start(self._sandbox, self._options, waiting=waiting)
            self._first_told = self._shell.terminal.told
        except BaseException:
            if waiting is not None:
                await waiting.close()
            await asyncio.shield(self.close())
            raise
        finally:
            await scripts.close()
        return results

    async def step(self, action: Action, *, on_output: OutputSink | None = None) -> Observation:
        """Types one action; see `Environment.step`."""
        check_action(action.text)
        sandbox, shell = self._here()
        try:
            return await self._step(sandbox, shell, action, on_output or _nowhere)
        except InvalidInput as error:  # it would say that nothing ran
            raise SandboxUnavailable(
                f"the sandbox lets plumb run nothing any more ({error}); reset the session"
            ) from error

    async def _step(
        self, sandbox: Sandbox, shell: Bash, action: Action, on_output: OutputSink
    ) -> Observation:
        restarted = False
        if shell.terminal.lost:  # it ended between two actions, by a job in the background
            await self._status_of_lost(sandbox, shell)
            shell, restarted = await self._restart(sandbox, shell), True
        started = time.monotonic()
        until = started + action.timeout
        turn = self._turn = shell.terminal.type(
            action.text,
            on_output=on_output,
            max_text_bytes=self._options.max_text_bytes,
            max_output_bytes=self._max_output_bytes,
        )
        try:
            await self._wait(sandbox, shell, turn, until)
            if turn.end is None:
                turn.ask_to_stop(Ending.TIMED_OUT)
                await self._stop(sandbox, shell, turn)
                age = time.monotonic() - started + 1
                await end_readers(sandbox, until=until, within=age)
        except SandboxUnavailable:
            await self._check_not_gone(sandbox)  # or the reason that is known were not told
            if turn.end is None:  # it would go on, and read what is typed next
                await self.close()
            raise
        finally:
            self._turn = None
        run_duration = time.monotonic() - started
        await turn.rendered(max(_RENDERED_WITHIN, action.timeout - run_duration))
        if turn.prompt is not None:
            shell.prompt, status = turn.prompt, turn.prompt.status
        else:
            status = await self._status_of_lost(sandbox, shell)
            shell, restarted = await self._restart(sandbox, shell), True
        ending = await self._ending(sandbox, turn, status, until)
        if _TOUCHES_TERMINAL.search(action.text):
            await self._repair_terminal(sandbox, shell, status, until)
        seen = _observation(turn, ending, status, run_duration, shell.prompt, restarted=restarted)
        if self._options.dumb_terminal:
            return dataclasses.replace(seen, raw=without_announcements(seen.raw))
        return seen

    def interrupt(self) -> bool:
        """Asks for the running action to be stopped; says whether there was one."""
        if self._turn is None:
            return False
        self._turn.ask_to_stop(Ending.INTERRUPTED)
        return True

    async def execute(self, program: Program) -> ProgramResult:
        """Runs one program beside the shell; see `Executes.execute`."""
        sandbox, _ = self._here()
        return await run_program(sandbox, program)

    async def reset(self) -> None:
        """Starts again in a new sandbox; see `Environment.reset`."""
        await asyncio.shield(self.close())  # half of it would leave a sandbox that nobody ends
        await self.start()

    async def probe(self, suite: str) -> ProbeResult:
        """Answers `cwd`, `files` and `environment`; see `Environment.probe`."""
        sandbox, _ = self._here()
        match suite:
            case "cwd":
                found = (await ask(sandbox, "cwd")).take()
                return ProbeResult(suite, {"cwd": found.decode(errors="replace")})
            case "files":
                files = await capture_files(sandbox, await self._image_files(), contents=False)
                return ProbeResult(suite, {entry.key: _fact(entry) for entry in files.entries})
            case "environment":
                people = await capture_people(sandbox)
                return ProbeResult(suite, {entry.key: _fact(entry) for entry in people.entries})
        raise KIND.unknown_suite(suite)

    async def capture(self) -> Snapshot:
        """Captures what differs from the image; see `Captures.capture`."""
        sandbox, _ = self._here()
        files = await capture_files(sandbox, await self._image_files())
        people = await capture_people(sandbox)
        entries = [*mark_pids(files, people.pids), *people.entries, *await self._shell_state()]
        # What bash says of a variable is newer than what its process was started with.
        newest = {entry.key: entry for entry in entries}
        return Snapshot(tuple(newest.values()), files.cut)

    async def _shell_state(self) -> tuple[Entry, ...]:
        """What the shell began with otherwise than one in a bare sandbox; not after a restart."""
        key = f"{await self._key_of_image()} {self._options}"
        image = await self._sandboxes.image_shells.of(key, self._bare_shell)
        return differing(self._first_told, image)

    async def _bare_shell(self) -> Told:
        async with self._bare() as bare:
            shell = await Bash.start(bare, self._options)
            await shell.close()
            return shell.terminal.told

    async def card(self) -> str:
        """Writes down what the sandbox is; see `Captures.card`."""
        return await self._sandboxes.cards.of(await self._key_of_image(), self._write_card)

    async def _key_of_image(self) -> str:
        """What a bare sandbox depends on."""
        sandbox, _ = self._here()
        return f"{await sandbox.image_id()} {dataclasses.replace(self._spec, session_id='')}"

    async def _write_card(self) -> str:
        async with self._bare() as bare:
            return await shell_card(bare, self._spec.limits)

    async def _image_files(self) -> ImageFiles:
        sandbox, _ = self._here()
        return await self._sandboxes.image_files.of(await sandbox.image_id(), self._list_image)

    async def _list_image(self) -> ImageFiles:
        async with self._bare() as bare:
            return await image_files(bare)

    @asynccontextmanager
    async def _bare(self) -> AsyncIterator[Sandbox]:
        """Another sandbox like this one, for in this one scripts and actions have run."""
        bare = await self._sandboxes.get(self._spec, has_terminal=False, has_scripts=False)
        try:
            yield bare.sandbox
        finally:
            await asyncio.shield(self._sandboxes.remove(bare.sandbox))

    async def close(self) -> None:
        """Removes the sandbox. Never raises; may be called again."""
        shell, self._shell = self._shell, None
        sandbox, self._sandbox = self._sandbox, None
        try:
            if shell is not None:
                await shell.close()
        finally:  # also where somebody gives up waiting: nobody else knows the sandbox any more
            if sandbox is not None:
                await self._sandboxes.remove(sandbox)

    def _hang_up_soon(self) -> None:
        """Ends the terminal of a sandbox that has ended, where its engine does not."""
        if self._shell is not None:
            terminal = self._shell.terminal
            asyncio.get_running_loop().call_later(_HUNG_UP_WITHIN, terminal.hang_up)

    def _here(self) -> tuple[Sandbox, Bash]:
        if self._sandbox is None or self._shell is None:
            raise SandboxUnavailable("the session's sandbox is gone; reset the session")
        return self._sandbox, self._shell

    async def _wait(self, sandbox: Sandbox, shell: Bash, turn: Turn, until: float) -> None:
        """Waits; an action that the shell does not read was read by somebody else."""

        def is_unread() -> bool:
            return not (turn.woken.is_set() or shell.terminal.heard)

        timeout = until - time.monotonic()
        await _until_woken(turn, min(timeout / 2, _HEARD_WITHIN))
        if is_unread() and await end_readers(sandbox, until=until) and is_unread():
            shell.terminal.retype()
        if not turn.woken.is_set():
            await _until_woken(turn, until - time.monotonic())

    async def _stop(self, sandbox: Sandbox, shell: Bash, turn: Turn) -> None:
        """Ends what runs in the foreground; the shell itself where nothing else helps."""
        try:
            await self._end_action(sandbox, shell, turn)
        except TimeoutError:
            await self.close()
            raise SandboxUnavailable(
                "the sandbox did not obey when its action was stopped, and was removed; "
                "reset the session"
            ) from None

    async def _end_action(self, sandbox: Sandbox, shell: Bash, turn: Turn) -> None:
        for _ in range(_STOP_ATTEMPTS):
            was_shell = await end_foreground(sandbox, shell)
            with suppress(TimeoutError):
                async with asyncio.timeout(_OBEY_WITHIN):
                    await turn.done.wait()
            if turn.end is not None:
                return
            if was_shell:
                break
        await end_processes(sandbox, "process", shell.prompt.pid)
        async with asyncio.timeout(START_WITHIN):
            await turn.done.wait()

    async def _status_of_lost(self, sandbox: Sandbox, shell: Bash) -> int:
        """How a shell ended; raises where the sandbox ended with it."""
        await self._check_not_gone(sandbox)
        async with self._unless_gone(sandbox):
            return await shell.stream.exit_code()

    async def _check_not_gone(self, sandbox: Sandbox) -> None:
        """Raises where the sandbox has ended, with the reason where it is known."""
        if not sandbox.ended_because and await sandbox.is_running():
            return
        await self.close()
        because = f": {sandbox.ended_because}" if sandbox.ended_because else ""
        raise SandboxUnavailable(f"the session's sandbox is gone{because}; reset the session")

    @asynccontextmanager
    async def _unless_gone(self, sandbox: Sandbox) -> AsyncIterator[None]:
        """For what fails where the sandbox was going when it was asked last, or is so now."""
        try:
            yield
        except SandboxUnavailable:
            await sandbox.has_ended()
            await self._check_not_gone(sandbox)
            raise

    async def _restart(self, sandbox: Sandbox, shell: Bash) -> Bash:
        await shell.close()
        async with self._unless_gone(sandbox):
            self._shell = await Bash.start(sandbox, self._options, cwd=shell.prompt.cwd)
        return self._shell

    async def _repair_terminal(
        self, sandbox: Sandbox, shell: Bash, status: int, until: float
    ) -> None:
        """Puts back the settings that decide how typed bytes arrive; readline sees to the others.

        With `stty intr a`, the first `a` of the next action would interrupt it. Readline holds the
        terminal now and will put the bad settings back when it lets go: so they are mended from
        outside first, for one line that bash runs then to mend what readline puts back.
        """
        terminal = f"/proc/{shell.prompt.pid}/fd/0"
        async with answering(until):
            await run_helper(sandbox, ["stty", "-F", terminal, *_SANE_INPUT])
        settings = " ".join(f"'{setting}'" for setting in _SANE_INPUT)
        turn = shell.terminal.type(  # the space keeps it out of the history
            f" stty {settings} 2>/dev/null; (exit {status})".encode(),
            on_output=_nowhere,
            max_text_bytes=1024,
            max_output_bytes=self._max_output_bytes,
        )
        await _until_woken(turn, START_WITHIN)

    async def _ending(self, sandbox: Sandbox, turn: Turn, status: int, until: float) -> Ending:
        if turn.stop_because is not None:
            return turn.stop_because
        if turn.end is TurnEnd.UNFINISHED:
            return Ending.AWAITS_INPUT
        if status == _KILLED and turn.ran and await self._memory_was_short(sandbox, until):
            return Ending.OUT_OF_MEMORY
        if turn.end is TurnEnd.LOST:
            return Ending.SHELL_EXITED
        return Ending.SIGNALED if turn.ran and _signal_of(status) else Ending.EXITED

    async def _memory_was_short(self, sandbox: Sandbox, until: float) -> bool:
        """Whether the kernel has killed for memory since this was last asked."""
        said = await ask(sandbox, "memory", until=until)
        kills = _OOM_KILLS.findall(said.take_sized() + b"\n" + said.take_sized())
        before, self._oom_kills = self._oom_kills, sum(map(int, kills))
        return self._oom_kills > before


def _fact(entry: Entry) -> str:
    return ", ".join(f"{name} {value}" for name, value in entry.fields.items())


def _nowhere(_: bytes) -> None:
    """For output that nobody watches."""


async def _until_woken(turn: Turn, timeout: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await turn.woken.wait()


def _signal_of(status: int) -> int | None:
    """The signal that a status stands for, as far as the shell can tell."""
    return status - 128 if 128 < status <= 128 + signal.SIGRTMAX else None


def _observation(
    turn: Turn, ending: Ending, status: int, run_duration: float, prompt: Prompt, *, restarted: bool
) -> Observation:
    died = ending in (Ending.SIGNALED, Ending.OUT_OF_MEMORY)
    return Observation(
        text=turn.text.text(),
        raw=turn.raw.content(),
        ending=ending,
        exit_code=status,
        signal=_signal_of(status) if died else None,
        truncated=bool(turn.text.cut_bytes or turn.raw.cut_bytes),
        total_bytes=turn.total_bytes,
        run_duration=run_duration,
        shell=ShellDetail(cwd=prompt.cwd, user=prompt.user, host=prompt.host, restarted=restarted),
        provenance=Provenance(backend="real"),
    )
