"""Network, rollout store and learner."""
