"""Whole splits that need no feature: the group horseshoe against the plain one and a normal prior.

Four regressions under a balanced tree.  The splits at the top and on the right need all features,
the one on the left none:

    python bench/group_horseshoe.py --seeds 12 --jobs 2

A stream is learned by islands apart; the one of most evidence is compared with the truth, its draws
from the posterior brought to the truth's arrangement (experts lie far apart).  Islands that ended
in another arrangement of the tree are counted; where the best one did, the stream is left out.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

import hsmoe

PRIORS = ("horseshoe", "group-horseshoe", "normal")
IDLE, NEEDED = 1, (0, 2)  # splits of the truth
OFF = 0.2  # a split is off if no slope, per standard deviation of a feature, is larger


def truth_of(n_features: int) -> hsmoe.TreeMixture:
    """Return the truth: far experts, two splits over all features, one over none."""
    sign = np.where(np.arange(n_features) % 2, -1.0, 1.0)
    phi = np.array(
        [
            np.r_[0.3, 1.2 * sign],
            np.r_[0.5, 0.0 * sign],
            np.r_[-0.4, 0.8 * np.roll(sign, 1)],
        ]
    )
    coefficients = np.zeros((4, 1 + n_features))
    coefficients[:, 0], coefficients[:, 1] = [-6.0, -2.0, 2.0, 6.0], [0.5, -0.5, 0.5, -0.5]
    return hsmoe.TreeMixture(coefficients, np.full(4, 0.5**2), phi, "balanced")


def rearranged(drawn: hsmoe.TreeMixture, truth: hsmoe.TreeMixture) -> np.ndarray | None:
    """Return phi (3, 1 + d) as the truth arranges it; None if the draw is of another arrangement.

    Experts are matched by their intercepts, which lie four apart.
    """
    place = np.abs(drawn.coefficients[:, :1] - truth.coefficients[:, 0]).argmin(axis=1)
    if len(set(place.tolist())) < 4 or {place[0] // 2, place[1] // 2} == {0, 1}:
        return None
    root = drawn.phi[0] * (1 if place[0] < 2 else -1)
    lower = [drawn.phi[1 + i] * (1 if place[2 * i] < place[2 * i + 1] else -1) for i in (0, 1)]
    return np.stack([root, *(lower if place[0] < 2 else lower[::-1])])


@dataclass(frozen=True)
class Score:
    """What the fit of a stream got right."""

    islands: float  # share of the islands in the arrangement of the truth
    idle: float = np.nan  # sum of |slope| of the idle split
    off: float = np.nan  # posterior probability that the idle split is off
    needed: float = np.nan  # L1 error of the slopes of the others
    idle_inclusion: float = np.nan
    needed_inclusion: float = np.nan
    lost: float = np.nan  # nats a row below the truth


def one_run(job: tuple[str, int, int, int, int]) -> Score:
    """Fit one stream and compare with the truth."""
    prior, seed, n, n_features, n_islands = job
    truth = truth_of(n_features)
    rng = np.random.default_rng(seed)
    X, new_X = rng.normal(size=(n, n_features)), rng.normal(size=(2000, n_features))
    y, new_y = truth.sample(X, seed)[0], truth.sample(new_X, seed + 1000)[0]
    islands = [
        hsmoe.HSMoERegressor(
            4, 16, 1, gate_prior=prior, retain=None, random_state=100 * seed + island
        ).fit(X, y)
        for island in range(n_islands)
    ]
    drawn = [model.draw_mixtures(200, random_state=seed) for model in islands]
    phi = [[rearranged(one, truth) for one in draws] for draws in drawn]
    arranged = [all(one is not None for one in rows) for rows in phi]
    best = int(np.argmax([model.log_evidence_ for model in islands]))
    if not arranged[best]:
        return Score(float(np.mean(arranged)))
    model, slopes = islands[best], np.stack(phi[best])[:, :, 1:]
    # Inclusion is an average over particles: under which split of the model the idle one is.
    places = {
        1 if np.allclose(np.abs(mine[IDLE]), np.abs(one.phi[1])) else 2
        for mine, one in zip(phi[best], drawn[best], strict=True)
    }
    inclusion = model.gate_inclusion().values[:, 1:].mean(axis=1)
    at = places.pop()
    one_place = not places
    return Score(
        islands=float(np.mean(arranged)),
        idle=float(np.abs(slopes[:, IDLE]).sum(axis=1).mean()),
        off=float((np.abs(slopes[:, IDLE]).max(axis=1) < OFF).mean()),
        needed=float(np.abs(slopes - truth.phi[:, 1:])[:, NEEDED].sum(axis=(1, 2)).mean()),
        idle_inclusion=float(inclusion[at]) if one_place else np.nan,
        needed_inclusion=float(inclusion[[0, 3 - at]].mean()) if one_place else np.nan,
        lost=float((truth.log_density(new_X, new_y) - model.log_density(new_X, new_y)).mean()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=12, help="streams (12)")
    parser.add_argument("--rows", type=int, default=1000, help="rows of a stream (1000)")
    parser.add_argument("--features", type=int, default=10, help="features (10)")
    parser.add_argument("--islands", type=int, default=6, help="islands (6)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    given = parser.parse_args()
    columns = {
        "idle": ("L1 of the idle slopes", 2),
        "off": ("P(split off)", 2),
        "needed": ("L1 error of the other slopes", 2),
        "idle_inclusion": ("inclusion, idle split", 2),
        "needed_inclusion": ("inclusion, others", 2),
        "lost": ("nats a row below the truth", 4),
        "islands": ("islands in the true arrangement", 2),
    }
    print("| prior |", " | ".join(head for head, _ in columns.values()), "| streams |")
    print("|---" * (2 + len(columns)) + "|")
    kept: dict[str, list[Score]] = {}
    for prior in PRIORS:
        work = [
            (prior, seed, given.rows, given.features, given.islands) for seed in range(given.seeds)
        ]
        with ProcessPoolExecutor(given.jobs) as pool:
            scores = kept[prior] = list(pool.map(one_run, work))
        cells = []
        for name, (_, digits) in columns.items():
            values = np.array([getattr(score, name) for score in scores])
            values = values[np.isfinite(values)]
            error = values.std(ddof=1) / np.sqrt(len(values))
            cells.append(f"{values.mean():.{digits}f} ± {error:.{digits}f}")
        found = sum(np.isfinite(score.lost) for score in scores)
        print(f"| {prior} | {' | '.join(cells)} | {found} |", flush=True)
    plain, group = (kept[prior] for prior in PRIORS[:2])
    for name in ("idle", "off", "needed", "lost"):
        gap = np.array(
            [getattr(b, name) - getattr(a, name) for a, b in zip(plain, group, strict=True)]
        )
        gap = gap[np.isfinite(gap)]
        error = gap.std(ddof=1) / np.sqrt(len(gap))
        print(f"{name}: group less plain, stream by stream: {gap.mean():.4f} ± {error:.4f}")


if __name__ == "__main__":
    main()
