"""A mistyped `--cfg-options` key is an error, and values arrive as they were written."""

import inspect
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import FlexibleRunner, Runner

from convnextv2.engine.config import read_config
from convnextv2.engine.errors import InputError
from convnextv2.engine.known_keys import RUNNER, arguments
from convnextv2.engine.overrides import override


@pytest.fixture
def cfg():
    """A pre-training config in short."""
    return Config(
        {
            "default_scope": "mmengine",
            "model": {
                "type": "convnextv2.FCMAE",
                "backbone": {"type": "convnextv2.ConvNeXtV2", "arch": "tiny", "init_cfg": None},
            },
            "train_dataloader": {
                "batch_size": 2,
                "dataset": {
                    "type": "convnextv2.UnlabelledImages",
                    "data_root": "data",
                    "pipeline": [{"type": "convnextv2.LoadImage"}, {"type": "X", "size": (3, 4)}],
                },
            },
            "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 0.1}},
            "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 3},
            "load_from": None,
            "resume": False,
        }
    )


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("train_dataloder.batch_size", "train_dataloader.batch_size"),
        ("optim_wraper.optimizer.lr", "optim_wrapper.optimizer.lr"),
        ("optim_wrapper.optimizer.wieght_decay", "optim_wrapper.optimizer.weight_decay"),
        ("model.backbone.drop_path_rte", "model.backbone.drop_path_rate"),
        ("train_cfg.max_iter", "train_cfg.max_iters"),
        ("load_form", "load_from"),
    ],
)
def test_mistyped_key_is_refused_with_the_nearest(cfg, key, nearest):
    before = cfg.to_dict()
    with pytest.raises(InputError, match=f"no {key}; did you mean {nearest}"):
        override(cfg, [f"{key}=5"])
    assert cfg.to_dict() == before


@pytest.mark.parametrize(
    "option",
    [
        "model.backbone.drop_path_rate=0.3",  # an argument of the class
        "model.backbone.init_cfg.checkpoint=a.pth",  # below an entry that is None
        "optim_wrapper.optimizer.weight_decay=0.1",
        "optim_wrapper.clip_grad.max_norm=1",
        "train_cfg.dynamic_intervals=[(1,2)]",
        "train_dataloader.prefetch_factor=2",
        "train_dataloader.dataset.ann_file=list.txt",
        "train_dataloader.dataset.pipeline.0.in_channels=4",
        "find_unused_parameters=True",
        "randomness.seed=3",
        "strategy.type=convnextv2.ShardedStrategy",
        "train_cfg._delete_=True",
    ],
)
def test_key_that_something_reads_needs_no_plus(cfg, option):
    override(cfg, [option])
    key, _, text = option.partition("=")
    entry = cfg
    for part in key.split(".") if not key.endswith("_delete_") else ():
        entry = entry[int(part) if part.isdecimal() else part]
        assert entry is not None
    assert str(entry).replace(" ", "") == text or key.endswith("_delete_")


def test_plus_makes_a_new_key(cfg):
    override(cfg, ["+notes.author=me", "+train_dataloder.batch_size=4"])
    assert cfg.notes.author == "me"
    assert cfg.train_dataloder.batch_size == 4
    assert cfg.train_dataloader.batch_size == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("None", None),
        ("1,2", [1, 2]),
        ("[(1,2),(3,4)]", [(1, 2), (3, 4)]),
        ("[a, b c, 'd, e']", ["a", "b c", "d, e"]),
        ("(1)", (1,)),
        ("[]", []),
        ("{'a': [1, 2]}", {"a": [1, 2]}),
        ("a=b", "a=b"),
        ("two words", "two words"),
        ("'1,2'", "1,2"),
        ('"3"', "3"),
    ],
)
def test_value(cfg, text, value):
    override(cfg, [f"+new={text}"])
    assert cfg.new == value
    assert type(cfg.new) is type(value) or isinstance(value, dict)


@pytest.mark.parametrize("path", ["/my data/x", "a, b", "2024", "x=1", "it's", "a [1", "true"])
def test_path_stays_as_it_is(cfg, path):
    override(cfg, [f"train_dataloader.dataset.data_root={path}", f"load_from={path}"])
    assert cfg.train_dataloader.dataset.data_root == cfg.load_from == path


def test_delete_empties_an_entry_before_it_is_filled(cfg):
    override(cfg, ["optim_wrapper.optimizer.type=SGD", "optim_wrapper.optimizer._delete_=True"])
    assert cfg.optim_wrapper.optimizer == {"type": "SGD"}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("train_dataloader.batch_size=abc", "takes a number, and is 2"),
        ("resume=maybe", "takes true or false"),
        ("model=3", "takes a group of settings"),
        ("train_dataloader.batch_size.x=3", "is 2, and has no x"),
        ("train_dataloader.dataset.pipeline.2.type=x", "a number from 0 to 1"),
        ("train_dataloader.dataset.pipeline.1.size.0=2", "whole tuple"),
        ("+new=[1,(2]", "brackets do not match"),
        ("+new={1", "no dict"),
        ("data/x", "takes KEY=VALUE"),
    ],
)
def test_wrong_option_is_refused(cfg, option, message):
    with pytest.raises(InputError, match=message):
        override(cfg, [option])


def test_list_entry_by_its_number(cfg):
    override(cfg, ["train_dataloader.dataset.pipeline.1.type=Y", "+sizes=[1,2]"])
    override(cfg, ["sizes.1=5"])
    assert cfg.train_dataloader.dataset.pipeline[1].type == "Y"
    assert cfg.sizes == [1, 5]


@pytest.mark.parametrize("runner", [Runner, FlexibleRunner])
def test_every_argument_of_the_runners_is_known(runner):
    assert set(inspect.signature(runner).parameters) - {"compile_options"} <= set(RUNNER)


def test_arguments_are_those_of_the_bases_too():
    class Base:
        def __init__(self, a, **kwargs):
            pass

    class Child(Base):
        def __init__(self, *args, b=1, **kwargs):
            pass

    class Closed(Child):
        def __init__(self, c):
            pass

    assert set(arguments(Child)) == {"a", "b"}
    assert set(arguments(Closed)) == {"c"}


def test_options_of_the_documents_are_taken():
    repository = Path(__file__).parents[2]
    templates = repository / "configs"
    read_config(
        f"{templates}/pretrain/fcmae_convnextv2_custom.py",
        [
            "data_root=photos",
            "batch_size=64",
            "val.images=others",
            "optim_wrapper.accumulative_counts=4",
            "strategy.type=convnextv2.ShardedStrategy",
            "model.data_preprocessor.statistics=statistics.json",
            "randomness.seed=0",
        ],
    )
    upernet = f"{templates}/segmentation/upernet_convnextv2_custom.py"
    read_config(
        upernet, ["weights=work_dirs/NAME/epoch_800.pth", "optim_wrapper.type=OptimWrapper"]
    )
    read_config(upernet, ["weights=None"])
