# The paper's longer pre-training: as fcmae_800e, the cosine over 1600 epochs.
_base_ = './fcmae_800e.py'

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=40,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        by_epoch=True,
        begin=40,
        end=1600,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=1600)
