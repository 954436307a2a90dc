"""One command, from its arguments to its exit status."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from ..errors import ConfigurationError
from . import ctrl_c
from .encoding import always_print
from .messages import write_message

EXTRA = frozenset({"typer", "rich", "uvicorn", "starlette"})
_SILENT = logging.NullHandler()  # what the library warns of is said here in the command's own words
_TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]+\.|\bk_(?:live|test)_\w{8,}")
_SECRET_OPTION = re.compile(r"--(?:(?:client[-_])?secret|(?:access[-_])?token)(?:=|$)")
_ARGUMENT = re.compile(r"\bpass (domain|audience|client_id)=")


def run(arguments: Sequence[str]) -> int:
    """Returns the exit status, or raises ``SystemExit`` with it."""
    logging.getLogger("kinde_guard").addHandler(_SILENT)
    try:
        _refuse_secrets(arguments)
        from .app import app

        always_print()
        app(args=list(arguments), prog_name="kinde-guard")
    except ConfigurationError as error:
        return _usage(_ARGUMENT.sub(_option, str(error)))
    except ImportError as missing:
        name = (missing.name or "").partition(".")[0]
        if name not in EXTRA:
            raise
        return _usage(f"the command line needs {name}: pip install 'kinde-guard[cli]'")
    except KeyboardInterrupt:
        return ctrl_c.status_of(arguments)
    return 0


def _refuse_secrets(arguments: Sequence[str]) -> None:
    """Refuse arguments that hold a secret, before anything else sees them: an error message that quotes an argument
    would spread a token further."""
    if any(map(_TOKEN.search, arguments)):
        raise ConfigurationError(
            "a token on the command line stays in the shell's history and shows in the list of processes: "
            "save it in a file and name that, or pipe it in (kinde-guard verify < token.txt)"
        )
    if any(map(_SECRET_OPTION.match, [word for word in arguments if not _names_a_file(word, arguments)])):
        raise ConfigurationError(
            "a secret or a token on the command line stays in the shell's history and shows in the list of processes: "
            "set KINDE_M2M_CLIENT_SECRET or use --secret-stdin; pipe a token into kinde-guard verify"
        )


def _names_a_file(word: str, arguments: Sequence[str]) -> bool:
    """The option ``--token`` of ``revoke`` takes one, as the arguments of other commands do."""
    return word.partition("=")[0] == "--token" and arguments[0] == "revoke"


def _option(found: re.Match[str]) -> str:
    return f"pass --{found[1].replace('_', '-')} "


def _usage(sentence: str) -> int:
    write_message(f"kinde-guard: {sentence.strip()}")
    return 2
