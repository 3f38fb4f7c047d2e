"""What reports holds of a person: nothing. Figures are computed from events on demand, and kept nowhere."""
