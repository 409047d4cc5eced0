"""A memory of demonstrated moments, and the search for those that are most like the present one.

Source: Pari et al. 2021, "The Surprising Effectiveness of Representation Learning for Visual Imitation"
(VINN), section III-C; ACT++, vinn_select_k.py and vinn_eval.py. Differences: the neighbours' weights come from
their own distances (upstream pairs the sorted neighbours with unsorted distances); cameras weigh alike; a
search is one product of the memory with the query.
"""

import torch
from torch import Tensor, nn

MAX_WIDTH = 256  # of the features in memory; what is wider is projected on its principal directions


class Memory(nn.Module):
    """Frames of demonstrations: what was seen, the state, and the actions from there on.

    Empty until `fill`; it takes whatever size a state dict has. Its N frames are those of the episodes one
    after the other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(0))  # (cameras, f)
        self.register_buffer("basis", torch.empty(0))  # (cameras * f, P)
        self.register_buffer("features", torch.empty(0))  # (N, P)
        self.register_buffer("squares", torch.empty(0))  # (N,), squared lengths of the features
        self.register_buffer("states", torch.empty(0))  # (N, D)
        self.register_buffer("actions", torch.empty(0))  # (N, A)
        self.register_buffer("last", torch.empty(0, dtype=torch.int64))  # (N,), last frame of its episode

    def __len__(self) -> int:
        return len(self.features)

    def fill(self, features: Tensor, states: Tensor, actions: Tensor, lengths: Tensor) -> None:
        """Remember these frames instead of what was remembered.

        Args:
            features: (N, cameras, f).
            states: (N, D), normalised.
            actions: (N, A).
            lengths: (episodes,) int, frames of each; they add up to N.
        """
        self.mean = features.mean(dim=0)
        centred = features - self.mean
        spread = centred.square().sum(dim=2).mean(dim=0).sqrt().clamp_min(1e-6)  # (cameras,)
        weight = (1 / spread).repeat_interleave(features.shape[2])  # (cameras * f,)
        scaled = centred.flatten(1) * weight
        self.basis = weight[:, None] * principal_directions(scaled, MAX_WIDTH)
        self.features = self._project(features)
        self.squares = self.features.square().sum(dim=1)
        self.states, self.actions = states, actions
        self.last = (lengths.cumsum(0) - 1).repeat_interleave(lengths)

    def _project(self, features: Tensor) -> Tensor:
        return (features - self.mean).flatten(1) @ self.basis

    def distances(self, features: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Euclidean distances (B, N) of features (B, cameras, f), and of states (B, D), from all frames.

        A distance of features is measured in the cameras' standard deviations, all cameras together.
        """
        query = self._project(features)  # (B, P)
        squares = query.square().sum(dim=1, keepdim=True) + self.squares - 2 * query @ self.features.T
        exact = "donot_use_mm_for_euclid_dist"
        return squares.clamp_min(0).sqrt(), torch.cdist(states, self.states, compute_mode=exact)

    def chunks(self, frames: Tensor, chunk_size: int) -> Tensor:
        """The actions from each of the frames (...) on: (..., chunk, A); past its episode's end, the last."""
        steps = frames[..., None] + torch.arange(chunk_size, device=frames.device)
        return self.actions[torch.minimum(steps, self.last[frames][..., None])]

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        for name, buffer in list(self.named_buffers()):
            if prefix + name in state_dict:
                setattr(self, name, buffer.new_empty(state_dict[prefix + name].shape))
        super()._load_from_state_dict(state_dict, prefix, *args)


def principal_directions(rows: Tensor, width: int) -> Tensor:
    """(N, F), centred, to (F, P): the `width` directions in which the rows vary most; all if F is no more.

    Orthonormal, so distances stay what they were, but for what lies in the directions left out.
    """
    if rows.shape[1] <= width:
        return torch.eye(rows.shape[1], device=rows.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.svd_lowrank(rows, q=min(width, len(rows)), niter=4)[2]


def nearest(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k least of distances (B, N), in order, and the frames (B, k) that they belong to."""
    return distances.topk(min(k, distances.shape[1]), dim=1, largest=False)
