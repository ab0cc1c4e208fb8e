"""Murmur3, over many texts at once: what Unleash deals subjects by, `hash % buckets + 1`."""

import numpy as np
from numpy.typing import NDArray

# Unleash's seeds: of gradual rollouts, and of variants.
ROLLOUT, VARIANTS = 0, 86028157


def buckets(group: str, subjects: list[str], size: int, seed: int = ROLLOUT) -> NDArray[np.uint32]:
    """Return the bucket, 1 to `size`, of each subject in a group; subjects are equally long."""
    text = "".join(f"{group}:{subject}" for subject in subjects).encode()
    rows = np.frombuffer(text, np.uint8).reshape(len(subjects), -1)
    return _murmur3(rows, seed) % np.uint32(size) + np.uint32(1)


def _murmur3(rows: NDArray[np.uint8], seed: int) -> NDArray[np.uint32]:
    length = rows.shape[1]
    whole = length // 4 * 4
    found = np.full(len(rows), seed, np.uint32)
    words = np.ascontiguousarray(rows[:, :whole]).view("<u4")
    for column in range(words.shape[1]):
        found ^= _mixed(words[:, column])
        found = _rotated(found, 13) * np.uint32(5) + np.uint32(0xE6546B64)
    if rest := length - whole:
        tail = np.zeros((len(rows), 4), np.uint8)
        tail[:, :rest] = rows[:, whole:]
        found ^= _mixed(tail.view("<u4")[:, 0])
    found ^= np.uint32(length)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        found ^= found >> np.uint32(shift)
        found *= np.uint32(factor)
    return found ^ (found >> np.uint32(16))


def _mixed(words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return _rotated(words * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)


def _rotated(words: NDArray[np.uint32], by: int) -> NDArray[np.uint32]:
    return (words << np.uint32(by)) | (words >> np.uint32(32 - by))
