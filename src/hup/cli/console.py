"""What every command shares: two consoles, one progress bar, and the way errors reach a person.

Results (tables, JSON) go to standard output; progress, notes and errors go to standard error, so that
``hup evaluate … --json - | jq`` and ``hup recommend … > file`` stay clean.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from hup import processes
from hup.errors import HupError

if TYPE_CHECKING:
    from hup.experiment.workers import Done

EXIT_ERROR = 1
EXIT_USAGE = 2  # given by typer itself for an unknown option, a missing argument, a value of the wrong kind
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells expect
EXIT_CLOSED_PIPE = 141  # 128 + SIGPIPE, likewise: who read has gone, as with `| head`

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

#: A file or pipe has no width: lines are as long as what stands in them, for any other cuts an id or breaks it in two.
WIDTH_IN_FILES = 1_000_000


class _Console(Console):
    """A console that ends the command, without a word, when who reads it goes away."""

    def on_broken_pipe(self) -> None:
        # No OSError: on its way out, what is being written would take it for a full disk.
        _silence()
        raise SystemExit(EXIT_CLOSED_PIPE)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    is_free = not stream.isatty() and "COLUMNS" not in os.environ
    return _Console(stderr=stderr, width=WIDTH_IN_FILES if is_free else None)


console = _console(stderr=False)
error_console = _console(stderr=True)


@contextmanager
def progress(description: str, total: float | None = None) -> Iterator[Callable[..., None]]:
    """Show one progress bar on standard error for the length of a ``with`` block.

    Parameters
    ----------
    description : str
        What is being done, as a person would say it.
    total : float, optional
        Number of steps; ``None`` shows a pulse instead of a share.

    Yields
    ------
    callable
        ``advance(steps=1, description=None, total=None)``: moves the bar on, and may rename it or set its length
        once that is known.

    Examples
    --------
    >>> with progress("epoch 1", total=3) as advance:
    ...     for _ in range(3):
    ...         advance()
    """
    with progress_bars() as bars:
        task = bars.add_task(escape(description), total=total)

        def advance(steps: float = 1, description: str | None = None, total: float | None = None) -> None:
            bars.update(
                task,
                advance=steps,
                description=None if description is None else escape(description),
                total=total,
            )

        yield advance


def progress_bars() -> Progress:
    """Return the progress display all commands use, for those that need several bars at once.

    Returns
    -------
    rich.progress.Progress
        Not started; use it as a context manager.
    """
    return Progress(
        SpinnerColumn(),
        TextColumn("[progress.description]{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=error_console,
        # A log file would get a line of every bar that ends, and says nothing by it.
        disable=not error_console.is_terminal,
    )


def results_table(title: str, columns: Sequence[str], right: Collection[str] = ()) -> Table:
    """Begin a table of results as all commands print them: no frame, and nothing cut.

    Parameters
    ----------
    title : str
        Plain text.
    columns : sequence of str
        Titles; what is too long for a terminal goes on in the next line.
    right : collection of str
        Those of numbers, which stand to the right.
    """
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


@contextmanager
def grid_watcher(description: str) -> Iterator[Callable[[int, int, Done | None], None]]:
    """Show the progress of a grid, and a line for every task that has ended, for the length of a ``with`` block."""
    with progress_bars() as bars:
        task = bars.add_task(escape(description), total=None)

        def watch(done: int, total: int, ended: Done | None) -> None:
            bars.update(task, completed=done, total=total)
            if ended is not None:
                note(f"{ended.task.title}: {'done' if ended.failed is None else 'FAILED: ' + ended.failed}")

        try:
            yield watch
        except KeyboardInterrupt:
            note("Stopped. The same command goes on with what is left.")
            raise


def note(message: str) -> None:
    """Print a remark for the person at the keyboard on standard error, without markup."""
    error_console.print(escape(message), highlight=False, soft_wrap=True)


def speaks_plainly(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Turn the exceptions a command may end with into one line for people and an exit code for scripts.

    Parameters
    ----------
    command : callable
        A command of the command line.

    Returns
    -------
    callable
        The same command, same signature; ``HupError`` ends it with exit code 1, Ctrl-C with 130, and a reader that
        closed the pipe (``| head``) ends it quietly, with 141.
    """

    @functools.wraps(command)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except HupError as error:
            if not processes.speaks():
                raise typer.Exit(EXIT_ERROR) from None
            unhush()
            error_console.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
            raise typer.Exit(EXIT_ERROR) from None
        except KeyboardInterrupt:
            error_console.print("Interrupted.", highlight=False)
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            _silence()
            raise typer.Exit(EXIT_CLOSED_PIPE) from None
        except Exception:
            unhush()
            raise

    return wrapped


def hush() -> None:
    """Let a process say nothing: of several that work together, the first one speaks."""
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (as long as the process)


def unhush() -> None:
    """Let a process that was hushed speak after all."""
    if not processes.is_first():
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__


def _silence() -> None:
    """Point both outputs at nothing: the interpreter flushes them once more while it ends, and would complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
