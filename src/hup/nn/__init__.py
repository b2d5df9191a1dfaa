"""Tensors only: Behavior-LSTM, attention, the pyramid, tables of vectors, losses. No files, no names of items."""

from hup.nn.behavior_lstm import BehaviorLSTM

__all__ = ["BehaviorLSTM"]
