"""A screen of your own: a function of a model and a behavior that returns a ranking.

In a tournament: fulcra research screens MODEL -b refusal --screen examples/09_screen.py:consensus
"""

import fulcra


def consensus(model: fulcra.Model, behavior: fulcra.Behavior) -> fulcra.Ranking:
    """Branches by the worse of their places in two screens, both in gain units."""
    first, second = (
        {branch: place for place, branch in enumerate(ranking.branches)}
        for ranking in (
            fulcra.rank(model, behavior, by=name, units="gain")
            for name in ("contrastive", "attribution")
        )
    )
    worse = {
        branch: float(max(first[branch], second[branch])) for branch in first if branch in second
    }
    branches = sorted(worse, key=lambda branch: worse[branch])
    return fulcra.Ranking(
        "consensus", tuple(branches), tuple(-worse[branch] for branch in branches)
    )


if __name__ == "__main__":
    model, behavior = fulcra.load("apothecary-sparse"), fulcra.load_behavior("refusal")
    ranking = fulcra.rank(model, behavior, by=consensus)
    print(ranking)
    print(fulcra.predict_trigger(model, ranking.top(1)[0], behavior))
