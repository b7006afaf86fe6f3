# The images of the Data Science Bowl 2018 without their labels. Crops are small, 60 to 140
# of 256 pixels: in larger ones a hidden patch holds whole nuclei, of which nothing else tells.
pipeline = [
    dict(type='convnextv2.LoadImage'),
    dict(type='convnextv2.RandomResizedCrop', size=192, scale=(0.04, 0.3)),
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
        data_root='data/dsb2018',
        ann_file='train.json',
        data_prefix=dict(img='images'),
        pipeline=pipeline,
    ),
)
# The loss on held-out images, each with the crop and the mask of its own seed.
test_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='convnextv2.SeededSampler', shuffle=False),
    dataset=dict(
        type='convnextv2.UnlabelledImages',
        data_root='data/dsb2018',
        ann_file='val.json',
        data_prefix=dict(img='images'),
        pipeline=pipeline,
    ),
)
test_evaluator = dict(type='convnextv2.ReconstructionLoss')
test_cfg = dict()
