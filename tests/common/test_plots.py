import os
import subprocess
import sys

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from repository import ROOT

from common.drawing import plots, videos
from common.drawing.live_view import LiveView
from common.drawing.losses import Losses
from common.drawing.panels import captioned, tile
from tasks.parts import GRIPPER, Entry


def frames(count, height=48, width=64, colour=(220, 30, 20)):
    for i in range(count):
        frame = np.full((height, width, 3), colour, np.uint8)
        frame[:4, : i + 1] = 255
        yield frame


def assert_picture(path, least_colours=20):
    picture = cv2.imread(str(path))
    assert picture is not None and picture.shape[0] > 100
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > least_colours


@pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 63)])
def test_video_plays_in_a_browser(tmp_path, height, width):
    path = tmp_path / "v.mp4"
    videos.write_video(path, frames(25, height, width), fps=50)
    reader = imageio_ffmpeg.read_frames(str(path))
    facts = next(reader)
    decoded = [np.frombuffer(one, np.uint8).reshape(48, 64, 3) for one in reader]
    assert facts["codec"] == "h264" and facts["pix_fmt"].startswith("yuv420p")
    assert facts["fps"] == 50 and facts["size"] == (64, 48) and len(decoded) == 25
    assert np.abs(decoded[7][20:40, 10:50].mean((0, 1)) - (220, 30, 20)).max() < 8  # red, not blue
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # the index comes first: it plays while it loads
    assert os.listdir(tmp_path) == ["v.mp4"]


@pytest.mark.skipif(not plots.east_asian_fonts(), reason="no font with Korean letters is installed")
@pytest.mark.filterwarnings("error:Glyph")
def test_korean_names_are_drawn_where_a_font_is_installed(tmp_path):
    for name in ("손목", "상단"):
        figure = plots.new_figure(4.0, 2.0)
        figure.add_subplot().set_title(name)
        plots.write_png(figure, tmp_path / f"{name}.png")
    first, second = ((tmp_path / f"{name}.png").read_bytes() for name in ("손목", "상단"))
    assert first != second  # letters, not boxes


def test_a_text_keeps_its_own_font(tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "east_asian_fonts", lambda: ["NanumGothic"])
    figure = plots.new_figure(4.0, 2.0)
    texts = [figure.text(0, 0, "a table", family="monospace"), figure.text(0, 1, "a title")]
    plots.write_png(figure, tmp_path / "a.png")
    assert [text.get_fontfamily() for text in texts] == [
        ["monospace", "NanumGothic"],
        ["sans-serif", "NanumGothic"],
    ]


def test_bad_frames_leave_no_video(tmp_path):
    with pytest.raises(ValueError, match="no frames"):
        videos.write_video(tmp_path / "v.mp4", [], 50)
    with pytest.raises(ValueError, match=r"frame 1 is uint8 \(10, 10, 3\); all must be"):
        videos.write_video(
            tmp_path / "v.mp4", [np.zeros((8, 8, 3), np.uint8), np.zeros((10, 10, 3), np.uint8)], 50
        )
    with pytest.raises(ValueError, match="frame 0 is float64"):
        videos.write_video(tmp_path / "v.mp4", [np.zeros((8, 8, 3))], 50)

    def interrupted():
        yield from frames(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        videos.write_video(tmp_path / "v.mp4", interrupted(), 50)
    assert os.listdir(tmp_path) == []


def test_ffmpeg_message_is_passed_on(tmp_path):
    with pytest.raises(RuntimeError, match=r"v\.mp4: ffmpeg failed: .+") as caught:
        videos.write_video(tmp_path / "v.mp4", frames(2000), fps=-1)
    assert "\n" not in str(caught.value) and os.listdir(tmp_path) == []


def test_cameras_are_tiled_at_equal_height():
    red, small = np.full((48, 64, 3), (255, 0, 0), np.uint8), np.full((24, 30, 3), (0, 0, 255), np.uint8)
    tiled = tile([red, small])
    assert tiled.shape == (48, 64 + 60, 3) and tiled.dtype == np.uint8
    assert (tiled[:, :64] == (255, 0, 0)).all() and (tiled[:, 64:] == (0, 0, 255)).all()
    np.testing.assert_array_equal(tile([red]), red)


@pytest.mark.parametrize("size", [(480, 640), (96, 128), (48, 64)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_name_is_written_into_the_picture(size, grey):
    frame = np.full((*size, 3), grey, np.uint8)
    picture = captioned(frame, "right_wrist")
    assert picture.shape == frame.shape and (frame == grey).all(), "the frame itself stays as it is"
    changed = (picture != grey).any(axis=2)
    assert changed.any() and not changed[size[0] // 2 :].any(), "in the upper half alone"
    assert picture.max() > 150 and not np.array_equal(picture, captioned(frame, "top"))


def numbered(name, count):
    return [Entry(f"{name}_{i}", f"{name} {i}", "arm", "rad") for i in range(count)]


@pytest.mark.parametrize("dim", [1, 3, 7, 14])
def test_joint_plot(tmp_path, dim):
    qpos = np.cumsum(np.random.default_rng(0).normal(size=(40, dim)), axis=0)
    entries = [*numbered("joint", dim - 1), Entry("left_gripper", "gripper", "left arm", GRIPPER)]
    plots.joint_plot(tmp_path / "q.png", qpos, qpos + 0.1, entries, fps=50, title="episode_0")
    assert_picture(tmp_path / "q.png")
    assert os.listdir(tmp_path) == ["q.png"]


def test_joint_plot_of_an_action_of_another_width(tmp_path):
    plots.joint_plot(tmp_path / "q.png", np.zeros((9, 4)), np.zeros((9, 2)), numbered("a", 4), fps=10)
    plots.joint_plot(tmp_path / "q.png", np.zeros((9, 2)), np.zeros((9, 4)), numbered("a", 2), fps=10)
    with pytest.raises(ValueError, match="3 names for 2 joints"):
        plots.joint_plot(tmp_path / "q.png", np.zeros((9, 2)), np.zeros((9, 2)), numbered("a", 3), fps=10)


def test_loss_plot(tmp_path):
    history = [Losses(step, {"l1": 1 / (step + 1), "kl": -0.1}) for step in range(0, 100, 10)]
    history += [Losses(50, validation={"l1": 0.5})]
    history += [Losses(100, validation={"l1": float("nan"), "loss": float("inf")})]
    plots.loss_plot(tmp_path / "loss.png", history)
    assert_picture(tmp_path / "loss.png")
    assert os.listdir(tmp_path) == ["loss.png"]
    with pytest.raises(ValueError, match="no losses"):
        plots.loss_plot(tmp_path / "loss.png", [Losses(0)])


def test_k_plot(tmp_path):
    plots.k_plot(tmp_path / "k.png", [1, 2, 4], {0.0: [0.3, 0.2, 0.4], 1.0: [0.2, 0.1, 0.1]}, (2, 1.0))
    assert_picture(tmp_path / "k.png")
    assert os.listdir(tmp_path) == ["k.png"]


def test_curves_plot(tmp_path):
    panels = {
        "success (%)": {"one": [(1, (0.0, 0.0, 5.0)), (20, (98.0, 95.0, 99.0))], "other": [(20, (9, 3, 19))]},
        "time (ms)": {"one": [(1, 3.0), (20, 4.0)]},
    }
    plots.curves_plot(tmp_path / "curves.png", panels, "actions in a chunk")
    assert_picture(tmp_path / "curves.png")
    many = {
        "time (s)": {str(n): [(1, 0.2), (1000, n)] for n in range(1, 9)},
        "memory": {"8": [(1, 1), (9, 2)]},
    }
    plots.curves_plot(tmp_path / "many.png", many, "", is_log=True)
    assert_picture(tmp_path / "many.png")


def test_plots_need_no_pyplot(tmp_path):
    code = "import sys; from common.drawing import plots\nfrom common.drawing.losses import Losses\n"
    code += "plots.loss_plot(sys.argv[1], [Losses(0, {'l1': 1})])"
    code += "; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "l.png")], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("display", "why"),
    [("", "no display to open a window on"), (":99", "no window can be opened on display ':99'")],
)
def test_live_view_without_a_window_system_says_so(monkeypatch, display, why):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    code = "from common import LiveView; LiveView()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"RuntimeError: {why}; leave out --onscreen_render, or set DISPLAY"


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_live_view_shows_the_latest_frame(monkeypatch):
    import matplotlib.pyplot as plt
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    plt.switch_backend("agg")
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "pretended")
    view = LiveView("top")
    for colour in ((9, 9, 9), (220, 30, 20)):
        view.show(next(frames(1, colour=colour)), "step 3 of 400")
    canvas = plt.gcf().canvas
    assert canvas.manager is None or canvas.manager.toolbar is None
    assert [text.get_text() for text in plt.gcf().axes[0].texts] == ["step 3 of 400"]
    canvas.draw()
    assert ((np.asarray(canvas.buffer_rgba())[..., :3] == (220, 30, 20)).all(-1)).mean() > 0.5
    canvas.callbacks.process("close_event", None)
    view.show(np.zeros((48, 64, 3), np.uint8))
    canvas.draw()
    assert np.asarray(canvas.buffer_rgba())[..., 0].max() == 255  # closed: the last frame stays
    view.close()
    assert not plt.get_fignums()


def test_accuracies_of_two_runs_stand_side_by_side(tmp_path):
    rows = [{"epoch": e, "train/accuracy": 0.2 * e, "val/accuracy": 0.1 * e} for e in (1, 2, 3)]
    plots.accuracy_plot(tmp_path / "one.png", {"sgd": rows})
    plots.accuracy_plot(tmp_path / "two.png", {"sgd": rows, "adam": rows[:1]})
    assert_picture(tmp_path / "one.png")
    one, two = (cv2.imread(str(tmp_path / name)) for name in ("one.png", "two.png"))
    assert two.shape[1] > 1.8 * one.shape[1] and sorted(os.listdir(tmp_path)) == ["one.png", "two.png"]


def test_a_confusion_matrix_shows_shares_of_each_row(tmp_path):
    """Cells are dark where images were taken for that class; a class without images breaks nothing."""
    counts = np.array([[30, 0, 0], [1, 1, 0], [0, 0, 0]])
    plots.confusion_plot(tmp_path / "c.png", counts, ["cat", "dog", "ship"], "three classes")
    assert_picture(tmp_path / "c.png")
    picture = cv2.imread(str(tmp_path / "c.png"))
    blue_only = picture[..., 0].astype(int) - picture[..., 2]
    full, half = ((np.abs(blue_only - depth) < 4).sum() for depth in blue_of_shares())
    assert full > 500 and 1.5 < half / full < 2.5  # one cell of 100 %, two of 50 %


def blue_of_shares() -> list[int]:
    """How much bluer than red cells of 100 % and 50 % are."""
    import matplotlib

    colours = [np.array(matplotlib.colormaps["Blues"](share)[:3]) * 255 for share in (1.0, 0.5)]
    return [int(colour[2]) - int(colour[0]) for colour in colours]
