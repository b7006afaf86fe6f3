# bash tools/dist_train.sh configs/detection/mask-rcnn_convnextv2-large_fpn_8xb4-lsj-3x-supervised_coco.py 8
# Batch 32 = 8 GPUs x 4 images; with another batch the rate follows it.
# Published: box AP 51.5, mask AP 45.8 (paper, Table 6). Not run here. Weights of supervised training
# were not released: as `checkpoint` give those that this config makes, or others of any layout,
# configs/classification/classifier_convnextv2-large_32xb128-300e-supervised_in1k.py
_base_ = [
    '../_base_/models/mask-rcnn_convnextv2_fpn.py',
    '../_base_/datasets/coco_lsj_instance.py',
    '../_base_/schedules/coco_3x.py',
    '../_base_/runtime/detection_runtime.py',
]

checkpoint = 'checkpoints/convnextv2-large_supervised.pth'
model = dict(
    data_preprocessor=dict(batch_augments=_base_.batch_augments),
    backbone=dict(
        arch='large', drop_path_rate=0.5, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)
    ),
    neck=dict(in_channels=[192, 384, 768, 1536]),
)
