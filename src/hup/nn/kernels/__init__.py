"""The Behavior-LSTM recurrence: one plain reference and its faster twins, held equal by tests."""
