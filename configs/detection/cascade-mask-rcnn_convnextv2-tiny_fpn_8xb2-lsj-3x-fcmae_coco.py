# bash tools/dist_train.sh configs/detection/cascade-mask-rcnn_convnextv2-tiny_fpn_8xb2-lsj-3x-fcmae_coco.py 8
# Batch 16 = 8 GPUs x 2 images; with another batch the rate follows it.
# Published: none with ConvNeXt V2. Rate, decay, drop path and batch are those of mmdet's Cascade Mask
# R-CNN with ConvNeXt V1-T; data and schedule those of our Mask R-CNN. Not run here.
_base_ = [
    '../_base_/models/cascade-mask-rcnn_convnextv2_fpn.py',
    '../_base_/datasets/coco_lsj_instance.py',
    '../_base_/schedules/coco_3x.py',
    '../_base_/runtime/detection_runtime.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/pt_only/convnextv2_tiny_1k_224_fcmae.pt'
model = dict(
    data_preprocessor=dict(batch_augments=_base_.batch_augments),
    backbone=dict(
        arch='tiny', drop_path_rate=0.4, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)
    ),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
train_dataloader = dict(batch_size=2)
optim_wrapper = dict(optimizer=dict(lr=2e-4), paramwise_cfg=dict(decay_rate=0.7))
auto_scale_lr = dict(base_batch_size=16)
