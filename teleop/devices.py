"""What a person holds and looks at when driving by hand: keyboard, gamepad, window; and what they ask for.

Bindings are tables, from which `explain` makes what the window says. No device knows what its rates move.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from common import LiveView

# What can be driven, and the words for either way. x is to the right, y away and z up, as the person sees it.
WORDS = {
    "x": ("left", "right"), "y": ("nearer", "further"), "z": ("down", "up"),
    "turn x": ("tip down", "tip up"), "turn y": ("roll left", "roll right"),
    "turn z": ("turn right", "turn left"), "gripper": ("close", "open"),
}  # fmt: skip
RATES = tuple(WORDS)
KEY_RATES = {
    "a": ("x", -1), "d": ("x", 1), "s": ("y", -1), "w": ("y", 1), "f": ("z", -1), "r": ("z", 1),
    "k": ("turn x", -1), "i": ("turn x", 1), "u": ("turn y", -1), "o": ("turn y", 1),
    "j": ("turn z", 1), "l": ("turn z", -1), "c": ("gripper", -1), "v": ("gripper", 1),
}  # fmt: skip
ARROW_KEYS = "dwr"  # those that drive along x, y and z
KEY_COMMANDS = {
    "tab": "other arm", "t": "other arm", "enter": "keep", "backspace": "redo", "escape": "quit",
    "e": "clutch",
}  # fmt: skip
SLOW_KEY, SLOW = "x", 0.25  # held, it leaves this share of the speed
RELEASE_DELAY = 0.04  # s; a held key that repeats is released and pressed again at once: no release at all
PAD_AXES = {"LEFTX": ("x", 1), "LEFTY": ("y", -1), "RIGHTY": ("z", -1), "RIGHTX": ("turn z", -1)}
PAD_RATES = {
    "DPAD_UP": ("turn x", 1), "DPAD_DOWN": ("turn x", -1), "DPAD_LEFT": ("turn y", -1),
    "DPAD_RIGHT": ("turn y", 1), "LEFTSHOULDER": ("gripper", -1), "RIGHTSHOULDER": ("gripper", 1),
}  # fmt: skip
PAD_COMMANDS = {"Y": "other arm", "A": "keep", "B": "redo", "BACK": "quit"}
DEAD_ZONE = 0.15  # of a stick's travel


@dataclass(frozen=True, eq=False)
class Hand:
    """Where a hand is that leads the tool: x to the right, y away and z up, as the person sees it."""

    grip: int  # how often it took hold so far: each time begins anew (`retarget.Retarget`)
    position: np.ndarray  # (3,) m
    orientation: np.ndarray  # (3, 3)
    gripper: float | None = None  # 0 closed to 1 open; None: it says nothing about it


@dataclass(frozen=True)
class Input:
    """What a person asks for at one moment."""

    rates: np.ndarray = field(default_factory=lambda: np.zeros(len(RATES)))  # each in [-1, 1], see RATES
    commands: frozenset[str] = frozenset()  # of KEY_COMMANDS' values, once each time
    hand: Hand | None = None  # while one leads the tool; rates but the gripper's do not count then

    def __or__(self, other: Input) -> Input:
        rates = np.clip(self.rates + other.rates, -1, 1)
        return Input(rates, self.commands | other.commands, self.hand if other.hand is None else other.hand)

    @property
    def moves(self) -> bool:
        """Whether something is asked to move, or may be at any moment."""
        return self.hand is not None or bool(self.rates.any())


class Device(Protocol):
    """Something that a person holds."""

    layouts: tuple[Mapping[str, Any], ...]  # for each thing that is held, what each of its keys does
    commands: Mapping[str, str]  # that count only with this device, and the words for them

    def read(self, now: float) -> Input:
        """What is asked for at a time (s)."""

    def close(self) -> None:
        """Let go of ports and threads, if there are any."""


def _rates(pressed: Iterable[tuple[tuple[str, int], float]]) -> np.ndarray:
    """Rates (7,) of bindings (rate, sign), each pressed by a share."""
    rates = np.zeros(len(RATES))
    for (name, sign), share in pressed:
        rates[RATES.index(name)] += sign * share
    return rates


def explain(device: Device, commands: Mapping[str, str]) -> str:
    """Which keys do what, those for the same thing together: `a d: left, right   s w: nearer, further ...`.

    `commands` are those that count now, with the words for them.
    """
    parts = []
    for layout in device.layouts:
        keys: dict[str, list[str]] = {}
        words: dict[str, list[str]] = {}
        for key, target in layout.items():
            name, sign = (target, 0) if isinstance(target, str) else target
            if name in WORDS:
                keys.setdefault(name, []).append(key)
                both = WORDS[name]
                words.setdefault(name, []).extend(both if key in PAD_AXES else [both[sign > 0]])
            elif name in commands:
                keys.setdefault(name, []).append(key)
                words[name] = [commands[name]]
        parts += [f"{' '.join(keys[name])}: {', '.join(words[name])}" for name in keys]
    return "   ".join(parts)


class Keyboard:
    """The keys of a window, from their press and release events."""

    layouts: tuple[Mapping[str, Any], ...] = ({**KEY_RATES, SLOW_KEY: "slow", **KEY_COMMANDS},)
    commands: Mapping[str, str] = {}

    def __init__(self, poll: Callable[[], Iterable[tuple[str, bool]]]) -> None:
        """`poll` gives the events since it was last called: key, and whether it went down."""
        self._poll = poll
        self._until: dict[str, float] = {}  # key: when (s) it stops counting as held

    def read(self, now: float) -> Input:
        pressed = set()
        for key, is_down in self._poll():
            if is_down and self._until.get(key, -np.inf) <= now:
                pressed.add(key)
            self._until[key] = np.inf if is_down else now + RELEASE_DELAY
        self._until = {key: until for key, until in self._until.items() if until > now}
        share = SLOW if SLOW_KEY in self._until else 1.0
        rates = _rates((KEY_RATES[key], share) for key in self._until if key in KEY_RATES)
        return Input(rates, frozenset(KEY_COMMANDS[key] for key in pressed if key in KEY_COMMANDS))

    def close(self) -> None:
        """There is nothing to close."""


class Gamepad:
    """A game controller, through pygame; sticks and buttons by their names on an Xbox controller."""

    layouts: tuple[Mapping[str, Any], ...] = ({**PAD_AXES, **PAD_RATES, **PAD_COMMANDS},)
    commands: Mapping[str, str] = {}

    def __init__(self) -> None:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # the window is matplotlib's
        os.environ.setdefault("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
        try:
            import pygame
            from pygame._sdl2 import controller
        except ImportError as error:
            raise ImportError(f"a gamepad needs the package pygame ({error}); pip install pygame") from error
        pygame.display.init()
        controller.init()
        pads = [i for i in range(controller.get_count()) if controller.is_controller(i)]
        if not pads:
            raise RuntimeError("no gamepad is connected; plug one in, or take the keyboard")
        self._pump = pygame.event.pump
        self._codes = {name: getattr(pygame, f"CONTROLLER_AXIS_{name}") for name in PAD_AXES}
        buttons = (*PAD_RATES, *PAD_COMMANDS)
        self._codes |= {name: getattr(pygame, f"CONTROLLER_BUTTON_{name}") for name in buttons}
        self._pad = controller.Controller(pads[0])
        self._down: set[str] = set()

    def read(self, now: float) -> Input:
        self._pump()
        sticks = {name: self._pad.get_axis(self._codes[name]) / 32768 for name in PAD_AXES}
        shares = [(PAD_AXES[name], share) for name, share in sticks.items() if abs(share) > DEAD_ZONE]
        down = {name for name in (*PAD_RATES, *PAD_COMMANDS) if self._pad.get_button(self._codes[name])}
        shares += [(PAD_RATES[name], 1.0) for name in PAD_RATES if name in down]
        pressed, self._down = down - self._down, down
        return Input(_rates(shares), frozenset(PAD_COMMANDS[n] for n in pressed if n in PAD_COMMANDS))

    def close(self) -> None:
        """pygame closes what it opened."""


class Window(Protocol):
    """Where a person looks."""

    def show(self, frame: np.ndarray) -> None:
        """Show (H, W, 3) uint8 RGB."""


class KeyWindow(LiveView):
    """A window that shows frames and collects key events; closing it counts as quitting."""

    advice = "driving by hand needs a screen: set DISPLAY"

    def __init__(self, title: str = "") -> None:
        super().__init__(title)
        canvas = self._figure.canvas
        canvas.mpl_disconnect(canvas.manager.key_press_handler_id)  # matplotlib's own shortcuts
        self._events: list[tuple[str, bool]] = []
        canvas.mpl_connect("key_press_event", lambda event: self._on_key(event.key, True))
        canvas.mpl_connect("key_release_event", lambda event: self._on_key(event.key, False))

    def _on_key(self, key: str | None, is_down: bool) -> None:
        if key:
            self._events.append((key.split("+")[-1].lower(), is_down))  # ctrl+w and W are w

    def poll(self) -> list[tuple[str, bool]]:
        """Key events since the last call: name, and whether it went down."""
        self._figure.canvas.flush_events()
        events, self._events = self._events, []
        return [*events, ("escape", True)] if self._closed else events
