"""Files of the hub, from its cache or fetched once."""

from pathlib import Path

from fulcra.errors import ModelError


def hub_file(repository: str, file: str, revision: str | None = None) -> Path:
    """One file of a repository of the hub; ModelError with the reason where there is none.

    `revision` is a branch, tag or commit.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]
    from transformers.utils.hub import cached_file

    try:
        if not isinstance(try_to_load_from_cache(repository, file, revision=revision), str):
            # Asked once: without a network cached_file tries again and again for half a minute.
            get_hf_file_metadata(hf_hub_url(repository, file, revision=revision))
        return Path(str(cached_file(repository, file, revision=revision)))
    except (OSError, ValueError, HTTPError) as error:
        raise ModelError(str(error).splitlines()[0]) from None
