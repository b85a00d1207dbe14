"""Models on the Hugging Face Hub: ``hf://OWNER/NAME``, a repository with ``model.safetensors`` and its card.

Only models with such a name are downloaded. `huggingface_hub` keeps them in its cache and honours
``HF_HUB_OFFLINE``, ``HF_HOME`` and ``HF_TOKEN``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from avse.errors import AvseError, MissingError, UsageError, printable
from avse.installation import install_hint

PREFIX = "hf://"
WEIGHTS, CARD = "model.safetensors", "README.md"


class HubName(NamedTuple):
    """Name a repository on the Hub, and a branch, tag or commit of it, None for the newest."""

    repository: str
    revision: str | None


def is_hub_name(name: str) -> bool:
    """Return whether a name is that of a model on the Hub."""
    return name.startswith(PREFIX)


def parse_hub_name(name: str) -> HubName:
    """Read ``hf://OWNER/NAME`` or ``hf://OWNER/NAME@REVISION``. UsageError for anything else."""
    found = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", name)
    if found is None:
        raise UsageError(f"{name[:80]!r} is not a model name on the Hub.", "Use hf://OWNER/NAME.")
    return HubName(found[1], found[2])


def fetch(name: str) -> Path:
    """Return the path of the weights in the cache, downloaded if missing or outdated; the card is beside them.

    Raises:
        UsageError: there is no such model. MissingError: `huggingface_hub` or the Hub is missing.
    """
    repository, revision = parse_hub_name(name)
    hub = _import_hub()
    with _hub_errors(name):
        path = Path(hub.hf_hub_download(repository, WEIGHTS, revision=revision, tqdm_class=_silent_bar()))
        with contextlib.suppress(hub.errors.EntryNotFoundError):
            hub.hf_hub_download(repository, CARD, revision=revision, tqdm_class=_silent_bar())
    return path


def push(weights: Path, card: Path, name: str, is_public: bool = False) -> str:
    """Upload weights and card, as they are, in one commit; a new repository is private unless ``is_public``.

    Returns the address of the commit.

    Raises:
        UsageError: the name cannot be used, or the Hub refuses it.
        MissingError: `huggingface_hub` or the Hub is missing.
    """
    repository, revision = parse_hub_name(name)
    hub = _import_hub()
    files = {WEIGHTS: weights, CARD: card}
    with _hub_errors(name):
        api = hub.HfApi()
        api.create_repo(repository, private=not is_public, exist_ok=True)
        operations = [hub.CommitOperationAdd(place, str(path)) for place, path in files.items()]
        commit = api.create_commit(repository, operations, commit_message=f"Upload {weights.stem}", revision=revision)
    return str(commit.commit_url)


def _import_hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise MissingError("The Hugging Face Hub needs the package huggingface_hub.", install_hint("hub")) from error
    return huggingface_hub


def _silent_bar() -> Any:
    """Return a progress bar that shows nothing: the library never prints."""
    from tqdm import tqdm

    class Silent(tqdm):
        def __init__(self, *given: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*given, **options | {"disable": True})

    return Silent


@contextlib.contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Convert the errors of `huggingface_hub` to errors with a hint."""
    from huggingface_hub import constants, errors

    try:
        yield
    except (errors.GatedRepoError, errors.RepositoryNotFoundError) as error:
        hint = "Check the name; for a private or gated one, type: hf auth login"
        raise UsageError(f"There is no {name} on the Hub, or it is not open to you.", hint) from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"There is no revision {name.partition('@')[2]!r} of {name}.", _REVISION) from error
    except errors.HFValidationError as error:
        raise UsageError(f"{name} is not a model name on the Hub.", "Use hf://OWNER/NAME.") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        is_offline = constants.HF_HUB_OFFLINE
        hint = (
            "Unset HF_HUB_OFFLINE to download it."
            if is_offline
            else "Check the connection, or use a .safetensors file."
        )
        raise MissingError(
            f"{name} is not in the cache{'' if is_offline else ', and cannot be downloaded'}.", hint
        ) from error
    except errors.EntryNotFoundError as error:
        raise UsageError(
            f"{name} contains no {WEIGHTS}.", "Use a model that was uploaded with avse models push."
        ) from error
    except AvseError:
        raise
    except OSError as error:
        reason = printable(" ".join(str(error).split())[:160])
        raise MissingError(f"The Hub refused the request for {name}: {reason}", _REACH) from error


_REVISION = "Omit it for the newest revision, or use a branch, tag or commit."
_REACH = "Check the connection and, for uploads, that you are logged in: hf auth login"
