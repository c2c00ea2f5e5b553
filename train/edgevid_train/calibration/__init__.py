"""Exit thresholds with a promise: the test, the cascade it is put to, and what a person is shown."""
