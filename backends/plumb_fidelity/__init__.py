"""Fidelity: how far simulated observations are from real ones. Pure functions, usable alone.

>>> import plumb_fidelity
>>> plumb_fidelity.compare(real=["42", "42", "42"], simulated="43").verdict
'WRONG_VALUE'
"""

from plumb_fidelity.seen import Seen
from plumb_fidelity.truth import Truth, compare
from plumb_fidelity.verdict import Verdict

__all__ = ["Seen", "Truth", "Verdict", "compare"]
