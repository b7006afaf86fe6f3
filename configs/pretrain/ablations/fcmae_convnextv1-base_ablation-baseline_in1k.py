# bash tools/dist_train.sh configs/pretrain/ablations/fcmae_convnextv1-base_ablation-baseline_in1k.py 8
# Batch 4096 = 32 processes x 128 images, 800 epochs; the rate follows another number of processes.
# ConvNeXt V1's blocks, in encoder and decoder: the base of the rows without GRN.
# Published: top-1 83.7 after 100 epochs of fine-tuning (paper, section 3.1).
# Not run here.
_base_ = [
    '../../_base_/models/fcmae_convnextv2.py',
    '../../_base_/datasets/imagenet_fcmae.py',
    '../../_base_/schedules/fcmae_800e.py',
    '../../_base_/runtime/pretrain_runtime.py',
]

block = dict(
    response_norm=dict(type='convnextv2.NoResponseNorm'),
    layer_scale=dict(type='convnextv2.LayerScale'),
)
model = dict(
    backbone=dict(arch='base', **block), decoder=dict(type='convnextv2.FCMAEDecoder', **block)
)
default_hooks = dict(checkpoint=dict(interval=20))
