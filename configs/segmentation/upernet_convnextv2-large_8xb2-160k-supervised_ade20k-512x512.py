# bash tools/dist_train.sh configs/segmentation/upernet_convnextv2-large_8xb2-160k-supervised_ade20k-512x512.py 8
# Batch 16 = 8 GPUs x 2 images; with another batch the rate follows it. Multi-scale test: --tta.
# Published: mIoU 51.6, multi-scale (paper, Table 7). Not run here. Weights of supervised training
# were not released: as `checkpoint` give those that this config makes, or others of any layout,
# configs/classification/classifier_convnextv2-large_32xb128-300e-supervised_in1k.py
_base_ = [
    '../_base_/models/upernet_convnextv2.py',
    '../_base_/datasets/ade20k_512.py',
    '../_base_/schedules/ade20k_160k.py',
    '../_base_/runtime/segmentation_runtime.py',
]

checkpoint = 'checkpoints/convnextv2-large_supervised.pth'
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        arch='large', drop_path_rate=0.4, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)
    ),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768),
    test_cfg=_base_.slide,
)
