"""A house with a battery whose physics hold, and the HTTP responses of each generation."""
