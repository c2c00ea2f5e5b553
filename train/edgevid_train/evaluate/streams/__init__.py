"""A model on streams, as it is used: a `plan` lays clips out, a `source` plays them, a `run` takes the live path over
them, `matching` holds its events against what happened, a `report` tells it; `evaluate` is all of it in one
call, `fit_events` chooses the event rule by it.
"""
