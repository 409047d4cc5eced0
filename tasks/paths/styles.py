"""How demonstrations by script may be driven (`--style`)."""

from tasks.paths.style_ranges import (
    ApproachRanges,
    GripRanges,
    MissRanges,
    OrderRanges,
    OvershootRanges,
    PauseRanges,
    ReleaseRanges,
    Style,
    TempoRanges,
    TremorRanges,
)

STYLES = {
    "script": Style(),
    "human": Style(
        ApproachRanges(height=(0.85, 1.8), arc=(0.1, 0.4), lift=(0.0, 0.25), beside=(0.01, 0.03)),
        GripRanges(offset=(0.004, 0.013), turn=(8, 30), slant=(0.005, 0.03)),
        OrderRanges(lead=(0.3, 1.5)),
        MissRanges(share=0.25, height=(0.03, 0.05), seconds=(0.2, 0.6)),
        OvershootRanges(share=0.35, distance=(0.01, 0.04), seconds=(0.2, 0.5)),
        PauseRanges(share=0.1, seconds=(0.1, 0.8)),
        ReleaseRanges(early=(0.03, 0.2), late=(0.1, 0.6)),
        TempoRanges(pace=(0.65, 1.3), change=(0.8, 1.25), ease=(0.2, 0.9), rounding=(0.06, 0.2)),
        TremorRanges(shift=(0.001, 0.005), tilt=(0.5, 3.0)),
    ),
}
