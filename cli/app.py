"""Common parts of all commands: grouped help that ends with examples, two-line errors, ``--verbose``, ``--debug``."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import shlex
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from avse.errors import AvseError, UsageError, lacks_memory, one_line, printable

from .signals import stopping_cleanly
from .stdio import replace_closed_streams

SHARED = {"--quiet", "--json", "--verbose", "--debug", "--help"}


class Command(TyperCommand):
    """Show options in groups, and the examples at the end of the help.

    The examples are all that follows "Example:" in the docstring, line by line.
    """

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the text before the examples."""
        text = inspect.cleandoc(self.help or "").partition("Example:")[0].strip()
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text)

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters; arguments are shown in capitals."""
        found = super().get_params(ctx)
        for each in found:
            if each.param_type_name == "argument" and each.metavar is None:
                each.metavar = str(each.name).upper()
        return found

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line, without braces around required arguments."""
        return [piece.replace("...}...", "...").strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then the options under the names of their panels, then those that all commands share."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        shared = []
        for each in self.get_params(ctx):
            panel = getattr(each, "rich_help_panel", None)
            if record := each.get_help_record(ctx):
                record = (readable(record[0]), record[1])
                if each.param_type_name == "argument":
                    panels["Arguments"].append(record)
                elif SHARED & set(each.opts):
                    shared.append(record)
                else:
                    panels.setdefault(panel if isinstance(panel, str) else "Options", []).append(record)
        for name, records in {**panels, "Output options": shared}.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples unchanged."""
        lines = inspect.cleandoc(self.help or "").partition("Example:")[2].splitlines()
        if lines := [line.strip() for line in lines if line.strip()]:
            with formatter.section("Examples" if len(lines) > 1 else "Example"):
                formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in lines))


TYPE_NAMES = {"str": "TEXT", "path": "PATH", "list[path]": "PATH", "int": "NUMBER", "float": "NUMBER"}


def readable(name: str) -> str:
    """Name an option or an argument without Python's names of types: ``--seed NUMBER`` for ``--seed <int range>``."""
    head, found, kind = name.rstrip(".").partition(" <")
    if not found:
        return name
    kind = kind.rstrip(">").removesuffix(" range").lower()
    return f"{head} {TYPE_NAMES.get(kind, kind)}" if head.startswith("-") else head


class Group(TyperGroup):
    """Show commands in groups; report a failure as two lines, and exit with its code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; ``--debug`` lets the traceback through."""
        try:
            with stopping_cleanly():
                return super().invoke(ctx)
        except AvseError as error:
            if ctx.params.get("debug"):
                raise
            typer.echo(f"avse: {printable(error.message)}\n      {printable(error.hint)}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt as stopped:
            typer.echo("avse: interrupted; no incomplete file was left.", err=True)
            sys.exit(getattr(stopped, "exit_code", 130))
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (MemoryError, RuntimeError) as error:
            if ctx.params.get("debug") or not lacks_memory(error):
                raise
            hint = "Close other programs, use fewer --jobs, or use --device cpu."
            typer.echo(f"avse: Memory ran out: {printable(one_line(error))}\n      {hint}", err=True)
            sys.exit(3)
        except OSError as error:
            if ctx.params.get("debug"):
                raise
            from avse.io.disk import write_failure

            hint = "Check the path, the permissions and the free disk space."
            typer.echo(f"avse: {printable(str(error))}\n      {hint}", err=True)
            sys.exit(3 if write_failure(error) else 1)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command. If a file or folder was typed instead, UsageError with the right command."""
        name = args[0] if args else ""
        if name not in self.commands and os.path.exists(name):
            place = shlex.quote(name)
            line = f"avse batch {place} -o enhanced" if os.path.isdir(name) else f"avse enhance {place}"
            raise UsageError(f"{name} is not a command.", f"Use: {line}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands under the names of their panels, in the order in which they were registered."""
        panels: dict[str, list[tuple[str, str]]] = {}
        width = max(map(len, self.commands), default=0)
        for name, command in self.commands.items():
            if not command.hidden:
                panel = getattr(command, "rich_help_panel", None)
                about = command.get_short_help_str(formatter.width - width - 6)
                panels.setdefault(panel if isinstance(panel, str) else "Commands", []).append(
                    (f"{name:{width}}", about)
                )
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


class App(typer.Typer):
    """Add ``--verbose`` and ``--debug`` to every command, which is of the class `Command`."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Run the program with any standard streams."""
        replace_closed_streams()
        return super().__call__(*arguments, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a function as a command."""
        register = super().command(name, **{"cls": Command, **settings})

        def add(function: Any) -> Any:
            register(with_common_options(function))
            return function

        return add


def with_common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options ``--verbose`` and ``--debug`` to a command."""
    signature = inspect.signature(function, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("verbose", Verbose), ("debug", Debug))
    ]

    @functools.wraps(function)
    def run(*arguments: Any, verbose: bool, debug: bool, **options: Any) -> Any:
        return function(*arguments, **options)

    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore[attr-defined]
    return run


def _verbose(wanted: bool) -> None:
    """Write the library's log to standard error, above a progress bar if there is one."""
    if wanted:
        handler = _ToStandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
        logging.getLogger("avse").handlers[:] = [handler]
        logging.getLogger("avse").setLevel(logging.DEBUG)


def _debug(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        ctx.find_root().params["debug"] = True


class _ToStandardError(logging.StreamHandler[Any]):
    """Write to the current ``sys.stderr``: a progress bar replaces it while it is shown."""

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, stream: Any) -> None:
        """Ignore the stream."""


_VERBOSE_HELP = "Log each step to standard error."
Verbose = Annotated[bool, typer.Option("--verbose", "-v", callback=_verbose, help=_VERBOSE_HELP)]
Debug = Annotated[bool, typer.Option("--debug", callback=_debug, help="Show the traceback of an error.")]
