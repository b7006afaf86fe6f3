# Of the pre-training template: images alone. Each None follows from the template's settings.
train_pipeline = [
    dict(type='convnextv2.LoadImage'),
    dict(type='convnextv2.RandomResizedCrop', size=None, scale=None),
    dict(type='convnextv2.RandomFlips', horizontal=0.5),
    dict(type='convnextv2.PackFCMAEInputs'),
]
dataset = dict(
    type='convnextv2.UnlabelledImages',
    data_root=None,
    ann_file=None,
    data_prefix=dict(img=None),
    pipeline=train_pipeline,
)

train_dataloader = dict(
    batch_size=None,
    num_workers=2,
    persistent_workers=None,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type=None, shuffle=True),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    dataset=dataset,
)
# The loss on held-out images, each with the crop and the mask of its own seed.
val_dataloader = dict(
    batch_size=None,
    num_workers=2,
    persistent_workers=None,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='convnextv2.SeededSampler', shuffle=False),
    dataset=dataset,
)
test_dataloader = val_dataloader
val_evaluator = dict(type='convnextv2.ReconstructionLoss')
test_evaluator = val_evaluator
