# bash tools/dist_train.sh configs/detection/mask-rcnn_convnextv2-base_fpn_8xb4-lsj-3x-supervised_coco.py 8
# Batch 32 = 8 GPUs x 4 images; with another batch the rate follows it.
# Published: box AP 51.0, mask AP 45.6 (paper, Table 6). Not run here. Weights of supervised training
# were not released: as `checkpoint` give those that this config makes, or others of any layout,
# configs/classification/classifier_convnextv2-base_32xb128-300e-supervised_in1k.py
_base_ = [
    '../_base_/models/mask-rcnn_convnextv2_fpn.py',
    '../_base_/datasets/coco_lsj_instance.py',
    '../_base_/schedules/coco_3x.py',
    '../_base_/runtime/detection_runtime.py',
]

checkpoint = 'checkpoints/convnextv2-base_supervised.pth'
model = dict(
    data_preprocessor=dict(batch_augments=_base_.batch_augments),
    backbone=dict(
        arch='base', drop_path_rate=0.4, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
