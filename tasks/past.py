"""An earlier state of a simulation, kept so that it can still be drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.opengl import mujoco


class Past:
    """Where everything is at present in `data`, at a step of the episode."""

    FIELDS = (  # what follows from where the joints are, and is drawn
        *("xpos", "xquat", "xmat", "xipos", "ximat", "xanchor", "xaxis", "geom_xpos", "geom_xmat"),
        *("site_xpos", "site_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir", "subtree_com"),
    )

    def __init__(self, data: mujoco.MjData, step: int) -> None:
        self._data, self._qpos, self.step = data, data.qpos.copy(), step

    @contextmanager
    def restored(self, model: mujoco.MjModel) -> Iterator[None]:
        """Inside, `data` is drawn as it was; afterwards it is as before, to the bit."""
        data = self._data
        present = {name: getattr(data, name).copy() for name in ("qpos", *self.FIELDS)}
        try:
            data.qpos[:] = self._qpos
            mujoco.mj_kinematics(model, data)
            mujoco.mj_camlight(model, data)
            yield
        finally:
            for name, values in present.items():
                getattr(data, name)[:] = values
