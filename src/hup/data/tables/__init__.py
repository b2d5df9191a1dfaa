"""Event tables of any shop: mapping, typed rows, category trees, sessions."""
