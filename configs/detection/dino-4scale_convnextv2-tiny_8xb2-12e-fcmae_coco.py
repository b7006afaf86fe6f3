# bash tools/dist_train.sh configs/detection/dino-4scale_convnextv2-tiny_8xb2-12e-fcmae_coco.py 8
# Batch 16 = 8 GPUs x 2 images; with another batch the rate follows it.
# Published: none with ConvNeXt V2. All as in mmdet's DINO (with Swin-L's drop path), its own crops
# included, but for the backbone's rates: decay .7 a layer, mmdet's for ConvNeXt V1-T, where it has
# a tenth for all layers. Not run here.
_base_ = '../_base_/datasets/coco_dino.py'

checkpoint = 'https://dl.fbaipublicfiles.com/convnext/convnextv2/pt_only/convnextv2_tiny_1k_224_fcmae.pt'
model = dict(
    backbone=dict(
        _delete_=True, type='convnextv2.ConvNeXtV2', arch='tiny', out_indices=(1, 2, 3),
        drop_path_rate=0.2, init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
    ),
    neck=dict(in_channels=[192, 384, 768]),
)
optim_wrapper = dict(
    constructor='convnextv2.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(_delete_=True, decay_rate=0.7, decay_type='layer_wise'),
)
auto_scale_lr = dict(enable=True)
default_hooks = dict(checkpoint=dict(type='convnextv2.AtomicCheckpointHook', max_keep_ckpts=3))
randomness = dict(seed=0)
