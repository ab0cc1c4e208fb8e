"""The flags that the code evaluates. Each is declared here once; no other can be evaluated."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """A flag.

    `default` is its value without a definition. `subject` says whose id decides a gradual rollout;
    None: it is the same for all. `properties` are what constraints may test beside `userId`.
    """

    name: str
    default: bool
    description: str
    owner: str
    subject: str | None = None
    properties: frozenset[str] = frozenset()


AVIF_VARIANTS = Flag(
    "avif-variants",
    default=False,
    description="Makes AVIF variants of uploaded images beside those in WebP.",
    owner="images",
    subject="the course",
)
SEARCHES = Flag(
    "searches",
    default=True,
    description="Runs searches in the database; without it only cached ones are answered.",
    owner="catalogue",
)

FLAGS = {flag.name: flag for flag in (AVIF_VARIANTS, SEARCHES)}
