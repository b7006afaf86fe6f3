# ImageNet-1K without labels (paper, Table 8). One process loads 128 images a step.
data_root = 'data/imagenet/train'

train_pipeline = [
    dict(type='convnextv2.LoadImage'),
    dict(type='convnextv2.RandomResizedCrop', size=224, scale=(0.2, 1.0)),
    dict(type='convnextv2.RandomFlips', horizontal=0.5),
    dict(type='convnextv2.PackFCMAEInputs'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=10,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='convnextv2.SeededSampler', shuffle=True),
    worker_init_fn=dict(type='convnextv2.keep_worker_seed'),
    dataset=dict(
        type='convnextv2.UnlabelledImages', data_root=data_root, pipeline=train_pipeline
    ),
)

# tools/test.py: the loss on held-out images, each with the crop and the mask of its own seed.
test_dataloader = dict(
    batch_size=128,
    num_workers=10,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='convnextv2.SeededSampler', shuffle=False),
    dataset=dict(
        type='convnextv2.UnlabelledImages', data_root='data/imagenet/val', pipeline=train_pipeline
    ),
)
test_evaluator = dict(type='convnextv2.ReconstructionLoss')
test_cfg = dict(type='TestLoop')
