"""A window that shows what a run sees."""

from __future__ import annotations

import os

import numpy as np


class LiveView:
    """A window that shows one frame after another (`--onscreen_render`); RuntimeError without a display."""

    advice = "leave out --onscreen_render, or set DISPLAY"

    def __init__(self, title: str = ""):
        import matplotlib.pyplot as plt

        try:
            with plt.rc_context({"toolbar": "None"}):  # buttons that mean nothing here
                self._figure = plt.figure(title or None)
        except Exception as error:  # a backend was asked for by name and finds no display
            raise RuntimeError(f"no window ({error}); {self.advice}") from error
        if self._figure.canvas.required_interactive_framework is None:
            plt.close(self._figure)
            display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
            problem = (
                f"no window can be opened on display {display!r}"
                if display
                else "no display to open a window on"
            )
            raise RuntimeError(f"{problem}; {self.advice}")
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._image = None
        self._closed = False
        self._figure.canvas.mpl_connect("close_event", self._on_close)
        self._figure.show()

    def _on_close(self, _event: object) -> None:
        self._closed = True

    def show(self, frame: np.ndarray, words: str = "") -> None:
        """Show (H, W, 3) uint8 RGB with words in its corner; does nothing once the user has closed it."""
        if self._closed:
            return
        if self._image is None:  # at first as large as the frame, so that its text can be read
            height, width = np.array(frame.shape[:2]) / self._figure.dpi
            self._figure.set_size_inches(width, height)
            self._image = self._axes.imshow(frame)
            self._words = self._axes.text(8, 8, "", color="white", va="top", fontsize=9)
            self._words.set_bbox({"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 3})
        self._image.set_data(frame)
        self._words.set_text(words)
        self._words.set_visible(bool(words))
        self._figure.canvas.draw_idle()
        self._figure.canvas.flush_events()

    def close(self) -> None:
        """Close the window."""
        import matplotlib.pyplot as plt

        plt.close(self._figure)
