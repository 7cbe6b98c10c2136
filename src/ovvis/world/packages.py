"""The npm packages whose drawings the world is made of: pinned, fetched by npm, checked, read without unpacking."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from ovvis.errors import InputError, ResourceError
from ovvis.files.hidden import hidden_folder

_PATIENCE = 300  # seconds for one package


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned package."""

    name: str  # what sprites call it
    npm: str
    version: str
    sha512: str  # of the archive, as npm writes it
    family: str  # packages of one family hold the same drawings in two manners
    licence: str  # of the art
    credit: str
    page: str

    @property
    def archive(self) -> str:
        """The file that `npm pack` makes."""
        return f"{self.npm.lstrip('@').replace('/', '-')}-{self.version}.tgz"


PACKAGES = (
    Package(
        "noto",
        "@iconify-json/noto",
        "1.2.9",
        "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        "noto",
        "Apache-2.0",
        "Google Inc, Noto Emoji",
        "https://github.com/googlefonts/noto-emoji",
    ),
    Package(
        "noto-v1",
        "@iconify-json/noto-v1",
        "1.2.5",
        "/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
        "noto-v1",
        "Apache-2.0",
        "Google Inc, Noto Emoji before 2017",
        "https://github.com/googlefonts/noto-emoji",
    ),
    Package(
        "fluent-3d",
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
        "Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g==",
        "fluent",
        "MIT",
        "Microsoft Corporation, Fluent Emoji",
        "https://github.com/microsoft/fluentui-emoji",
    ),
    Package(
        "fluent-flat",
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        "fluent",
        "MIT",
        "Microsoft Corporation, Fluent Emoji",
        "https://github.com/microsoft/fluentui-emoji",
    ),
    Package(
        "twemoji",
        "@iconify-json/twemoji",
        "1.2.5",
        "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
        "twemoji",
        "CC-BY-4.0",
        "Twitter, Inc and other contributors, Twemoji",
        "https://github.com/jdecked/twemoji",
    ),
    Package(
        "emojione",
        "@iconify-json/emojione",
        "1.2.3",
        "T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
        "emojione",
        "CC-BY-4.0",
        "EmojiTwo and Ranks.com, EmojiOne 2",
        "https://github.com/EmojiTwo/emojitwo",
    ),
    Package(
        "fxemoji",
        "@iconify-json/fxemoji",
        "1.2.2",
        "UAasRaxzFUKfIGSmLwnoarsssA4LX0VLLuEmplIqM6ZNQqIQRtav8tZ4H1neTlBreXuMQyAifr5jP4kn78DpiQ==",
        "fxemoji",
        "CC-BY-4.0",
        "Mozilla Foundation, Firefox OS Emoji",
        "https://github.com/mozilla/fxemoji",
    ),
)

NAMES = Package(
    "names",
    "emojibase-data",
    "17.0.0",
    "Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
    "",
    "MIT",
    "Miles Johnson, emojibase; Unicode data",
    "https://github.com/milesj/emojibase",
)
"""Where groups and names come from; only the list of categories needs it."""


def fetch(package: Package, folder: Path) -> Path:
    """Return a package's archive, by npm where the folder has none yet that is whole.

    Args:
        package: which.
        folder: where archives are kept; made where it is missing.

    Raises:
        ResourceError: npm is not there, or cannot fetch it.
        InputError: what came is not the pinned archive.
    """
    path = folder / package.archive
    if path.is_file() and _digest(path) == package.sha512:
        return path
    if shutil.which("npm") is None:
        raise ResourceError("the sprites come from npm packages and there is no npm here: install Node.js (nodejs.org)")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = f"{package.npm}@{package.version}"
    with hidden_folder(folder, package.archive) as scratch:
        command = ["npm", "pack", wanted, "--loglevel=error", "--pack-destination", str(scratch)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_PATIENCE, check=False, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired as error:
            raise ResourceError(
                f"npm did not fetch {wanted} in {_PATIENCE} s: check the network and try again"
            ) from error
        fetched = scratch / package.archive
        if done.returncode or not fetched.is_file():
            said = " ".join((done.stderr or done.stdout).split())[:200] or f"exit code {done.returncode}"
            raise ResourceError(f"npm could not fetch {wanted} ({said}): check the network and npm's registry")
        if _digest(fetched) != package.sha512:
            raise InputError(f"npm's {wanted} is not the pinned archive (its SHA-512 differs): check npm's registry")
        fetched.replace(path)
    return path


def members(archive: Path, suffixes: tuple[str, ...]) -> dict[str, bytes]:
    """Return a package's files whose names end so, by their name below the package's folder."""
    found = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.isfile() and member.name.endswith(suffixes):
                held = opened.extractfile(member)
                assert held is not None
                found[member.name.split("/", 1)[1]] = held.read()
    return found


def _digest(path: Path) -> str:
    return base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
