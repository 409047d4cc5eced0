"""The stand-in arm: emulated firmware on a serial port, and behind it a body, with MuJoCo or without."""
