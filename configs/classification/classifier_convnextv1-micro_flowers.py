# python tools/train.py configs/classification/classifier_convnextv1-micro_flowers.py
# classifier_convnextv2-micro_flowers.py with V1's blocks, from their FCMAE; figures:
# docs/analysis.md. Not in the paper.
_base_ = './classifier_convnextv2-micro_flowers.py'

model = dict(
    backbone=dict(
        response_norm=dict(type='convnextv2.NoResponseNorm'),
        layer_scale=dict(type='convnextv2.LayerScale'),
        init_cfg=dict(checkpoint='work_dirs/fcmae_convnextv1-micro_flowers-600/iter_600.pth'),
    )
)
