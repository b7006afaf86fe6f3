# The demo's aerial photographs without their boxes.
train_pipeline = [
    dict(type='convnextv2.LoadImage'),
    dict(type='convnextv2.RandomResizedCrop', size=160, scale=(0.1, 0.5)),
    dict(type='convnextv2.RandomFlips', horizontal=0.5, vertical=0.5),
    dict(type='convnextv2.PackFCMAEInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='convnextv2.SeededInfiniteSampler', shuffle=True),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    dataset=dict(
        type='convnextv2.UnlabelledImages',
        data_root='data/demo/trees/unlabelled',
        pipeline=train_pipeline,
    ),
)

# tools/test.py: the loss on held-out images, each with the crop and the mask of its own seed.
test_dataloader = dict(
    batch_size=32,
    num_workers=1,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='convnextv2.SeededSampler', shuffle=False),
    dataset=dict(
        type='convnextv2.UnlabelledImages', data_root='data/demo/trees/val', pipeline=train_pipeline
    ),
)
test_evaluator = dict(type='convnextv2.ReconstructionLoss')
test_cfg = dict(type='TestLoop')
