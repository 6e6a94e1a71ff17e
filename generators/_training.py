"""What the generators that train share: how a recorded run is repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from noisebook.cells import contract

STEPS_REPLAYED = 20
SAFETENSORS = "application/x-safetensors"


def repeat(train_step: Callable[[], float], done: int, recorded: Sequence[float], tolerance: float) -> str:
    """Take the next steps of a run and compare their losses with the recorded ones.

    Args:
        train_step: takes a step and returns its loss.
        done: steps that the run has behind it.
        recorded: the loss of every step.
        tolerance: largest relative difference, for another processor's rounding: on the same one it is 0.

    Returns:
        The evidence. Raises :class:`noisebook.cells.contract.Disagreement`.
    """
    worst = 0.0
    expected = recorded[done:][:STEPS_REPLAYED]
    for step, loss in enumerate(expected, done + 1):
        now = train_step()
        worst = max(worst, abs(now - loss) / max(abs(loss), 1e-12))
        if not worst <= tolerance:
            raise contract.Disagreement(f"the loss of step {step} was {loss:.6g} and is now {now:.6g}")
    return f"{len(expected)}, largest relative difference of a loss {worst:.1g}"
