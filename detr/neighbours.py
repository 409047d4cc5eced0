"""A memory of demonstrated moments, and the search for those that are most like the present one.

Source: Pari et al. 2021, "The Surprising Effectiveness of Representation Learning for Visual Imitation"
(VINN), section III-C; ACT++, vinn_select_k.py and vinn_eval.py. Differences:

- the neighbours' weights come from their own distances (ACT++ gives the sorted neighbours unsorted ones);
- cameras weigh alike, and a distance of 1 is what is usual between a frame and the most similar one of
  another episode: so the softmax over distances, and the state's weight, mean the same for all features;
- a search is one product of the memory with the query.
"""

import torch
from torch import Tensor, nn

# of the features in memory; wider ones are projected on their principal directions: 128 of them hold
# everything of the 512 features of `keypoints`
MAX_WIDTH = 128
UNIT_FRAMES = 500  # by which the unit of a distance is measured
TINY = 1e-6  # in place of a spread or distance of zero
FLOATS_AT_ONCE = 10_000_000  # of the chunks that are compared at once, so that they fit into memory


class Memory(nn.Module):
    """Frames of demonstrations: what was seen, the state, and the actions from there on.

    Empty until `fill`; from a state dict it takes whatever size is there. Its N frames are those of the
    episodes one after the other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        for name in ("mean", "basis", "features", "squares", "states", "state_scale", "actions"):
            self.register_buffer(name, torch.empty(0, device=self._device()))
        self.register_buffer("last", torch.empty(0, dtype=torch.int64, device=self._device()))

    def _device(self) -> torch.device | None:
        return next((buffer.device for buffer in self.buffers()), None)

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
        episodes = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
        self.mean = features.mean(dim=0)  # (cameras, f)
        centred = features - self.mean
        spread = centred.square().sum(dim=2).mean(dim=0).sqrt().clamp_min(TINY)  # (cameras,)
        weight = (1 / spread).repeat_interleave(features.shape[2])[:, None]  # (cameras * f, 1)
        basis = weight * principal_directions(centred.flatten(1) * weight.T, MAX_WIDTH)
        self.basis = basis / usual_distance(centred.flatten(1) @ basis, episodes)  # (cameras * f, P)
        self.features = centred.flatten(1) @ self.basis  # (N, P)
        self.squares = self.features.square().sum(dim=1)  # (N,)
        self.state_scale = 1 / usual_distance(states, episodes)  # ()
        self.states = states * self.state_scale
        self.actions = actions
        self.last = (lengths.cumsum(0) - 1).repeat_interleave(lengths)  # (N,), last frame of its episode

    def distances(self, features: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Euclidean distances (B, N) from all frames, of features (B, cameras, f) and of states (B, D)."""
        query = (features - self.mean).flatten(1) @ self.basis  # (B, P)
        squares = query.square().sum(dim=1, keepdim=True) + self.squares - 2 * query @ self.features.T
        states = states * self.state_scale
        if len(states) == 1:  # by operators that a graph can hold
            return squares.clamp_min(0).sqrt(), (self.states - states).square().sum(dim=1).sqrt()[None]
        exact = "donot_use_mm_for_euclid_dist"
        return squares.clamp_min(0).sqrt(), torch.cdist(states, self.states, compute_mode=exact)

    def chunks(self, frames: Tensor, chunk_size: int) -> Tensor:
        """The actions from each of the frames (...) on: (..., chunk, A); past its episode's end, the last."""
        steps = frames[..., None] + torch.arange(chunk_size, device=frames.device)
        return self.actions[torch.minimum(steps, self.last[frames][..., None])]

    def predict(
        self, features: Tensor, states: Tensor, k: int, state_weight: float | Tensor, chunk_size: int
    ) -> Tensor:
        """(B, chunk, A): the chunks of the k nearest frames, averaged by a softmax over minus distances."""
        visual, from_states = self.distances(features, states)
        distances, frames = nearest(visual + state_weight * from_states, k)  # (B, k)
        weights = torch.softmax(-distances, dim=1)
        return torch.einsum("bk,bkca->bca", weights, self.chunks(frames, chunk_size))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        for name, buffer in list(self.named_buffers()):
            if prefix + name in state_dict:
                setattr(self, name, buffer.new_empty(state_dict[prefix + name].shape))
        super()._load_from_state_dict(state_dict, prefix, *args)


def nearest(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k least of distances (B, N), in order, and the frames (B, k) that they belong to."""
    return distances.topk(min(k, distances.shape[1]), dim=1, largest=False)


def principal_directions(rows: Tensor, width: int) -> Tensor:
    """(N, F), centred, to (F, P): the `width` directions in which the rows vary most; all if F is no more.

    Orthonormal, so distances stay as they were, except for what lies in the directions left out.
    """
    if rows.shape[1] <= width:
        return torch.eye(rows.shape[1], device=rows.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.svd_lowrank(rows, q=min(width, len(rows)), niter=4)[2]


def usual_distance(rows: Tensor, episodes: Tensor) -> Tensor:
    """Mean distance () of a row (N, F) from the nearest of another episode (N,); 1 if there is only one."""
    sample = torch.arange(0, len(rows), max(1, len(rows) // UNIT_FRAMES), device=rows.device)
    distances = torch.cdist(rows[sample], rows)
    distances = distances.masked_fill(episodes[sample, None] == episodes, torch.inf)
    mean = distances.min(dim=1).values.mean()
    return mean.clamp_min(TINY) if mean.isfinite() else torch.ones_like(mean)


def errors_by_k(
    memory: Memory, distances: Tensor, targets: Tensor, scale: Tensor, ks: list[int]
) -> list[float]:
    """How far the average of the k nearest chunks is from the chunk that was demonstrated, for each k.

    A softmax over the first k of a row has the weights of that over more, up to a factor: so the averages for
    all k are running sums over the neighbours.

    Args:
        memory: where the chunks are.
        distances: (Q, N), of Q queries from the frames in memory.
        targets: (Q, chunk, A).
        scale: (A,), what an error is divided by.
        ks: numbers of neighbours, in order.

    Returns:
        mean absolute errors.
    """
    distances, frames = nearest(distances, ks[-1])  # (Q, K)
    weights = torch.softmax(-distances, dim=1)
    taken = torch.tensor(ks, device=distances.device).clamp_max(distances.shape[1]) - 1
    sums = torch.zeros(len(ks), device=distances.device)
    at_once = max(1, FLOATS_AT_ONCE // (distances.shape[1] * targets[0].numel()))
    parts = (tensor.split(at_once) for tensor in (weights, frames, targets))
    for weight, frame, target in zip(*parts, strict=True):
        chunks = memory.chunks(frame, targets.shape[1])  # (q, K, chunk, A)
        total = (weight[..., None, None] * chunks).cumsum(dim=1)[:, taken]  # (q, ks, chunk, A)
        mean = total / weight.cumsum(dim=1)[:, taken, None, None]
        sums += ((mean - target[:, None]) / scale).abs().mean(dim=(2, 3)).sum(dim=0)
    return (sums / len(targets)).tolist()
