# The photographs of five kinds of flowers, without their labels.
pipeline = [
    dict(type='convnextv2.LoadImage'),
    dict(type='convnextv2.RandomResizedCrop', size=128, scale=(0.2, 1.0)),
    dict(type='convnextv2.RandomFlips'),
    dict(type='convnextv2.PackFCMAEInputs'),
]
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    collate_fn=dict(type='default_collate'),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    sampler=dict(type='convnextv2.SeededInfiniteSampler', shuffle=True),
    dataset=dict(
        type='convnextv2.UnlabelledImages',
        data_root='data/flowers',
        data_prefix=dict(img='train'),
        pipeline=pipeline,
    ),
)
# The loss on held-out images, each with the crop and the mask of its own seed.
test_dataloader = dict(
    batch_size=62,
    num_workers=0,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='convnextv2.SeededSampler', shuffle=False),
    dataset=dict(
        type='convnextv2.UnlabelledImages',
        data_root='data/flowers',
        data_prefix=dict(img='val'),
        pipeline=pipeline,
    ),
)
test_evaluator = dict(type='convnextv2.ReconstructionLoss')
test_cfg = dict()
