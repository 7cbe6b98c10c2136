"""Who can be reached, known within seconds; nothing is asked where a variable forbids it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.request import getproxies

from ovvis.doctor.rows import Row, home_hidden, without_password

NETWORK = "network"
CARRIED = "where there is a network: ovvis models fetch NAME --to DIR; here: --mirror DIR"


def network() -> Iterable[Row]:
    """Yield the servers that weights come from, the user's own mirror, and proxies."""
    from ovvis.models.reach import unreachable
    from ovvis.models.sources import DRIVE, MIRROR, hub_address, mirror, offline

    for scheme, proxy in sorted(getproxies().items()):
        if scheme in ("http", "https", "all"):
            yield Row(NETWORK, f"proxy for {scheme}", without_password(proxy))
    yield Row(NETWORK, "token of the Hub", "there" if _has_token() else "none (needed for gated repositories alone)")
    own = mirror()
    if own is not None and not isinstance(own, str):
        there = own.is_dir()
        found = f"{home_hidden(own)}{'' if there else ': no such folder'}"
        yield Row(NETWORK, MIRROR, found, "ok" if there else "wrong", "" if there else f"mend or unset {MIRROR}")
    why = offline()
    if why:
        yield Row(NETWORK, "servers", f"not asked: {why}")
        return
    wanted = {"the Hugging Face Hub": hub_address(), "Google Drive": DRIVE}
    if isinstance(own, str):
        wanted[MIRROR] = own
    with ThreadPoolExecutor(len(wanted)) as threads:
        answers = list(threads.map(lambda address: unreachable([address]), wanted.values()))
    for (name, address), why_not in zip(wanted.items(), answers, strict=True):
        shown = f"{name} ({without_password(address).partition('://')[2].partition('/')[0]})"
        if why_not is None:
            yield Row(NETWORK, shown, "answers")
        else:
            why_not = why_not.partition(": ")[2] or why_not  # the host is in the row's name
            yield Row(NETWORK, shown, f"cannot be reached: {why_not}", "note", CARRIED)


def _has_token() -> bool:
    if os.environ.get("HF_TOKEN"):
        return True
    try:
        from huggingface_hub import get_token

        return bool(get_token())
    except Exception:  # the library is broken, which its own row tells
        return False
