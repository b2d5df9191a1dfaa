"""The service that a shop runs: micro-behaviors in, profiles and recommendations out, nothing lost."""
