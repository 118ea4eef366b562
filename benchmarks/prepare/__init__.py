"""`tandem bench prepare`: the stage beside one pandas pass over the same log."""
