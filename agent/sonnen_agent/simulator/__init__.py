"""A house with a battery whose physics hold, and the HTTP face of each generation."""
