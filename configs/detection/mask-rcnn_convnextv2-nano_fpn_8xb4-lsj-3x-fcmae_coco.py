# bash tools/dist_train.sh configs/detection/mask-rcnn_convnextv2-nano_fpn_8xb4-lsj-3x-fcmae_coco.py 8
# Batch 32 = 8 GPUs x 4 images; with another batch the rate follows it.
# Published: none for this size. Chosen from the nearest published one, Base: decay .95 as there,
# drop path .2 where Base has .4, for a smaller network. Not run here.
_base_ = [
    '../_base_/models/mask-rcnn_convnextv2_fpn.py',
    '../_base_/datasets/coco_lsj_instance.py',
    '../_base_/schedules/coco_3x.py',
    '../_base_/runtime/detection_runtime.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/pt_only/convnextv2_nano_1k_224_fcmae.pt'
model = dict(
    data_preprocessor=dict(batch_augments=_base_.batch_augments),
    backbone=dict(
        arch='nano', drop_path_rate=0.2, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)
    ),
    neck=dict(in_channels=[80, 160, 320, 640]),
)
