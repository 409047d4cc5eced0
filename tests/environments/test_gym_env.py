"""Gymnasium's own contract over every simulated task, and the physics of gym-aloha's transfer environment."""

import warnings
from dataclasses import replace

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from repository import REFERENCE

import gym_env
from constants import TASKS, get_task
from gym_env import env_ids

IDS = env_ids(TASKS.values())
TRANSFER = get_task("sim_transfer_cube_scripted")
SMALL = {
    "observation_height": 24,
    "observation_width": 32,
    "visualization_height": 36,
    "visualization_width": 48,
}
JOINTS = [i for i, name in enumerate(TRANSFER.state_names) if not name.endswith("gripper")]


@pytest.fixture
def make():
    """`gymnasium.make` of a small environment, closed in the end."""
    made = []

    def one(name="act/TransferCube-v0", **options):
        made.append(gymnasium.make(name, **{**SMALL, **options}))
        return made[-1]

    yield one
    for env in made:
        env.close()


# --- contracts over all tasks


@pytest.mark.parametrize("obs_type", gym_env.OBS_TYPES)
@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_own_check(make, name, obs_type):
    env = make(name, obs_type=obs_type)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    others = [str(w.message) for w in caught if "we recommend using a symmetric and normalized" not in str(w)]
    assert [text for text in others if "WARN" in text] == []  # ours are joint angles: rad, not [-1, 1]


@pytest.mark.parametrize("name", IDS)
def test_registration_follows_the_task(make, name):
    env, task = make(name), IDS[name]
    assert env.spec.max_episode_steps == task.episode_len
    assert env.unwrapped.metadata["render_fps"] == task.fps
    assert env.action_space.shape == (task.dim,) and env.action_space.dtype == np.float32
    images = env.observation_space.spaces
    assert set(images) == set(task.cameras)
    assert all((space.shape, space.dtype) == ((24, 32, 3), np.uint8) for space in images.values())


def test_one_id_for_each_environment():
    insertion = replace(TRANSFER, name="sim_insertion_scripted", episode_len=300)
    move = replace(TRANSFER, name="sim_mycobot320_move_cube_scripted", episode_len=115)
    mirrored = replace(TRANSFER, name="sim_transfer_cube_scripted_mirror", strict_steps=20)
    human = replace(TRANSFER, name="sim_transfer_cube_human", script=())
    longer = replace(insertion, name="sim_insertion_human", episode_len=500, script=())
    real = replace(TRANSFER, name="real_arm", scene=None)
    found = env_ids([human, TRANSFER, insertion, longer, mirrored, move, real])
    assert {name: task.name for name, task in found.items()} == {
        "act/TransferCube-v0": "sim_transfer_cube_scripted",
        "act/Insertion-v0": "sim_insertion_scripted",
        "act/InsertionHuman-v0": "sim_insertion_human",
        "act/TransferCubeMirror-v0": "sim_transfer_cube_scripted_mirror",
        "act/Mycobot320MoveCube-v0": "sim_mycobot320_move_cube_scripted",
    }
    with pytest.raises(ValueError, match="'sim_insertion_scripted' and 'sim_insertion' are both act/In"):
        env_ids([insertion, replace(longer, name="sim_insertion")])


# --- as gym-aloha


def test_observations_have_gym_alohas_layout(make):
    env = make(obs_type="pixels_agent_pos")
    observation, info = env.reset(seed=0)
    assert set(observation) == {"pixels", "agent_pos"} and set(observation["pixels"]) == {"top"}
    assert observation["pixels"]["top"].shape == (24, 32, 3) and observation["pixels"]["top"].std() > 5
    assert observation["agent_pos"].shape == (14,) and observation["agent_pos"].dtype == np.float64
    assert observation["agent_pos"][1] == -0.96 and info["is_success"] is False
    pixels, _ = make(obs_type="pixels").reset(seed=0)
    assert np.array_equal(pixels["top"], observation["pixels"]["top"])
    assert env.render().shape == (36, 48, 3)


def test_seeds_and_given_starts(make):
    env, other = make(), make()
    start = env.reset(seed=5)[1]["env_state"]
    assert np.array_equal(other.reset(seed=5)[1]["env_state"], start)
    following = env.reset()[1]["env_state"]
    assert not np.array_equal(following, start)
    assert np.array_equal(other.reset()[1]["env_state"], following), "the stream goes on without a seed"
    wanted = np.array([0.05, 0.45, 0.05, 1, 0, 0, 0])
    _, info = env.reset(options={"env_state": wanted, "lerobot_new_rollout": True})
    assert np.array_equal(info["env_state"], wanted)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"env_state": [0.05, 0.45, 0.05]}, "env_state has shape"),
        ({"env_state": [0.05, 0.45, np.nan, 1, 0, 0, 0]}, "env_state is .* in finite numbers"),
        ({"env_state": [0.05, 0.45, np.inf, 1, 0, 0, 0]}, "env_state is .* in finite numbers"),
        ({"env_state": [0.05, 0.45, 0.05, 0, 0, 0, 0]}, "env_state has quaternion 0 for red_box"),
        (
            {"env_stat": [0.05, 0.45, 0.05, 1, 0, 0, 0]},
            "unknown option of reset 'env_stat'; did you mean 'env_s",
        ),
    ],
)
def test_starts_that_are_none_are_refused(make, options, said):
    with pytest.raises(ValueError, match=said):
        make().reset(options=options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"obs_type": "state"}, "unknown obs_type 'state'; choose from pixels, pixels_agent_pos"),
        ({"render_quality": "best"}, "unknown render quality 'best'"),
        ({"task": "sim_tranfer_cube_scripted"}, "did you mean 'sim_transfer_cube_scripted'"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        gym_env.TaskEnv(**{"task": TRANSFER.name, **options})


def test_close_frees_the_renderers_and_may_be_repeated(make):
    env = make()
    env.reset(seed=0)
    views = env.unwrapped._env.task.renderers
    assert set(views) == {"top"}
    env.close()
    assert views == {}
    env.close()


# --- the same physics as gym-aloha's


@pytest.fixture(scope="module")
def pair():
    """Our environment and gym-aloha's, neither of which renders: pictures are not compared."""
    import gym_aloha  # noqa: F401  registers

    blank = np.zeros((480, 640, 3), np.uint8)
    ours = gymnasium.make("act/TransferCube-v0", obs_type="pixels_agent_pos", **SMALL).unwrapped
    theirs = gymnasium.make("gym_aloha/AlohaTransferCube-v0", obs_type="pixels_agent_pos").unwrapped
    ours._env.task.render = lambda physics, camera: blank[:24, :32]
    theirs._env.physics.render = lambda **size: blank
    yield ours, theirs
    ours.close()
    theirs._env.physics.free()


def start_alike(pair, env_state):
    from gym_aloha import tasks

    ours, theirs = pair
    first, _ = ours.reset(options={"env_state": env_state})
    with pytest.MonkeyPatch.context() as patch:  # gym-aloha draws the start from the seed alone
        patch.setattr("gym_aloha.env.sample_box_pose", lambda seed: env_state)
        other, _ = theirs.reset(seed=0)
    assert np.array_equal(tasks.sim.BOX_POSE[0], env_state)
    assert np.array_equal(first["agent_pos"], other["agent_pos"])
    return first["agent_pos"]


def smooth_actions(home, rng, steps=120):
    """Both arms wave in the air, each joint at a rhythm of its own; grippers move without closing."""
    time = np.arange(steps)[:, None] / TRANSFER.fps
    size, speed = rng.uniform(0.05, 0.15, len(home)), rng.uniform(1, 4, len(home))
    actions = home + size * np.sin(speed * time) * np.minimum(1, 2 * time)
    grippers = np.setdiff1d(np.arange(len(home)), JOINTS)
    actions[:, grippers] = 0.5 + 0.3 * np.sin(time)
    return actions.astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_joints_move_as_in_gym_aloha(pair, seed):
    ours, theirs = pair
    rng = np.random.default_rng(seed)
    home = start_alike(pair, np.array([*rng.uniform([0, 0.4], [0.2, 0.6]), 0.05, 1, 0, 0, 0]))
    moved, model = np.zeros(len(home)), ours._env.physics.model.ptr
    resting = {"red_box", "table"}  # the cube lies on the table: it touches no arm
    for action in smooth_actions(home, rng):
        mine, other = ours.step(action)[0]["agent_pos"], theirs.step(action)[0]["agent_pos"]
        assert np.abs(mine - other).max() < 1e-6
        contacts = ours._env.physics.data.ptr.contact.geom
        assert all({model.geom(a).name, model.geom(b).name} == resting for a, b in contacts)
        moved = np.maximum(moved, np.abs(mine - home))
    assert moved.min() > 0.03, "every joint has moved"


def test_both_see_multi_contact_detection_differently(pair):
    """Ours turns it off, which insertion needs; gym-aloha leaves MuJoCo's default, on from 3.8."""
    flag = getattr(mujoco.mjtDisableBit, "mjDSBL_MULTICCD", None)
    if flag is None:
        pytest.skip("off by default on this MuJoCo")
    ours, theirs = (env._env.physics.model.ptr.opt.disableflags & flag for env in pair)
    assert ours and not theirs


@pytest.mark.parametrize("i", range(10))
def test_reference_trajectories_earn_as_much_as_in_gym_aloha(pair, i):
    with np.load(REFERENCE / "aloha_transfer_mujoco237.npz") as reference:
        actions, env_state = reference["action"][i], reference["env_state"][i]
    start_alike(pair, env_state)
    highest = []
    for env in pair:
        rewards = []
        for action in actions:
            _, reward, terminated, truncated, info = env.step(action)
            rewards.append(reward)
            assert terminated == info["is_success"] == (reward == 4) and not truncated
            if terminated:
                break
        highest.append(max(rewards))
    assert highest == [4, 4]


def test_the_episode_is_truncated_at_its_length(make):
    env = make()
    env.reset(seed=0)
    env.unwrapped._env.task.render = lambda physics, camera: np.zeros((24, 32, 3), np.uint8)
    upright = np.zeros(TRANSFER.dim, np.float32)
    ends = [env.step(upright)[2:4] for _ in range(TRANSFER.episode_len)]
    assert ends == [(False, False)] * (TRANSFER.episode_len - 1) + [(False, True)]
