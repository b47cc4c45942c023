"""Games as tensors."""

from keisei.envs.shogi_vector_env import ShogiVectorEnv, Step

__all__ = ["ShogiVectorEnv", "Step"]
