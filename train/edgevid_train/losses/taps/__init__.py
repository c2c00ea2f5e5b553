"""What a student learns from inside of its teacher: outputs of modules that are named by their path in each network.

Where they meet. A student has an output for every step of a stream, a teacher one for a whole clip, with or without
time in it. Both are averaged over the action as the teacher sees it, or over each of `times` equal parts of it: the
teacher's over its times, the student's over the steps of its stream that lie in the part (`StepTargets.progress`). A
part in which a student has no step, because its stream begins later or its steps are too far apart, is not compared.
Then the map with the finer places is averaged down to the other's, rows and columns each by themselves.
"""

from edgevid_train.losses.taps.config import TapConfig
from edgevid_train.losses.taps.listen import listening
from edgevid_train.losses.taps.relation import relation_loss
from edgevid_train.losses.taps.terms import TapTerms, ask_tapped, blank

__all__ = ["TapConfig", "TapTerms", "ask_tapped", "blank", "listening", "relation_loss"]
