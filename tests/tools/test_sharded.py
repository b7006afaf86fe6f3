"""Large batches and large networks on few GPUs: gradient accumulation and sharded training."""

import pytest
import torch
from processes import assert_same, config, last_state, run, train, train_in_two_processes

pytestmark = pytest.mark.slow

SHARDED = ["strategy.type=convnextv2.ShardedStrategy"]


@pytest.fixture(scope="module")
def sharded(cwd):
    return train_in_two_processes(cwd, "work_dirs/sharded", *SHARDED)


def test_shards_train_to_the_weights_of_whole_copies(cwd, sharded):
    whole = train_in_two_processes(cwd, "work_dirs/whole")
    (_, got), (_, expected) = last_state(sharded), last_state(whole)
    assert got["state_dict"].keys() == expected["state_dict"].keys()
    for name, tensor in expected["state_dict"].items():
        torch.testing.assert_close(got["state_dict"][name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    moments = got["optimizer"]["state"]["decoder.pred.weight"]["exp_avg"]
    assert moments.shape == expected["state_dict"]["decoder.pred.weight"].shape  # not a shard


def test_a_killed_sharded_run_resumes_exactly(cwd, sharded):
    again = train_in_two_processes(
        cwd, "work_dirs/sharded-again", *SHARDED, RESTARTS="1", PROBE_KILL_AT="5"
    )
    # Not the schedulers: torch adds a group without parameters, whose rate is not restored.
    (_, got), (_, expected) = last_state(again), last_state(sharded)
    assert_same(got["state_dict"], expected["state_dict"])
    assert_same(got["optimizer"], expected["optimizer"])
    assert not list(again.glob(".*partial"))


def test_a_sharded_checkpoint_is_evaluated_in_one_process(cwd, sharded):
    status, output = run(cwd, "test.py", config("fcmae-by-iter"), sharded / "iter_8.pth")
    assert status == 0, output
    assert "loss" in output


def test_sharded_training_shows_reconstructions(cwd):
    hooks = [
        "custom_hooks.0.type=convnextv2.ReconstructionHook",
        "custom_hooks.0.interval=2",
        "train_cfg.max_iters=2",
    ]
    work_dir = train_in_two_processes(cwd, "work_dirs/sharded-shown", *SHARDED, *hooks)
    assert len(list(work_dir.rglob("reconstruction_2.png"))) == 1


@pytest.mark.parametrize("counts", [1, 2])
def test_the_rate_follows_what_makes_one_step(cwd, counts):
    options = [
        "auto_scale_lr.enable=True",
        "auto_scale_lr.base_batch_size=16",
        f"optim_wrapper.accumulative_counts={counts}",
        "train_cfg.max_iters=2",
    ]
    work_dir = train(cwd, "fcmae-by-iter", f"work_dirs/accumulated-{counts}", options=options)
    _, state = last_state(work_dir)
    rates = {group["initial_lr"] for group in state["optimizer"]["param_groups"]}
    assert rates == {1e-3 * 4 * counts / 16}
