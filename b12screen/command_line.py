"""What may be typed: the commands, their options, and what their words mean.

What was typed is never repeated, as it may be a patient's identifier. Runs nothing.
"""

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from b12screen import __version__
from b12screen.errors import UsageError

Command = Callable[[argparse.Namespace], int]

# What argparse repeats of what was typed, and what stands in its place.
REPEATED = (
    (re.compile(r"invalid choice: .* \(choose from ([^()]*)\)", re.DOTALL), r"not one of \1"),
    (re.compile(r"invalid (\w+) value: .*", re.DOTALL), r"its value is no \1"),
    (re.compile(r"ignored explicit argument .*", re.DOTALL), "it takes no value"),
    (re.compile(r"ambiguous option: .* could match (.*)", re.DOTALL), r"it could be any of \1"),
    (re.compile(r"unrecognized arguments.*", re.DOTALL),
     "there are arguments that this command does not take"),
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """argparse, but what was typed is not repeated: it may be a patient's identifier."""

    def error(self, message: str) -> NoReturn:
        for repeated, instead in REPEATED:
            message = repeated.sub(instead, message)
        self.print_usage(sys.stderr)
        self.exit(UsageError.exit_code, f"{self.prog}: {message}. Nothing was done.\n")


def understood(argv: Sequence[str] | None, commands: Mapping[str, Command]) -> argparse.Namespace:
    """The arguments, and the command that is asked for; a usage error ends the process.

    argparse takes the words of a list in one piece: what stands behind an option is left over.
    """
    parser = command_line(commands)
    arguments, left_over = parser.parse_known_args(argv)
    of_list: tuple[str, Callable[[str], Any]] | None = getattr(arguments, "of_list", None)
    if left_over and (of_list is None or any(word.startswith("-") for word in left_over)):
        parser.error("unrecognized arguments")
    if of_list is not None:
        name, kind = of_list
        setattr(arguments, name, [*getattr(arguments, name), *map(kind, left_over)])
    return arguments


def command_line(named: Mapping[str, Command]) -> Parser:
    """The commands and their options; ``named`` are what they run, by name."""
    parser = Parser(
        prog="b12screen",
        allow_abbrev=False,
        description="Nightly screening for functional vitamin B12 deficiency: extracts in, one "
        "worklist for each clinic out, for clinician review.",
        epilog="Start with: b12screen demo",
    )
    parser.add_argument("--version", action="version", version=f"b12screen {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    def add(name: str, does: str) -> Parser:
        added = commands.add_parser(name, help=does, description=does, allow_abbrev=False)
        added.set_defaults(command=named[name])
        return added

    demo_parser = add("demo", "make a synthetic site, run three nights, say what to open")
    demo_parser.add_argument(
        "directory", metavar="DIR", type=Path, nargs="?", default=Path("demo-site")
    )

    init_parser = add("init", "make an empty site")
    init_parser.add_argument("site", metavar="SITE", type=Path)

    synth_parser = add("synth", "write synthetic extracts with planted truth")
    synth_parser.add_argument("directory", metavar="DIR", type=Path)
    synth_parser.add_argument("--patients", metavar="N", type=count)
    synth_parser.add_argument("--nights", metavar="K", type=count)
    synth_parser.add_argument("--seed", metavar="S", type=int, required=True)
    synth_parser.add_argument("--first-night", metavar="D", type=day, default=None)
    synth_parser.add_argument(
        "--bulk",
        metavar="ROWS",
        type=count,
        default=None,
        help="laboratory rows in all, to measure with",
    )

    check_parser = add("check", "would these extracts be accepted? writes nothing")
    check_parser.add_argument("site", metavar="SITE", type=Path)
    check_parser.add_argument("files", metavar="FILE", type=Path, nargs="*")
    check_parser.set_defaults(of_list=("files", Path))
    dated(check_parser)

    run_parser = add("run", "one night: take what is in the inbox, decide, publish")
    run_parser.add_argument("site", metavar="SITE", type=Path)
    dated(run_parser)

    defer_parser = add("defer", "put off an action as a whole, for a stock-out say")
    defer_parser.add_argument("site", metavar="SITE", type=Path)
    defer_parser.add_argument("--action", metavar="ACTION", required=True)
    defer_parser.add_argument(
        "--until", metavar="YYYY-MM-DD", type=day, required=True, help="today ends it"
    )
    defer_parser.add_argument("--reason", metavar="TEXT", required=True, help="no patient in it")

    replay_parser = add("replay", "a past night again, with what was known then")
    replay_parser.add_argument("site", metavar="SITE", type=Path)
    replay_parser.add_argument("--as-of", metavar="YYYY-MM-DD", type=day, required=True)
    replay_parser.add_argument(
        "--through",
        metavar="YYYY-MM-DD",
        type=day,
        default=None,
        help="every night up to this one, each from the one replayed before it",
    )
    replay_parser.add_argument(
        "--rules", metavar="R", default=None, help="other rules than those then in force"
    )
    replay_parser.add_argument(
        "--known-on",
        metavar="YYYY-MM-DD",
        type=day,
        default=None,
        help="the night whose knowledge is used; that of the replayed night by default",
    )

    explain_parser = add("explain", "why a person is or is not on a list")
    explain_parser.add_argument("site", metavar="SITE", type=Path)
    explain_parser.add_argument("patient", metavar="PATIENT")
    explain_parser.add_argument(
        "--as-of",
        metavar="YYYY-MM-DD",
        type=day,
        default=None,
        help="a published night; the newest by default",
    )

    rejects_parser = add("rejects", "rows that were rejected, and what would mend them")
    rejects_parser.add_argument("site", metavar="SITE", type=Path)
    rejects_parser.add_argument(
        "--rows", action="store_true", help="every row as CSV, with what it holds"
    )

    retry_parser = add("retry", "a night that also takes rejected rows which are mended")
    retry_parser.add_argument("site", metavar="SITE", type=Path)
    dated(retry_parser)

    retake_parser = add("retake", "a night that also reads taken files again, under today's map")
    retake_parser.add_argument("site", metavar="SITE", type=Path)
    retake_parser.add_argument(
        "files", metavar="FILE", type=Path, nargs="+", help="by path, or by path below the inbox"
    )
    dated(retake_parser)

    unmapped_parser = add("unmapped", "codes that no map names, with counts, no patient")
    unmapped_parser.add_argument("site", metavar="SITE", type=Path)
    unmapped_parser.add_argument(
        "--workbook", metavar="FILE", type=Path, default=None, help="write them for a reviewer"
    )
    unmapped_parser.add_argument(
        "--accept", metavar="FILE", type=Path, default=None, help="take the workbook back"
    )

    rules_parser = add("rules", "the ruleset: show it, check it, or render its page")
    rules_parser.add_argument("words", metavar="[show|check|render] [SITE]", nargs="*")
    rules_parser.set_defaults(of_list=("words", str))
    rules_parser.add_argument(
        "--rules", metavar="R", default=None, help="a shipped ruleset by name, or a .toml"
    )

    compare_parser = add("compare", "who would join and leave each worklist under other rules")
    compare_parser.add_argument("site", metavar="SITE", type=Path)
    compare_parser.add_argument(
        "--rules", metavar="R", required=True, help="a shipped ruleset by name, or a .toml"
    )

    query_parser = add("query", "read-only SQL on the published database")
    query_parser.add_argument("site", metavar="SITE", type=Path)
    query_parser.add_argument("sql", metavar="SQL")
    query_parser.add_argument(
        "--csv",
        action="store_true",
        help="comma-separated, in full; text that a spreadsheet would run as a formula (= + - @) "
        "gets a leading apostrophe, numbers stay as they are",
    )

    serve_parser = add("serve", "run every night at a time of the site's day")
    serve_parser.add_argument("site", metavar="SITE", type=Path)
    serve_parser.add_argument("--at", metavar="HH:MM", type=time_of_day, required=True)

    doctor_parser = add("doctor", "versions, disk, permissions, freshness, last night")
    doctor_parser.add_argument("site", metavar="SITE", type=Path, nargs="?", default=None)
    doctor_parser.add_argument(
        "--expect",
        metavar="HH:MM",
        type=time_of_day,
        default=None,
        help="only this: is the night there that had to be published by this hour of today?",
    )
    return parser


def dated(parser: Parser) -> None:
    parser.add_argument(
        "--as-of",
        metavar="YYYY-MM-DD",
        type=day,
        default=None,
        help="the night; today in the site's timezone by default",
    )


def day(text: str) -> date:
    # A lifetime before and after it has to be on the calendar too.
    if re.fullmatch(r"(19|[2-8]\d)\d{2}-\d{2}-\d{2}", text):
        with contextlib.suppress(ValueError):
            return date.fromisoformat(text)
    raise argparse.ArgumentTypeError("is not a day written YYYY-MM-DD")


def count(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,12}", text) and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError("is not a whole number above nought")


def time_of_day(text: str) -> tuple[int, int]:
    if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        return int(text[:2]), int(text[3:])
    raise argparse.ArgumentTypeError("is not a time of day written HH:MM")
